"""Time of a run's workers by activity, and their memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

PRETRAINING, FINETUNING = "pre-training", "fine-tuning"
SCORING, COMPILING, STARTING, IDLE = "scoring", "compiling", "importing", "idle"


def peak_bytes() -> int:
    """Returns the peak resident memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Stopwatch:
    """Measures the seconds of a process by activity, without the time of nested activities."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._compiled: list[tuple[float, float]] = []

    @contextmanager
    def measure(self, activity: str) -> Iterator[None]:
        """Adds the time of a ``with`` block to an activity, without that of nested activities."""
        began, before = time.monotonic(), self._counted()
        try:
            yield
        finally:
            within = self._counted() - before
            self._seconds[activity] += time.monotonic() - began - within

    def compiled(self, event: str, duration_secs: float, **more: object) -> None:
        """Records an event of ``jax.monitoring``: tracing, lowering or compiling, maybe nested."""
        if event.startswith("/jax/core/compile/"):
            now = time.monotonic()
            # An event is reported at its end, after nested ones, which it replaces.
            while self._compiled and self._compiled[-1][0] >= now - duration_secs:
                self._compiled.pop()
            self._compiled.append((now - duration_secs, now))

    def take(self) -> Mapping[str, float]:
        """Returns the seconds since the last call, by activity."""
        found = {**self._seconds, COMPILING: self._compiling()}
        self._seconds.clear()
        self._compiled.clear()
        return found

    def _counted(self) -> float:
        return sum(self._seconds.values()) + self._compiling()

    def _compiling(self) -> float:
        return sum(end - start for start, end in self._compiled)


@dataclass
class Spent:
    """Time and memory of the workers of a run.

    Attributes:
      seconds: seconds summed over the workers, by activity.
      peaks: peak memory of each process in bytes, by process id.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    peaks: dict[int, int] = field(default_factory=dict)

    def add(self, seconds: Mapping[str, float], process: int, peak: int) -> None:
        """Adds the report of a worker.

        Args:
          seconds: seconds since its last report, by activity.
          process: id of the process.
          peak: peak memory of the process in bytes.
        """
        for activity, taken in seconds.items():
            self.seconds[activity] += taken
        self.peaks[process] = peak

    def lines(self, elapsed: float, jobs: int) -> list[str]:
        """Formats a table of the workers' seconds by activity, then a line with the memory.

        Args:
          elapsed: seconds since the workers started.
          jobs: number of workers.

        >>> spent = Spent()
        >>> spent.add({PRETRAINING: 45.0, COMPILING: 15.0}, process=1, peak=3 * 10**9)
        >>> for line in spent.lines(45.0, 2)[:-1]: print(line)
        time of 2 workers      90 s
          pre-training         45 s  50 %
          compiling            15 s  17 %
          idle                 30 s  33 %
        """
        whole = elapsed * jobs
        idle = max(whole - sum(self.seconds.values()), 0.0)
        workers = f"time of {jobs} worker{'s' if jobs > 1 else ''}"
        lines = [f"{workers:18} {whole:6,.0f} s"]
        order = (PRETRAINING, FINETUNING, SCORING, COMPILING, STARTING)
        rows = [*((name, self.seconds[name]) for name in order), (IDLE, idle)]
        for name, seconds in rows:
            if whole and seconds:
                lines.append(
                    f"  {name:16} {seconds:6,.0f} s {seconds / whole:4.0%}".replace("%", " %")
                )
        peaks = {**self.peaks, os.getpid(): peak_bytes()}
        lines.append(
            f"memory: {sum(peaks.values()) / 1e9:.1f} GB, the sum of the peaks of "
            f"{len(peaks)} processes"
        )
        return lines
