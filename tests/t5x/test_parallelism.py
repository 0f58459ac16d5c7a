"""First-step losses on many simulated devices equal one device's.

So do those after a restart, from a checkpoint of the same layout or of another. Several processes
are tested as the hosts of whole runs, in `test_hosts_t5x`.

Every layout runs in a process of its own, since a process has one number of devices for good.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from t5x_process import ROOT, TIMEOUT, environment

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]

STAGES = ("hybrid", "span_corruption")
SCRIPT = Path(__file__).with_name("parallel_steps.py")


def run(stage: str, devices: int, model: int, home: Path, *parent: Path) -> dict:
    """Returns what the script prints of a layout."""
    # In a folder that is not there T5X saves one above it; t5x.train makes it first.
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, SCRIPT, stage, str(model), home, *parent],
        cwd=ROOT,
        env=environment(devices),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return request.param


def saved(home: Path, stage: str, layout: str) -> Path:
    return home / f"{stage}-{layout}" / "checkpoint_2"


@pytest.fixture(scope="module")
def four_by_one(stage: str, home: Path) -> dict:
    return run(stage, 4, 1, saved(home, stage, "4x1").parent)


@pytest.fixture(scope="module")
def alone(stage: str, home: Path, four_by_one: dict) -> dict:
    """One device, whose second restart is from a checkpoint of four."""
    return run(stage, 1, 1, saved(home, stage, "1x1").parent, saved(home, stage, "4x1"))


def assert_close(many: dict, one: dict) -> None:
    np.testing.assert_allclose(many["losses"][0], one["losses"][0], rtol=1e-6)
    np.testing.assert_allclose(many["losses"], one["losses"], rtol=1e-5)


def assert_restarts(found: dict, parent: dict) -> None:
    """From its own checkpoint bit for bit; from another layout's, that layout's losses."""
    assert found["restarts"]["own"] == found["losses"][2:]
    theirs = parent["losses"][2:]
    np.testing.assert_allclose(found["restarts"]["parent"][0], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(found["restarts"]["parent"], theirs, rtol=1e-5)


def assert_gathers_little(found: dict) -> None:
    """A gather over a whole vocabulary or batch is what a badly split top-k or scatter costs."""
    assert found["largest_gather"] <= found["allowed_gather"], found["gathers"]


def test_four_way_data_parallel(alone: dict, four_by_one: dict) -> None:
    assert four_by_one["mesh"] == {"data": 4, "model": 1}
    assert_close(four_by_one, alone)
    assert four_by_one["restarts"]["own"] == four_by_one["losses"][2:]
    assert_restarts(alone, four_by_one)
    assert_gathers_little(four_by_one)


def test_data_and_model_parallel(stage: str, alone: dict, four_by_one: dict, home: Path) -> None:
    both = run(stage, 4, 2, saved(home, stage, "2x2").parent, saved(home, stage, "4x1"))
    assert both["mesh"] == {"data": 2, "model": 2}
    assert_close(both, alone)
    assert_restarts(both, four_by_one)
    assert_gathers_little(both)
