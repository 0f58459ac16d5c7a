"""First-step losses on many simulated devices and on two processes equal one device's.

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

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]

STAGES = ("hybrid", "span_corruption")


def start(stage: str, devices: int, model: int, process: int = 0, count: int = 1, port: int = 0):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, str(HERE / "parallel_steps.py"), stage]
    command += [str(number) for number in (model, process, count, port)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def result(process: subprocess.Popen[bytes]) -> dict:
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err.decode(errors="replace")[-4000:]
    return json.loads(out.decode().splitlines()[-1])


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def alone(stage: str) -> dict:
    return result(start(stage, 1, 1))


def assert_close(many: dict, one: dict) -> None:
    np.testing.assert_allclose(many["losses"][0], one["losses"][0], rtol=1e-6)
    np.testing.assert_allclose(many["losses"], one["losses"], rtol=1e-5)


@pytest.mark.parametrize(("devices", "model"), [(4, 1), (4, 2)], ids=["4-way-data", "2x2"])
def test_simulated_devices(stage: str, alone: dict, devices: int, model: int) -> None:
    many = result(start(stage, devices, model))
    assert many["mesh"] == {"data": devices // model, "model": model}
    assert_close(many, alone)
    # A gather over a whole vocabulary or batch is what a badly split top-k or scatter costs.
    assert many["largest_gather"] <= many["allowed_gather"], many["gathers"]


def test_two_processes_over_gloo(stage: str, alone: dict) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    both = [start(stage, 1, 1, index, 2, port) for index in range(2)]
    results = [result(process) for process in both]
    assert results[0]["losses"] == results[1]["losses"]
    assert results[0]["mesh"] == {"data": 2, "model": 1}
    assert_close(results[0], alone)
