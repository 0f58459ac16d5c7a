"""The real commands on a small tree: what they train, and that a stopped run ends like a whole one.

`python -m nox -s soak` kills the training of this tree at a hundred random moments.
"""

from __future__ import annotations

import json
import os
import pkgutil
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soak
from commands import exit_code, run

from analysis.schema import records
from repro import folders

PROFILE = soak.PROFILE_OPTION
CHAIN = (*PROFILE, "--variant", "handover-cosine")
"""Both stages with a hand-over between them, and a fine-tuning."""
SEGMENT = "soak/base/s0/handover-cosine/tau120K/60K-180K"
METRICS = "soak/records/metrics.parquet"
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("repro", run_name="__main__", alter_sys=True)
"""
"""A shell that starts the tests in the background has them, and what they start, ignore ctrl-C."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, smoke_data: Path) -> Path:
    """The folder of runs of a tree that nothing disturbed."""
    runs = folders.open_runs(tmp_path_factory.mktemp("soak") / "runs", create=True)
    shutil.copytree(smoke_data.parent, folders.cache_folder(runs))
    assert exit_code("run", *CHAIN, "--runs", str(runs)) == 0
    assert exit_code("collect", *PROFILE, "--runs", str(runs)) == 0
    return runs


def test_a_hand_over_is_trained_and_collected(
    undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--runs", str(undisturbed))
    _, printed, _ = run(capsys, "plan", *CHAIN, *where, "--format", "json")
    assert [node["name"] for node in json.loads(printed)["rows"]] == [
        "base/s0/hybrid/0-60K",
        "base/s0/handover-cosine/tau120K/60K-180K",
        "base/s0/handover-cosine/tau120K/180K-250K",
        "base/s0/handover-cosine/tau120K/250K/finetune-glue/f0",
    ]
    _, printed, _ = run(capsys, "collect", *PROFILE, *where)
    assert "of 4 finished nodes" in printed
    row = next(line for line in printed.splitlines() if line.startswith("handover-cosine"))
    assert row.split()[1:3] == ["120K", "1"] and "not run" not in row

    metrics = records.read(undisturbed / METRICS)
    mine = metrics[metrics["variant"] == "handover-cosine"].set_index(["metric", "step"])["value"]
    # The window is 6 to 18: by half a cosine λ1 leaves 10 and reaches 5 at 12. Logged values are
    # means over two updates, which lead away from the two steps before.
    assert mine["train/lambda_rtd", 8] == pytest.approx((10.0 + 9.83) / 2, abs=0.01)
    assert mine["train/lambda_rtd", 14] == pytest.approx((5.0 + 3.706) / 2, abs=0.01)
    assert mine["train/lambda_rtd", 18] == pytest.approx((0.670 + 0.170) / 2, abs=0.01)
    assert mine["train/masked_tokens", 8] > mine["train/masked_tokens", 18] == 0.5
    assert ("train/lambda_rtd", 6) not in mine.index and ("train/lambda_rtd", 20) not in mine.index
    assert mine["train/sc_loss", 24] > 0


class _Run:
    """``repro run`` in two workers, from its start until one of them trains the segment."""

    def __init__(self, runs: Path) -> None:
        self.arguments = ("run", *CHAIN, "--runs", str(runs), "--jobs", "2")
        self.series = runs / SEGMENT / "metrics.jsonl"
        self.holder = runs / SEGMENT / folders.HOLDER
        logged = self.series.stat().st_size if self.series.exists() else 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.wait_until(lambda: self.series.exists() and self.series.stat().st_size != logged)
        self.worker = self.training_worker()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)

    def training_worker(self) -> int:
        return folders.read_json(self.holder)["process"]

    def ended(self, status: int) -> str:
        """What it printed, once it and its worker have ended, the process with this status."""
        out, err = self.process.communicate()
        assert "Traceback" not in err
        assert self.process.returncode == status, err
        advised = f"interrupted; to continue: {shlex.join(['repro', *self.arguments])}"
        assert (advised in err) == (status == 130)
        end = time.monotonic() + 10
        while Path(f"/proc/{self.worker}").exists():
            assert time.monotonic() < end, "the worker lives on"
            time.sleep(0.05)
        return out


def test_a_run_stopped_in_four_ways_ends_as_an_undisturbed_one(
    undisturbed: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    shutil.copy(undisturbed / "spactor-runs.json", runs)
    shutil.copytree(undisturbed / "cache", runs / "cache")

    killed = _Run(runs)
    killed.process.kill()
    killed.ended(-signal.SIGKILL)

    terminated = _Run(runs)
    first = terminated.worker
    os.kill(first, signal.SIGKILL)
    terminated.wait_until(lambda: terminated.training_worker() != first)
    terminated.worker = terminated.training_worker()
    terminated.process.terminate()
    assert "(SIGKILL); another continues from its last checkpoint" in terminated.ended(130)

    interrupted = _Run(runs)
    os.killpg(interrupted.process.pid, signal.SIGINT)  # A terminal sends it to the workers, too.
    interrupted.ended(130)

    assert exit_code(*interrupted.arguments) == 0
    assert exit_code("collect", *PROFILE, "--runs", str(runs)) == 0
    assert (runs / METRICS).read_bytes() == (undisturbed / METRICS).read_bytes()


@pytest.mark.slow
def test_killed_at_a_random_moment(tmp_path: Path, smoke_data: Path) -> None:
    command = [sys.executable, soak.__file__, "--kills", "1"]
    command += ["--folder", str(tmp_path), "--cache", str(smoke_data.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kills, " in done.stdout and done.stdout.rstrip().endswith("reports equal")


def test_the_functions_at_which_the_soak_kills_exist() -> None:
    assert all(callable(pkgutil.resolve_name(name)) for name in soak.PHASES.values())
