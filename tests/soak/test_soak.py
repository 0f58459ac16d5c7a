"""A tree that is killed or interrupted ends as one that ran undisturbed.

`python -m nox -s soak` does the same with a hundred kills.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro import cli, folders

HOME = Path(__file__).parent
PROFILE = ("--profile", str(HOME / "soak.toml"))
SELECTION = (*PROFILE, "--size", "base", "--tau", "60K")
SEGMENT = "soak/base/s0/tau60K/60K-500K"
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("repro", run_name="__main__", alter_sys=True)
"""
"""A shell that starts the tests in the background has them, and what they start, ignore ctrl-C."""


def _soak(folder: Path, data: Path, kills: int) -> str:
    command = [sys.executable, str(HOME / "soak.py"), "--kills", str(kills)]
    command += ["--folder", str(folder), "--cache", str(data.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, smoke_data: Path) -> Path:
    """The folder of runs of a tree that nothing disturbed."""
    folder = tmp_path_factory.mktemp("soak")
    _soak(folder, smoke_data, kills=0)
    return folder / "unbroken"


@pytest.mark.slow
def test_killed_at_a_random_moment(tmp_path: Path, smoke_data: Path) -> None:
    printed = _soak(tmp_path, smoke_data, kills=1)
    assert "1 kills, " in printed and printed.rstrip().endswith("reports equal")


def _repro(*arguments: str) -> None:
    """A command in this process, which need not import everything again."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert not ended.value.code


@pytest.mark.parametrize("how", ["ctrl-C", "SIGTERM", "SIGKILL", "SIGKILL of the worker"])
def test_a_stopped_run_ends_as_an_undisturbed_one(
    undisturbed: Path, tmp_path: Path, how: str
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    shutil.copy(undisturbed / "spactor-runs.json", runs)
    shutil.copytree(undisturbed / "cache", runs / "cache")
    # A second worker adds nothing to a tree that is a chain but for its leaves, but a signal that
    # reaches all processes.
    jobs = "2" if how == "ctrl-C" else "1"
    command = ("run", *SELECTION, "--runs", str(runs), "--jobs", jobs)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    series = runs / SEGMENT / "metrics.jsonl"
    while not (series.exists() and series.stat().st_size):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    worker = folders.read_json(runs / SEGMENT / folders.HOLDER)["process"]
    if how == "ctrl-C":
        os.killpg(process.pid, signal.SIGINT)  # A terminal sends it to the workers, too.
    elif how == "SIGKILL of the worker":
        os.kill(worker, signal.SIGKILL)
    else:
        process.send_signal(signal.Signals[how])
    out, err = process.communicate()
    assert "Traceback" not in err
    if how == "SIGKILL of the worker":
        assert process.returncode == 0, err
        assert "(SIGKILL); another continues from its last checkpoint" in out
    else:
        assert process.returncode == (-signal.SIGKILL if how == "SIGKILL" else 130), err
        advised = f"interrupted; to continue: {shlex.join(['repro', *command])}"
        assert how == "SIGKILL" or advised in err
        end = time.monotonic() + 10
        while Path(f"/proc/{worker}").exists():
            assert time.monotonic() < end, "the worker lives on"
            time.sleep(0.05)
        if how != "ctrl-C":
            return  # They end alike, and continue alike.
        _repro(*command)
    _repro("collect", *PROFILE, "--runs", str(runs))
    path = "soak/records/metrics.parquet"
    assert (runs / path).read_bytes() == (undisturbed / path).read_bytes()
