"""Fixtures of the tests of the runner and the collector."""

from __future__ import annotations

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


@pytest.fixture
def finished(tree: plan.Tree, runs: Path, engine: FakeEngine) -> Path:
    """A folder of runs whose tree is finished."""
    run_nodes(tree, runs, engine)
    return runs
