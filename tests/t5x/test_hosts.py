"""`repro run --engine t5x` on two hosts that share a folder: what one host trains, and resumed.

A host is a process here, and JAX's collectives go through gloo.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from repro_process import FIRST, LEAF, PROFILE, SECOND, finish, start, untimed
from t5x_process import assert_same, leaves

from repro import collect, folders, records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]

SELECTION = ("--tau", "250K")
# Six steps of each stage, all logged, saved at every third.
SHORTER = {
    "total_steps = 60": "total_steps = 24",
    "log_period_steps = 5": "log_period_steps = 1",
    "validation_period_steps = 5": "validation_period_steps = 3",
    "checkpoint_period_steps = 5": "checkpoint_period_steps = 3",
}


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = PROFILE.read_text("utf-8")
    for long, short in SHORTER.items():
        assert long in text
        text = text.replace(long, short)
    path = tmp_path_factory.mktemp("profile") / "twelve.toml"
    path.write_text(text, "utf-8")
    return path


def node(runs: Path, name: str) -> Path:
    return folders.node_folder(runs, "twelve", name)


def start_hosts(runs: Path, profile: Path, *more: str) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    slice_hosts = ("--hosts", "2", "--coordinator", f"localhost:{port}", *SELECTION, *more)
    return [
        start("run", runs, *slice_hosts, "--host", str(number), profile=profile)
        for number in range(2)
    ]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, profile: Path) -> Path:
    runs = tmp_path_factory.mktemp("one") / "runs"
    assert "3 nodes ran" in finish(start("run", runs, *SELECTION, profile=profile))
    return runs


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, profile: Path, one: Path) -> Path:
    runs = folders.open_runs(tmp_path_factory.mktemp("two") / "runs", create=True)
    # The prepared data are the same; making them again proves nothing.
    shutil.copytree(one / "cache", runs / "cache")
    for process in start_hosts(runs, profile):
        assert "3 nodes ran" in finish(process)
    return runs


def metrics(runs: Path, profile: Path) -> pd.DataFrame:
    finish(start("collect", runs, profile=profile))
    table = records.read(runs / "twelve" / "records" / collect.METRICS)
    keys = [name for name in table.columns if name not in ("value", "device")]
    return table.sort_values(keys).reset_index(drop=True)


def test_two_hosts_train_what_one_does(one: Path, two: Path, profile: Path) -> None:
    ours, theirs = metrics(two, profile), metrics(one, profile)
    rest = [name for name in ours.columns if name != "value"]
    pd.testing.assert_frame_equal(ours[rest], theirs[rest])
    for name, first_step in ((FIRST, 1), (SECOND, 7)):
        both, alone = untimed(node(two, name)), untimed(node(one, name))
        for key, value in alone[first_step].items():
            np.testing.assert_allclose(both[first_step][key], value, rtol=1e-6, err_msg=key)
        for step, values in alone.items():
            for key, value in values.items():
                np.testing.assert_allclose(both[step][key], value, rtol=1e-5, err_msg=key)
    for name in (FIRST, SECOND, LEAF):
        kept, kept_alone = (
            {path.name for path in node(runs, name).iterdir()} for runs in (two, one)
        )
        assert kept == kept_alone | {"t5x-host1.log", "t5x-host1.lock"}
        attempts = folders.read_json(node(two, name) / folders.PROVENANCE)
        assert attempts["device"] == "2 × cpu cpu on 2 hosts"
        assert len(list((node(two, name) / "train").iterdir())) == 1, "host 0 alone logs"


def test_a_killed_host_ends_the_other_and_both_go_on(
    two: Path, tmp_path: Path, profile: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(two, runs)
    folder = node(runs, SECOND)
    shutil.rmtree(folder)
    only = ("--node", SECOND)
    left, killed = start_hosts(runs, profile, *only)
    end = time.monotonic() + 900
    while not (folder / "checkpoint_9").is_dir():
        assert left.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    trainer = int((folder / "t5x-host1.lock").read_text())
    os.kill(killed.pid, signal.SIGKILL)
    os.kill(trainer, signal.SIGKILL)
    killed.communicate()
    # JAX's processes miss each other's heartbeat within two minutes.
    _, err = left.communicate(timeout=600)
    assert left.returncode == 2
    (line,) = err.splitlines()
    assert f"in {SECOND}" in line and line.endswith("run the same command on every host to go on")

    alone = start("run", runs, *SELECTION, *only, profile=profile)
    _, err = alone.communicate(timeout=900)
    assert alone.returncode == 2
    (line,) = err.splitlines()
    assert line.endswith(
        "has no data state for this process of 1: go on with as many processes as wrote the "
        "checkpoint"
    )

    for process in start_hosts(runs, profile, *only):
        assert "1 nodes ran" in finish(process)
    assert_same(leaves(node(two, SECOND) / "checkpoint_12"), leaves(folder / "checkpoint_12"))
    assert untimed(folder) == untimed(node(two, SECOND))
