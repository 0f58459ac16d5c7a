"""Ours beside published, cell by cell: a verdict from a test, never from a threshold by taste.

In this order, the first that holds:

* ``NOT_RUN``: we have no such cell;
* ``SCALED``: ours is of a scaled profile;
* ``EQUAL``: the same at the decimals the paper prints;
* ``DIFFERS`` without a test: a counted number or a setting, in which chance has no part;
* ``UNTESTED``: neither side has a spread over runs;
* ``DIFFERS`` or ``WITHIN_NOISE``: Welch's test, or ``statistics.borrowed_spread`` where only one
  side has a spread; two-sided, at ``statistics.ALPHA`` after Holm's correction.

The family of the correction is every cell of the table that can be tested, also those that are
equal at printed precision: leaving these out because of how they came out would make it smaller
than it is. A median over n runs is tested as a mean whose standard deviation is greater by
``MEDIAN_FACTOR``; for normal scores that is the most a median's standard error exceeds a mean's
(the limit of large n), so the test errs towards "within seed noise".
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.statistics import ALPHA, Sample, borrowed_spread, holm, welch

EQUAL = "equal at printed precision"
WITHIN_NOISE = "within seed noise"
DIFFERS = "differs"
SCALED = "scaled profile, not comparable"
NOT_RUN = "not run"
UNTESTED = "no spread, not tested"
VERDICTS = (EQUAL, WITHIN_NOISE, DIFFERS, UNTESTED, SCALED, NOT_RUN)

MEDIAN_FACTOR = math.sqrt(math.pi / 2)
Test = Literal["Welch", "borrowed spread", ""]


@dataclass(frozen=True)
class Number:
    """One side of a cell, unrounded.

    Attributes:
      value: mean or median over the runs, or a setting; None where it is a word.
      std: standard deviation over the runs; None where it is not known.
      runs: how many; None where it is not known.
    """

    value: float | None
    std: float | None = None
    runs: int | None = None


@dataclass(frozen=True)
class Pair:
    """A published cell and ours.

    Attributes:
      published: as printed.
      ours: None where we have none.
      equal: whether both print the same at the paper's decimals.
      kind: "exact" for what is counted or set; else what stands in the cell over runs.
    """

    published: Number
    ours: Number | None
    equal: bool
    kind: Literal["mean", "median", "exact"] = "mean"


@dataclass(frozen=True)
class Verdict:
    """What was found of a pair.

    Attributes:
      difference: ours minus published; None where one of them is no number or is missing.
      test: what it was tested with; "" where it was not.
      p, p_holm: of the test, and adjusted over the family; None without a test.
      verdict: one of ``VERDICTS``.
    """

    difference: float | None
    test: Test
    p: float | None
    p_holm: float | None
    verdict: str


def judge(pairs: Sequence[Pair], *, comparable: bool) -> tuple[Verdict, ...]:
    """A verdict on every pair of one table.

    Args:
      pairs: every cell the paper prints.
      comparable: whether ours was run as published, in the profile ``paper``.

    >>> pair = Pair(Number(85.89, 0.17, 5), Number(86.46, 0.17, 5), equal=False)
    >>> (found,) = judge([pair], comparable=True)
    >>> found.test, found.verdict, round(found.difference, 2)
    ('Welch', 'differs', 0.57)
    >>> judge([pair], comparable=False)[0].verdict
    'scaled profile, not comparable'
    """
    tests = [_tested(pair) if comparable else ("", math.nan) for pair in pairs]
    adjusted = holm([p for _, p in tests])
    found = []
    for pair, (test, p), p_holm in zip(pairs, tests, adjusted, strict=True):
        verdict = Verdict(
            difference=_difference(pair),
            test=test,
            p=None if math.isnan(p) else p,
            p_holm=None if math.isnan(p_holm) else p_holm,
            verdict="",
        )
        words = _verdict(pair, verdict, comparable)
        found.append(dataclasses.replace(verdict, verdict=words))
    return tuple(found)


def _verdict(pair: Pair, found: Verdict, comparable: bool) -> str:
    if pair.ours is None:
        return NOT_RUN
    if not comparable:
        return SCALED
    if pair.equal:
        return EQUAL
    if pair.kind == "exact":
        return DIFFERS
    if found.p_holm is None:
        return UNTESTED
    return DIFFERS if found.p_holm < ALPHA else WITHIN_NOISE


def _tested(pair: Pair) -> tuple[Test, float]:
    if pair.ours is None or pair.kind == "exact":
        return "", math.nan
    factor = MEDIAN_FACTOR if pair.kind == "median" else 1.0
    ours, published = _sample(pair.ours, factor), _sample(pair.published, factor)
    if ours is None or published is None:
        return "", math.nan
    if ours.testable and published.testable:
        return "Welch", welch(ours, published)
    if ours.testable or published.testable:
        return "borrowed spread", borrowed_spread(ours, published)
    return "", math.nan


def _sample(number: Number, factor: float) -> Sample | None:
    if number.value is None or not number.runs:
        return None
    std = math.nan if number.std is None else number.std * factor
    return Sample(number.value, std, number.runs)


def _difference(pair: Pair) -> float | None:
    if pair.ours is None or pair.ours.value is None or pair.published.value is None:
        return None
    return pair.ours.value - pair.published.value
