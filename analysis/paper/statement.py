"""Types for the paper's statements, their judges, findings and verdicts.

``statements.csv`` lists the statements in the order of the paper; the decorator ``judges``
registers the function that judges one of them.
"""

from __future__ import annotations

import csv
import enum
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.paper.contrasts import Family
from analysis.paper.evidence import Evidence, Missing, OtherScale
from analysis.tests import ALPHA, Kind


class Verdict(enum.StrEnum):
    """Result of judging a statement or a printed cell; the value is the name that outputs print.

    ``PARTLY``: shown in some cells only. ``EXPLAINED``: a recomputed number differs from the
    printed one by no more than rounding, or the use of medians for means, can cause.
    ``NOT_DECIDED``: neither the statement nor its opposite is shown. ``CONTRADICTED``: the opposite
    is shown, by a test or by arithmetic on measured numbers. ``INCONSISTENT``: arithmetic on other
    published numbers contradicts a published one. ``NOT_AT_SCALE``: the statement is about the
    paper's sizes, and the records are of a scaled profile. ``NOT_TESTABLE``: the records lack
    numbers that the test needs.
    """

    HOLDS = "holds"
    EXPLAINED = "explained"
    PARTLY = "partly"
    NOT_DECIDED = "not decided"
    CONTRADICTED = "contradicted"
    INCONSISTENT = "inconsistent"
    NOT_AT_SCALE = "not testable at this scale"
    NOT_TESTABLE = "not testable"


CLAIM_VERDICTS = tuple(verdict for verdict in Verdict if verdict is not Verdict.EXPLAINED)
"""Verdicts that a statement can have; ``EXPLAINED`` is for recomputed cells only."""


class Basis(enum.StrEnum):
    """Kind of evidence that a statement is judged on, which decides the commands that list it.

    ``RUNS``: a test of scores or curves over runs; listed by ``repro claims``. ``ARITHMETIC``:
    arithmetic on published or measured numbers; listed by both commands. ``PRINT``: the printed
    text alone, which no run can confirm or refute; listed by ``repro audit``.
    """

    RUNS = "runs"
    ARITHMETIC = "arithmetic"
    PRINT = "print"


@dataclass(frozen=True)
class Suspect:
    """The only printed cell whose error would explain an inconsistent average.

    Attributes:
      where: table, row and column.
      printed: printed value.
      needed: value that would make the average consistent, before rounding.
      nearest: possible value nearest to ``needed``, as "k/n = …" if the cell is an accuracy.
      slip: possible values that differ from the printed one by one digit, each with the remaining
        difference; "" if there is none.
      reason: the numbers that make the cell an outlier.
    """

    where: str
    printed: str
    needed: str
    nearest: str
    slip: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """A verdict and the numbers behind it.

    Attributes:
      verdict: verdict on the statement.
      sentence: the numbers and the calculation.
      remark: explanation or limitation of the verdict; "" if the numbers suffice.
      suspect: the cell whose error would explain an inconsistency, if there is exactly one.
      tested: the kind of test and the family of contrasts it was applied to, if any.
    """

    verdict: Verdict
    sentence: str
    remark: str = ""
    suspect: Suspect | None = None
    tested: tuple[Kind, Family] | None = None


@dataclass(frozen=True)
class Passage:
    """A sentence, table cell or caption of the paper.

    Attributes:
      id: unique and stable name, made of place and topic.
      place: section, table or appendix.
      text: the statement in our words, or the printed cell.
      test: the kind of test, with its margin if it has one; "" for a cell.
    """

    id: str
    place: str
    text: str
    test: str = ""


Judge = Callable[[Evidence], Finding]


@dataclass(frozen=True, kw_only=True)
class Statement(Passage):
    """A checkable statement of the paper.

    Attributes:
      judge: pure function of the evidence; raises ``Missing`` if the records lack numbers.
      basis: kind of evidence that decides the statement.
      sized: whether the statement is about the paper's sizes and settings, such as its steps.
    """

    judge: Judge
    basis: Basis
    sized: bool

    @property
    def claimed(self) -> bool:
        """Whether ``repro claims`` lists the statement."""
        return self.basis is not Basis.PRINT

    @property
    def audited(self) -> bool:
        """Whether ``repro audit`` lists the statement."""
        return self.basis is not Basis.RUNS

    def judged(self, evidence: Evidence) -> Judgement:
        """Applies the judge.

        If records are missing the verdict is ``NOT_TESTABLE`` and the sentence names them. A
        ``sized`` statement is ``NOT_AT_SCALE`` on records of a scaled profile.
        """
        try:
            finding = self.judge(evidence)
            if self.sized and evidence.scaled:
                finding = replace(finding, verdict=Verdict.NOT_AT_SCALE)
        except Missing as missing:
            scale = isinstance(missing, OtherScale)
            verdict = Verdict.NOT_AT_SCALE if scale else Verdict.NOT_TESTABLE
            finding = Finding(verdict, str(missing))
        return Judgement(self, finding, evidence.source, evidence.profile)


