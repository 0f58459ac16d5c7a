"""Runs of ``python -m t5x.train`` that SIGKILL or SIGTERM ends, end as if they never had been."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import t5x_process
from t5x_process import TIMEOUT, assert_same, leaves

from repro import step_lines

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]


def _wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture(params=["hybrid", "span_corruption", "finetuning"])
def run(
    request: pytest.FixtureRequest, data: Path, first_stage: Path, second_stage: Path
) -> tuple[str, int, Callable[..., subprocess.Popen[bytes]]]:
    """A kind of run, its first step, and what starts 600 steps of it, saved every 200."""
    kind = request.param
    if kind == "finetuning":
        return (
            kind,
            20,
            lambda folder: t5x_process.finetuning(
                folder, data, second_stage / "checkpoint_20", 20, 600, EVAL_PERIOD=200
            ),
        )
    first, parent = (0, None) if kind == "hybrid" else (10, first_stage / "checkpoint_10")
    periods = {"CHECKPOINT_PERIOD": 200, "EVAL_PERIOD": 200, "STATS_PERIOD": 100}
    return (
        kind,
        first,
        lambda folder, *flags: t5x_process.pretraining(
            folder, data, kind, first + 600, parent, *flags, **periods
        ),
    )


def test_killed_runs_end_as_if_never_killed(home: Path, run) -> None:
    """SIGTERM, which preemption sends, ends T5X at once, but not with a distributed client."""
    kind, first, start = run
    whole, killed = home / f"{kind}-whole", home / f"{kind}-killed"
    t5x_process.finish(start(whole), whole)

    def being_saved(step: int) -> bool:
        return any(killed.glob(f"checkpoint_{step}.orbax-checkpoint-tmp*"))

    def saved(step: int) -> bool:
        return (killed / f"checkpoint_{step}").is_dir()

    def scored() -> bool:
        return kind != "finetuning" or any(killed.glob("inference_eval/*-metrics.jsonl"))

    client: tuple[str, ...] = ()
    if kind == "span_corruption":
        address = f"--coordinator_address=localhost:{t5x_process.free_port()}"
        client = ("--multiprocess_gpu", address, "--process_count=1", "--process_index=0")
    # Before the first periodic save; while one is written; between two, when fine-tuning has left
    # its decoding behind.
    for condition, pause, number, flags in (
        (lambda: saved(first), 0.0, signal.SIGKILL, ()),
        (lambda: being_saved(first + 200), 0.0, signal.SIGKILL, ()),
        (lambda: saved(first + 200) and scored(), 0.0 if client else 0.3, signal.SIGTERM, client),
    ):
        process = start(killed, *flags)
        try:
            _wait(
                lambda is_reached=condition, process=process: (
                    is_reached() or process.poll() is not None
                )
            )
            time.sleep(pause)
            assert process.poll() is None, killed.with_suffix(".log").read_text("utf-8")[-4000:]
            process.send_signal(number)
            if flags:
                time.sleep(0.3)
                assert process.poll() is None
            else:
                assert process.wait(TIMEOUT) == -number
        finally:
            process.kill()
            process.wait()
    assert not saved(first + 600)
    t5x_process.finish(start(killed), killed)
    for step in (first + 200, first + 400, first + 600):
        assert_same(leaves(whole / f"checkpoint_{step}"), leaves(killed / f"checkpoint_{step}"))
    read = step_lines.last_digests(whole / step_lines.DIGESTS)
    assert len(set(map(str, read.values()))) == len(read) >= 6
    assert read == step_lines.last_digests(killed / step_lines.DIGESTS)
