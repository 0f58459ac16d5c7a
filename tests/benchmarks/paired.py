"""Times of a subject and of a control taken in turn, so that both see the same machine.

A machine's speed changes from minute to minute, more so when it is shared. So each round times
the control and then the subject, and the result is the median of the rounds' ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any


def ratio_of(subject_seconds: Sequence[float], control_seconds: Sequence[float]) -> dict[str, Any]:
    """Median of the rounds' ratios, subject over control, with their range.

    >>> ratio_of([1.0, 4.0, 1.5], [2.0, 4.0, 2.0])
    {'ratio': 0.75, 'lowest': 0.5, 'highest': 1.0, 'rounds': 3}
    """
    ratios = [s / c for s, c in zip(subject_seconds, control_seconds, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "rounds": len(ratios),
    }


def measure(
    benchmark: Any,
    subject: Callable[[], object],
    control: Callable[[], object],
    *,
    rounds: int,
    what: str,
    against: str,
    at_most: float | None = None,
    **facts: Any,
) -> None:
    """Benchmarks ``subject`` with ``control`` before every round.

    Both run once unmeasured, which compiles them. The ratio of times goes to the benchmark's
    ``extra_info`` and its JSON, and is printed beside ``at_most``: a higher one is no failure.

    Args:
      benchmark: pytest-benchmark's fixture.
      subject, control: do the same amount of work in each call, and return when it is done.
      rounds: pairs of measurements.
      what, against: one line each, for the summary.
      at_most: the ratio aimed at.
      facts: anything else to record.
    """
    control()
    subject()
    control_seconds: list[float] = []

    def time_control() -> None:
        start = time.perf_counter()
        control()
        control_seconds.append(time.perf_counter() - start)

    benchmark.pedantic(subject, setup=time_control, rounds=rounds)
    if benchmark.stats is None:  # --benchmark-disable
        return
    subject_seconds = benchmark.stats.stats.data
    benchmark.extra_info.update(
        what=what,
        against=against,
        at_most=at_most,
        control_seconds=statistics.median(control_seconds),
        **ratio_of(subject_seconds, control_seconds),
        **facts,
    )
