"""Examples per second on one core: our corruption against T5's tf.data pipeline."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import paired
import pytest

pytestmark = pytest.mark.benchmark

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = 8192
"""A request; many more than T5's pipeline keeps in its buffers between requests."""


class _Worker:
    """One pinned process; each call has it corrupt ``EXAMPLES`` examples."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers
        self.processor_seconds: list[float] = []

    def __call__(self) -> None:
        print(EXAMPLES, file=self._requests, flush=True)
        facts = json.loads(self._answers.readline())
        self.processor_seconds.append(facts["processor_seconds"])


@contextmanager
def _worker(engine: str, core: int) -> Iterator[_Worker]:
    command = [sys.executable, str(Path(__file__).with_name("pinned_worker.py")), engine, str(core)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}
    environment.pop("XLA_FLAGS", None)
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    ) as process:
        assert process.stdin and process.stdout
        try:
            assert process.stdout.readline() == "ready\n"
            yield _Worker(process.stdin, process.stdout)
        finally:
            process.stdin.close()
            process.wait(timeout=60)


def test_corruption(benchmark: Any) -> None:
    """Ours masks tokens for the generator too, which T5's pipeline does not."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot pin a process to a core")
    core = max(os.sched_getaffinity(0))
    with _worker("ours", core) as ours, _worker("t5", core) as theirs:
        paired.measure(
            benchmark,
            ours,
            theirs,
            rounds=5,
            what="corruption of 568 tokens, one core",
            against="T5's denoising and seqio's converter in tf.data, one core",
            at_most=0.1,
        )
        mine, other = (statistics.median(worker.processor_seconds[1:]) for worker in (ours, theirs))
    if benchmark.stats is not None:
        benchmark.extra_info.update(
            examples_per_processor_second=EXAMPLES / mine,
            control_examples_per_processor_second=EXAMPLES / other,
            processor_ratio=mine / other,
        )
