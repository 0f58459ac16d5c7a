"""Losses of two replicas on two devices each equal one device's, also after a restart.

The devices are simulated, in a process for each layout, since a process has one number of devices
for good. Data parallelism alone is tested with two hosts of whole runs, in `test_hosts_t5x`, and
what its step sends in `tests/analysis/test_compiled_t5x.py`.
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


@pytest.mark.parametrize("stage", ["hybrid", "span_corruption"])
def test_data_and_model_parallel(stage: str, tmp_path: Path) -> None:
    alone = run(stage, 1, 1, tmp_path / "alone")
    both = run(stage, 4, 2, tmp_path / "both", tmp_path / "alone" / "checkpoint_2")
    assert both["mesh"] == {"data": 2, "model": 2}
    np.testing.assert_allclose(both["losses"][0], alone["losses"][0], rtol=1e-6)
    np.testing.assert_allclose(both["losses"], alone["losses"], rtol=1e-5)
    # From its own checkpoint bit for bit; from the other layout's, that layout's losses.
    for found in (alone, both):
        assert found["restarts"]["own"] == found["losses"][2:]
    moved, theirs = both["restarts"]["parent"], alone["losses"][2:]
    np.testing.assert_allclose(moved[0], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(moved, theirs, rtol=1e-5)
    # A gather over a whole vocabulary or batch is what a badly split top-k or scatter costs.
    assert both["largest_gather"] <= both["allowed_gather"], both["gathers"]
