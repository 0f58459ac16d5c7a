"""Fixtures of the tests of the runner and the collector."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from untrained import FakeEngine, World, run_nodes, tiny_profile

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
def world(tiny: Profile, runs: Path, engine: FakeEngine) -> World:
    """The tiny profile, nothing of which has run."""
    return World(tiny, runs, engine)


@pytest.fixture
def finished(world: World, finished_once: Path) -> World:
    """The tiny profile, whose tree is finished."""
    shutil.copytree(finished_once, world.runs, dirs_exist_ok=True)
    return world
