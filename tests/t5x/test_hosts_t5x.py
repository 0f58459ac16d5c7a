"""`repro run --engine t5x` on two hosts that share a folder: what one host trains, and resumed.

A host is a process here, and JAX's collectives go through gloo.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from repro_process import FIRST, LEAF, SECOND, SELECTION, finish, kill, node, run, start, untimed
from t5x_process import TIMEOUT, assert_same, free_port, leaves

from analysis.schema import records
from repro import collect, folders, step_lines

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]


def start_hosts(runs: Path, *more: str) -> list[subprocess.Popen[str]]:
    coordinator = f"localhost:{free_port()}"
    both = ("--hosts", "2", "--coordinator", coordinator, *SELECTION, *more)
    return [start("run", runs, *both, "--host", str(number)) for number in range(2)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, finished: Path) -> Path:
    runs = folders.open_runs(tmp_path_factory.mktemp("two") / "runs", create=True)
    # The prepared data are the same; making them again proves nothing.
    shutil.copytree(finished / "cache", runs / "cache")
    for process in start_hosts(runs):
        assert "3 nodes ran" in finish(process)
    return runs


def refusal(process: subprocess.Popen[str]) -> str:
    """The one line of a UserError with which a command ends."""
    try:
        _, err = process.communicate(timeout=TIMEOUT)
    finally:
        kill(process)
    assert process.returncode == 2
    (line,) = err.splitlines()
    return line


def metrics(runs: Path) -> pd.DataFrame:
    run("collect", runs)
    return records.read(runs / "thirty" / "records" / collect.METRICS)


def test_two_hosts_train_what_one_does(finished: Path, two: Path) -> None:
    ours, alone = metrics(two), metrics(finished)
    assert len(ours) > 50
    pd.testing.assert_frame_equal(ours, alone, rtol=1e-6, atol=0)
    for name in (FIRST, SECOND, LEAF):
        names, alone_names = (
            {path.name for path in node(runs, name).iterdir()} for runs in (two, finished)
        )
        # No host reads a whole batch, to name it.
        assert names == alone_names - {step_lines.DIGESTS} | {"t5x-host1.log", "t5x-host1.lock"}
        record = folders.read_json(node(two, name) / folders.PROVENANCE)
        assert record["device"] == "2 × cpu cpu on 2 hosts"
        assert len(list((node(two, name) / "train").iterdir())) == 1, "host 0 alone logs"
    # The mean of five steps each, and so of every step up to the thirtieth.
    for name in (FIRST, SECOND):
        both, single = untimed(node(two, name)), untimed(node(finished, name))
        assert list(both) == list(single)
        for step, values in single.items():
            assert both[step] == pytest.approx(values, rel=1e-6), f"{name} at {step}"


def test_a_killed_host_ends_the_other_and_both_resume(two: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(two, runs)
    folder = node(runs, SECOND)
    shutil.rmtree(folder)
    only = ("--node", SECOND)
    left, killed = start_hosts(runs, *only)
    try:
        end = time.monotonic() + TIMEOUT
        while not (folder / "checkpoint_20").is_dir():
            assert left.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        kill(killed)
        # JAX's processes miss each other's heartbeat within two minutes.
        line = refusal(left)
    finally:
        kill(left)
        kill(killed)
    assert f"in {SECOND}" in line and line.endswith("run the same command on every host to go on")

    assert refusal(start("run", runs, *SELECTION, *only)).endswith(
        "has no data state for this process of 1: resume with as many processes as wrote the "
        "checkpoint"
    )

    for process in start_hosts(runs, *only):
        assert "1 nodes ran" in finish(process)
    assert_same(leaves(node(two, SECOND) / "checkpoint_30"), leaves(folder / "checkpoint_30"))
    assert untimed(folder) == untimed(node(two, SECOND))
