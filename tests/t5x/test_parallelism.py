"""First-step losses on many simulated devices and on two processes equal one device's.

So do those after a restart, from a checkpoint of the same layout or of another.

Every layout runs in processes of its own, since a process has one number of devices for good.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from t5x_process import TIMEOUT

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]

STAGES = ("hybrid", "span_corruption")


def start(
    stage: str,
    devices: int,
    model: int,
    home: Path,
    parent: Path | None = None,
    process: int = 0,
    count: int = 1,
    port: int = 0,
) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    # In a folder that is not there T5X saves one above it; t5x.train makes it first.
    home.mkdir(exist_ok=True)
    command = [sys.executable, str(HERE / "parallel_steps.py"), stage]
    command += [str(number) for number in (model, process, count, port)]
    command += [str(home)] if parent is None else [str(home), str(parent)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def result(process: subprocess.Popen[bytes]) -> dict:
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, err.decode(errors="replace")[-4000:]
    return json.loads(out.decode().splitlines()[-1])


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return request.param


def saved(home: Path, stage: str, layout: str) -> Path:
    return home / f"{stage}-{layout}" / "checkpoint_2"


@pytest.fixture(scope="module")
def four_by_one(stage: str, home: Path) -> dict:
    return result(start(stage, 4, 1, saved(home, stage, "4x1").parent))


@pytest.fixture(scope="module")
def alone(stage: str, home: Path, four_by_one: dict) -> dict:
    """One device, whose second restart is from a checkpoint of four."""
    parent = saved(home, stage, "4x1")
    return result(start(stage, 1, 1, saved(home, stage, "1x1").parent, parent))


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
    parent = saved(home, stage, "4x1")
    both = result(start(stage, 4, 2, saved(home, stage, "2x2").parent, parent))
    assert both["mesh"] == {"data": 2, "model": 2}
    assert_close(both, alone)
    assert_restarts(both, four_by_one)
    assert_gathers_little(both)


def test_two_processes_over_gloo(stage: str, alone: dict, home: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    folder, parent = saved(home, stage, "2-processes").parent, saved(home, stage, "1x1")
    both = [start(stage, 1, 1, folder, parent, index, 2, port) for index in range(2)]
    results = [result(process) for process in both]
    assert results[0]["losses"] == results[1]["losses"]
    assert results[0]["restarts"] == results[1]["restarts"]
    assert results[0]["mesh"] == {"data": 2, "model": 1}
    assert_close(results[0], alone)
    assert_restarts(results[0], alone)