@dataclass(frozen=True)
class Judgement:
    """A passage with its finding.

    Attributes:
      statement: the judged ``Statement`` or table cell.
      finding: the result.
      source, profile: source and profile of the records; "" without records.
    """

    statement: Passage
    finding: Finding
    source: str = "published"
    profile: str = "paper"

    @property
    def verdict(self) -> Verdict:
        return self.finding.verdict

    @property
    def sentence(self) -> str:
        """The numbers, preceded by the profile if it is not the paper's."""
        scaled = self.source == "measured" and self.profile != "paper"
        scale = f"at {self.profile} scale: " if scaled else ""
        return scale + self.finding.sentence

    @property
    def origin(self) -> str:
        """Origin of the numbers: "published" or the profile's name."""
        return "published" if self.source == "published" else self.profile or "no records"


def counted(judgements: Sequence[Judgement]) -> str:
    """Counts judgements by verdict, in words.

    >>> counted([])
    'none'
    """
    found = Counter(judgement.verdict for judgement in judgements)
    return ", ".join(f"{found[v]:,} {v}" for v in Verdict if found[v]) or "none"


_JUDGES: dict[str, Judge] = {}


def judges(id: str) -> Callable[[Judge], Judge]:
    """Returns a decorator that registers a function as the judge of a statement.

    Args:
      id: id of the statement.
    """

    def add(judge: Judge) -> Judge:
        _JUDGES[id] = judge
        return judge

    return add


def registry() -> tuple[Statement, ...]:
    """Reads ``statements.csv``, and gives each statement its registered judge.

    Raises:
      KeyError: no imported module registers a judge of a statement.
    """
    with (Path(__file__).parent / "statements.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Statement(
                id=row["id"],
                place=row["place"],
                text=row["statement"],
                test=row["test"],
                judge=_JUDGES[row["id"]],
                basis=Basis(row["basis"]),
                sized=bool(row["sized"]),
            )
            for row in csv.DictReader(file)
        )


def graded(
    passed: int, total: int, *, incomplete: bool = False, none: Verdict = Verdict.NOT_DECIDED
) -> Verdict:
    """Returns the verdict on a statement with several parts.

    Args:
      passed: number of parts that hold.
      total: number of parts.
      incomplete: whether some part was not run, which excludes ``HOLDS``.
      none: verdict if no part holds.

    >>> [graded(passed, 3).value for passed in (3, 1, 0)], graded(3, 3, incomplete=True).value
    (['holds', 'partly', 'not decided'], 'partly')
    """
    if not passed:
        return none
    return Verdict.HOLDS if passed == total and not incomplete else Verdict.PARTLY


def decided(mean: float, p_value: float) -> Verdict:
    """Returns the verdict of a two-sided test of a mean that is positive if the statement holds.

    >>> decided(0.1, 0.01).value, decided(-0.1, 0.01).value, decided(0.1, 0.2).value
    ('holds', 'contradicted', 'not decided')
    """
    if math.isnan(p_value):
        return Verdict.NOT_TESTABLE
    if p_value >= ALPHA:
        return Verdict.NOT_DECIDED
    return Verdict.HOLDS if mean > 0.0 else Verdict.CONTRADICTED


def rounds_to(found: float, printed: float, decimals: int) -> bool:
    """Whether a number is within half a unit of the last printed digit.

    >>> rounds_to(1.045, 1.05, 2), rounds_to(1.25, 1.2, 1), rounds_to(3.6, 3.0, 0)
    (True, True, False)
    """
    return abs(found - printed) <= 0.5 * 10.0**-decimals + 1e-9  # error of binary fractions


def contradiction(evidence: Evidence) -> Verdict:
    """Returns the verdict of arithmetic that refutes a statement, by the source of the numbers."""
    return Verdict.INCONSISTENT if evidence.source == "published" else Verdict.CONTRADICTED


def arithmetic(evidence: Evidence, fits: bool) -> Verdict:
    """Returns the verdict of a calculation that either confirms or refutes a statement."""
    return Verdict.HOLDS if fits else contradiction(evidence)
