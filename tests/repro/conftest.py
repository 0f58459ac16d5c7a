"""Fixtures of the tests of the runner and the collector."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from untrained import FakeEngine, run_nodes, tiny_profile

from repro import folders, plan
from repro.specs import Profile


@pytest.fixture
def tiny() -> Profile:
    return tiny_profile()


@pytest.fixture
def tree(tiny: Profile) -> plan.Tree:
    return plan.build(tiny)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return folders.open_runs(tmp_path / "runs", create=True)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs whose tree is finished, to be copied and not changed."""
    runs = folders.open_runs(tmp_path_factory.mktemp("finished") / "runs", create=True)
    run_nodes(plan.build(tiny_profile()), runs, FakeEngine())
    return runs


@pytest.fixture
def finished(finished_once: Path, runs: Path) -> Path:
    """A folder of runs whose tree is finished."""
    return shutil.copytree(finished_once, runs, dirs_exist_ok=True)
