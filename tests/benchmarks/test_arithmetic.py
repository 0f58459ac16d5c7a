"""What the benchmarks compute from their clocks; the benchmarks themselves run apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paired
import summary
import utilisation


class _Fixture:
    """pytest-benchmark's fixture, with given times."""

    def __init__(self, seconds: list[float]) -> None:
        self.extra_info: dict[str, object] = {}
        self.stats = self
        self.data = seconds

    def pedantic(
        self, subject: Callable[[], object], setup: Callable[[], object], rounds: int
    ) -> None:
        for _ in range(rounds):
            setup()
            subject()


def test_the_control_runs_before_every_round() -> None:
    calls = []
    fixture = _Fixture([1.0, 1.0, 1.0])
    paired.measure(
        fixture,
        lambda: calls.append("subject"),
        lambda: calls.append("control"),
        rounds=3,
        what="a",
        against="b",
        at_most=2.0,
        seconds_aimed_at=5,
    )
    assert calls == ["control", "subject"] * 4, "the first pair compiles"
    facts: dict[str, Any] = fixture.extra_info
    expected = {"what": "a", "against": "b", "rounds": 3, "at_most": 2.0, "seconds_aimed_at": 5}
    assert expected.items() <= facts.items() and facts["ratio"] > 1


def test_the_summary_has_ratio_aim_and_utilisation() -> None:
    result = {
        "benchmarks": [
            {
                "name": "one",
                "stats": {"median": 2.0},
                "extra_info": {
                    "what": "step",
                    "against": "other",
                    "at_most": 1.0,
                    "control_seconds": 1.6,
                    **paired.ratio_of([2.0, 2.0, 2.0], [1.6, 1.0, 2.5]),
                    **utilisation.describe(2.75e13, 0.25, "TPU v4"),
                },
            },
            {"name": "two", "stats": {"median": 0.5}, "extra_info": {}},
        ]
    }
    assert [" ".join(line.split()) for line in summary.lines(result)] == [
        "what against time ratio range aimed at reached",
        "step other 1.250 0.800-2.000 ≤ 1 no",
        "median 2 s, control 1.6 s, 3 rounds; 1.1e+14 FLOPs per second and device; MFU 40.0%; "
        "of TPU v4: 2.75e+14 dense bfloat16 FLOPs per second",
        "two",
        "median 0.5 s",
    ]
