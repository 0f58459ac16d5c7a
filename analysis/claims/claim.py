"""What a claim is, what judging it gives, and how it names the records it rests on."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import pyarrow.compute as pc

from analysis.claims.evidence import Evidence
from analysis.schema.rows import SCORES, of_metrics


class Verdict(enum.StrEnum):
    """What the numbers say of a claim.

    ``FAILS``: the test that would bear the claim out succeeds nowhere; with few runs that need not
    mean that the opposite is true. ``PARTLY``: it succeeds in some cells only, or the numbers leave
    it open. ``INCONSISTENT`` is a published statement that other published numbers contradict by
    arithmetic; of measured records the same finding is a plain ``FAILS``.
    """

    HOLDS = "holds"
    PARTLY = "partly"
    FAILS = "fails"
    INCONSISTENT = "inconsistent"
    NOT_TESTABLE = "not testable with this data"


@dataclass(frozen=True)
class Finding:
    """A verdict and the numbers behind it, in a sentence."""

    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Cells:
    """The records a claim reads; an empty tuple restricts nothing.

    Attributes:
      metrics: exact names, or beginnings that end in "/". ``average`` stands for a suite's score,
        and so for every task's score of a measured run.
      sizes, taus, checkpoints, suites: as in the records.
    """

    metrics: tuple[str, ...]
    sizes: tuple[str, ...] = ()
    taus: tuple[str, ...] = ()
    checkpoints: tuple[int, ...] = ()
    suites: tuple[str, ...] = ()

    def mask(self, records: pd.DataFrame) -> pd.Series:
        """True at the records meant."""
        chosen = records["metric"].isin(self.metrics)
        for metric in self.metrics:
            if metric.endswith("/"):
                chosen |= records["metric"].str.startswith(metric)
            if metric == "average":
                chosen |= (records["suite"] != "") & records["seed"].notna()
            if metric == "task":
                chosen |= records["task"] != ""
        for column, allowed in (
            ("size", self.sizes),
            ("tau", self.taus),
            ("checkpoint", self.checkpoints),
            ("suite", self.suites),
        ):
            if allowed:
                chosen &= records[column].isin(allowed)
        return chosen.astype(bool)

    @property
    def row_filter(self) -> pc.Expression:
        """Selects at least these records of a file."""
        suites = {"average", "task"}
        named = of_metrics(*(metric for metric in self.metrics if metric not in suites))
        return named | SCORES if suites & set(self.metrics) else named

    def __str__(self) -> str:
        parts = [", ".join(self.metrics), *map(", ".join, (self.sizes, self.suites))]
        parts.append(", ".join(f"τ = {tau}" for tau in self.taus))
        parts.append(", ".join(f"{checkpoint // 1000}K" for checkpoint in self.checkpoints))
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable statement of the paper.

    Attributes:
      id: short and readable, with its place's name in front.
      place: section, table or appendix.
      says: the statement, in our words.
      test: the kind of test, with its margin where it has one.
      rests_on: the records it reads.
      judge: a pure function of the evidence; raises ``Missing`` where the data can't tell.
    """

    id: str
    place: str
    says: str
    test: str
    rests_on: tuple[Cells, ...]
    judge: Callable[[Evidence], Finding]


@dataclass(frozen=True)
class Judgement:
    """A claim judged on records of one source and profile ("" of no records)."""

    claim: Claim
    source: str
    profile: str
    verdict: Verdict
    sentence: str


def graded(passed: int, total: int, *, incomplete: bool = False) -> Verdict:
    """Holds where all of several parts do, fails where none does; a part not run forbids holds.

    >>> [graded(passed, 3).value for passed in (3, 1, 0)], graded(3, 3, incomplete=True).value
    (['holds', 'partly', 'fails'], 'partly')
    """
    if not passed:
        return Verdict.FAILS
    return Verdict.HOLDS if passed == total and not incomplete else Verdict.PARTLY


def contradiction(evidence: Evidence) -> Verdict:
    """What arithmetic against a statement amounts to, by where the numbers come from."""
    return Verdict.INCONSISTENT if evidence.source == "published" else Verdict.FAILS
