"""Statements of the paper: what one is, the records it reads, and the verdicts it can get.

``statements.csv`` lists them in the order of the paper; ``judges`` binds a function to one.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.paper.contrasts import Family
from analysis.paper.evidence import Evidence, Missing, OtherScale
from analysis.schema import csv_files
from analysis.tests import ALPHA, Kind


class Verdict(enum.StrEnum):
    """Result of judging a statement or a printed cell; the value is its name in every output.

    ``PARTLY``: shown in some cells only. ``EXPLAINED``: a recomputed number differs from the
    printed one, but by no more than rounding, or a mean against a median, accounts for.
    ``NOT_DECIDED``: neither the statement nor its opposite is shown. ``CONTRADICTED``: the opposite
    is shown, by a test or, of measured numbers, by arithmetic. ``INCONSISTENT``: other published
    numbers contradict a published one by arithmetic. ``NOT_AT_SCALE``: the statement is about
    the paper's sizes, and the records are of a scaled profile. ``NOT_TESTABLE``: what the test
    needs is not in the records.
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
"""Verdicts of statements; ``EXPLAINED`` is one of recomputed cells alone."""


class Basis(enum.StrEnum):
    """What a statement is judged on, which decides the views that list it.

    ``RUNS``: scores or curves over runs, by a test; listed by ``repro claims``. ``ARITHMETIC``:
    numbers that follow from others, published or measured; listed by both views. ``PRINT``: the
    printed text alone, which no run can confirm or refute; listed by ``repro audit``.
    """

    RUNS = "runs"
    ARITHMETIC = "arithmetic"
    PRINT = "print"


@dataclass(frozen=True)
class Suspect:
    """The one printed cell that would explain a disagreement.

    Attributes:
      where: table, row and column.
      printed: as printed.
      needed: value that would make the disagreement vanish, before rounding.
      nearest: the possible value nearest to it, as "k/n = …" where the cell is a count.
      slip: possible values that differ from the printed one by one digit, each with what it
        leaves of the disagreement; "" if none fits.
      reason: why this cell, in numbers.
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
      verdict: of the statement.
      sentence: the numbers and the calculation.
      remark: what explains or limits the verdict; "" where the numbers suffice.
      suspect: the cell that would explain a disagreement, where exactly one would.
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
      id: unique and stable; place and topic in short.
      place: section, table or appendix.
      text: the statement in our words, or the cell as printed.
      test: the kind of test, with its margin where it has one; "" of a cell.
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
      judge: a pure function of the evidence; raises ``Missing`` where the records do not decide.
      basis: what kind of evidence decides it.
      sized: whether it is about the paper's sizes and settings, such as shapes and steps.
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

        Missing records give ``NOT_TESTABLE`` and what is missing; records of a scaled profile
        ``NOT_AT_SCALE`` where the statement is about the paper's sizes.
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
      statement: what was judged: a ``Statement``, or a table cell.
      finding: the result.
      source, profile: of the records; "" of no records.
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
        """The numbers, after the profile where it is not the paper's."""
        scaled = self.source == "measured" and self.profile != "paper"
        return (
            f"at {self.profile} scale: {self.finding.sentence}"
            if scaled
            else (self.finding.sentence)
        )

    @property
    def origin(self) -> str:
        """Where the numbers come from: "published" or the profile."""
        return "published" if self.source == "published" else self.profile or "no records"


def counted(judgements: Sequence[Judgement]) -> str:
    """How many of each verdict.

    >>> counted([])
    'none'
    """
    found = Counter(judgement.verdict for judgement in judgements)
    return ", ".join(f"{found[v]:,} {v}" for v in Verdict if found[v]) or "none"


_JUDGES: dict[str, Judge] = {}


def judges(id: str) -> Callable[[Judge], Judge]:
    """Decorator: the function judges the statement of that id."""

    def add(judge: Judge) -> Judge:
        _JUDGES[id] = judge
        return judge

    return add


def registry() -> tuple[Statement, ...]:
    """The rows of ``statements.csv``, with the judges that were imported."""
    table = csv_files.read(Path(__file__).parent / "statements.csv")
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
        for row in table.by_name()
    )


def graded(
    passed: int, total: int, *, incomplete: bool = False, none: Verdict = Verdict.NOT_DECIDED
) -> Verdict:
    """Verdict of a statement with several parts.

    Args:
      passed: parts that hold.
      total: parts there are.
      incomplete: some part was not run, which excludes ``HOLDS``.
      none: verdict where no part holds.

    >>> [graded(passed, 3).value for passed in (3, 1, 0)], graded(3, 3, incomplete=True).value
    (['holds', 'partly', 'not decided'], 'partly')
    """
    if not passed:
        return none
    return Verdict.HOLDS if passed == total and not incomplete else Verdict.PARTLY


def decided(mean: float, p_value: float) -> Verdict:
    """Verdict of a two-sided test of a mean that is positive where the statement holds.

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
    return abs(found - printed) <= 0.5 * 10.0**-decimals + 1e-9  # for binary fractions


def contradiction(evidence: Evidence) -> Verdict:
    """Verdict of arithmetic against a statement, by where the numbers come from."""
    return Verdict.INCONSISTENT if evidence.source == "published" else Verdict.CONTRADICTED


def arithmetic(evidence: Evidence, fits: bool) -> Verdict:
    """Verdict of a calculation that either confirms a statement or contradicts it."""
    return Verdict.HOLDS if fits else contradiction(evidence)
