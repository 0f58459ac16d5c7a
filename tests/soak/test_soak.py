"""A tree that is killed or interrupted ends as one that ran undisturbed.

`python -m nox -s soak` does the same with a hundred kills.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parent
PROFILE = ("--profile", str(HOME / "soak.toml"))
SELECTION = (*PROFILE, "--size", "base", "--tau", "60K")
INTERRUPTED = """
import os, signal, sys
from repro import cli
from spactor import trainer

fit = trainer.fit

def fit_until(*, folder, observer, **rest):
    def observe(step, *values):
        observer(step, *values)
        if step == 30 and str(folder).endswith("tau60K/60K-500K"):
            os.kill(os.getpid(), signal.SIGINT)
    fit(folder=folder, observer=observe, **rest)

trainer.fit = fit_until
# A shell that starts the tests in the background has them ignore ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["repro", *sys.argv[1:]]
cli.entry()
"""
"""The command, with ctrl-C at step 30 of a segment."""


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with an undisturbed run, and what the soak printed."""
    folder = tmp_path_factory.mktemp("soak")
    command = [sys.executable, str(HOME / "soak.py"), "--kills", "3", "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_killed_at_random_moments(soaked: tuple[Path, str]) -> None:
    _, printed = soaked
    assert "3 kills, " in printed and printed.rstrip().endswith("reports equal")


def _repro(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "repro", *arguments], check=True, capture_output=True)


def test_interrupted_by_ctrl_c(soaked: tuple[Path, str], tmp_path: Path) -> None:
    undisturbed, runs = soaked[0] / "unbroken", tmp_path / "runs"
    runs.mkdir()
    shutil.copy(undisturbed / "spactor-runs.json", runs)
    shutil.copytree(undisturbed / "cache", runs / "cache")
    command = ("run", *SELECTION, "--runs", str(runs))
    stopped = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *command], capture_output=True, text=True
    )
    assert stopped.returncode == 130, stopped.stderr
    assert "interrupted; run the same command to continue" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    _repro(*command)
    _repro("collect", *PROFILE, "--runs", str(runs))
    path = "soak/records/metrics.parquet"
    assert (runs / path).read_bytes() == (undisturbed / path).read_bytes()
