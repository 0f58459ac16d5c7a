"""Fixtures of the tests of the runner and the collector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from untrained import FakeEngine, make_display, tiny_profile

from repro import folders, plan
from repro.progress import Display
from repro.runner import Runner
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
def display(tree: plan.Tree) -> Display:
    """Keeps what it prints in ``display.console.file``."""
    return make_display(tree)


@pytest.fixture
def displays() -> Callable[[plan.Tree], Display]:
    return make_display


@pytest.fixture
def finished(tree: plan.Tree, runs: Path, engine: FakeEngine, display: Display) -> Path:
    """A folder of runs whose tree is finished."""
    Runner(tree, runs, engine, display).run()
    return runs
