"""Time of a run's workers by activity, and their memory."""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

PRETRAINING, FINETUNING = "pre-training", "fine-tuning"
SCORING, COMPILING, STARTING, IDLE = "scoring", "compiling", "importing", "idle"


class Memory(NamedTuple):
    """Memory of a process, in bytes.

    Attributes:
      peak: peak resident memory.
      files: part of the present resident memory that is mapped from files, such as libraries, and
        that processes share; 0 if unknown.
    """

    peak: int
    files: int

    @classmethod
    def of_this_process(cls) -> Memory:
        """Returns the memory of this process."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if sys.platform == "darwin":
            return cls(peak, 0)
        found = re.search(r"^RssFile:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
        return cls(peak * 1024, int(found[1]) * 1024 if found else 0)


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
      memory: memory of each process, by process id.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    memory: dict[int, Memory] = field(default_factory=dict)

    def add(self, seconds: Mapping[str, float], process: int, memory: Memory) -> None:
        """Adds the report of a worker.

        Args:
          seconds: seconds since its last report, by activity.
          process: id of the process.
          memory: memory of the process.
        """
        for activity, taken in seconds.items():
            self.seconds[activity] += taken
        self.memory[process] = memory

    def lines(self, elapsed: float, jobs: int) -> list[str]:
        """Formats a table of the workers' seconds by activity, then a line with the memory.

        Args:
          elapsed: seconds since the workers started.
          jobs: number of workers.

        >>> spent = Spent()
        >>> spent.add({PRETRAINING: 45.0, COMPILING: 15.0}, 1, Memory(3 * 10**9, 10**9))
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
        processes = {**self.memory, os.getpid(): Memory.of_this_process()}.values()
        lines.append(
            f"memory: {together(processes) / 1e9:.1f} GB, the sum of {len(processes)} processes' "
            "peaks, with shared files counted once"
        )
        return lines


def together(processes: Collection[Memory]) -> int:
    """Returns the memory of several processes in bytes, with what they map from files once.

    >>> together([Memory(peak=30, files=10), Memory(peak=25, files=12)])
    45
    """
    return sum(one.peak - one.files for one in processes) + max(one.files for one in processes)
