"""What a check of the paper's numbers found, and how to read the numbers it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import pandas as pd

from analysis.schema import quantities
from analysis.schema.facts import SUITE_HEADINGS, step_label
from analysis.schema.published import RELATIVE_FLOPS
from analysis.schema.quantities import SUITE_AVERAGE
from spactor.errors import UserError

Verdict = Literal["agrees", "explained", "disagrees", "open"]
VERDICTS: tuple[Verdict, ...] = ("agrees", "explained", "disagrees", "open")
"""``explained``: not equal, but no more apart than the way both were made lets one expect.
``open``: what is printed does not decide it."""

SUITE_NAMES = SUITE_HEADINGS


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
    """One check.

    Attributes:
      id: unique and stable.
      kind: "average", "k of n", "FLOPs", "bold" or "prose".
      where: place in the paper.
      said: what is printed there, in our words.
      arithmetic: what follows from other printed numbers, calculation included.
      verdict: one of ``VERDICTS``.
      remark: what to make of it.
      suspect: the cell that would explain it, where exactly one would.
    """

    id: str
    kind: str
    where: str
    said: str
    arithmetic: str
    verdict: Verdict
    remark: str = ""
    suspect: Suspect | None = None


@dataclass(frozen=True)
class Audit:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many findings have each verdict."""
        found = Counter(finding.verdict for finding in self.findings)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def disagreements(self) -> tuple[Finding, ...]:
        """Every finding that does not simply agree."""
        return tuple(finding for finding in self.findings if finding.verdict != "agrees")

    def summary(self) -> str:
        """One line of counts."""
        found = self.counts
        return (
            f"checked {len(self.findings):,}: {found['agrees']:,} agree, "
            f"{found['disagrees']} disagree, {found['explained']} differ and are explained, "
            f"{found['open']} can't be decided"
        )


def verdict_of(agrees: bool) -> Verdict:
    """For checks that know only yes and no."""
    return "agrees" if agrees else "disagrees"


@dataclass(frozen=True)
class Row:
    """A row of the paper's tables: a pre-trained model at a checkpoint."""

    size: str
    tau: str
    checkpoint: int

    @property
    def id(self) -> str:
        """As part of a finding's id."""
        return f"{self.size}/{self.tau}/{step_label(self.checkpoint)}"

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.size.capitalize()}, τ = {self.tau}, {step_label(self.checkpoint)}"


def row_of(record: Any) -> Row:
    """The row a record stands in; ``record`` is a named tuple of records' columns."""
    return Row(record.size, record.tau, int(record.checkpoint))


def tuples(records: pd.DataFrame) -> Iterable[Any]:
    """Records one by one, as named tuples of their columns."""
    return records.itertuples()


def exact(value: float, decimals: object) -> Fraction:
    """A number as the decimal fraction that was printed.

    >>> exact(85.89, 2)
    Fraction(8589, 100)
    """
    return Fraction(f"{value:.{int(str(decimals))}f}")


def half_unit(decimals: object) -> Fraction:
    """Most by which rounding to so many decimals moves a number.

    >>> half_unit(2)
    Fraction(1, 200)
    """
    return Fraction(1, 2 * 10 ** int(str(decimals)))


def shown(value: Fraction | float, decimals: int = 3) -> str:
    """A computed number, without trailing zeros.

    >>> shown(Fraction(1, 3)), shown(40.5), shown(Fraction(-1, 8))
    ('0.333', '40.5', '-0.125')
    """
    text = f"{float(value):.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class Printed:
    """The published numbers, to be asked for by what they are.

    Every question raises UserError, naming what is missing, when the records don't hold its answer.
    """

    def __init__(self, records: pd.DataFrame) -> None:
        self.records = records
        averages = records[(records["metric"] == SUITE_AVERAGE) & (records["task"] == "")]
        self._averages = {
            (row_of(record), str(record.suite)): record for record in tuples(averages)
        }
        tasks = records[records["task"] != ""]
        self._cells: dict[tuple[Row, str], list[Any]] = {}
        for record in tuples(tasks):
            self._cells.setdefault((row_of(record), str(record.suite)), []).append(record)
        self._facts = {
            (str(record.size), str(record.metric)): record
            for record in tuples(records[records["suite"] == ""])
            if pd.isna(record.checkpoint)
        }

    def averages(self) -> Iterable[tuple[Row, str, Any]]:
        """Row, suite and record of every suite average, in the tables' order."""
        return [(row, suite, record) for (row, suite), record in self._averages.items()]

    def cells(self, row: Row, suite: str) -> list[Any]:
        """Task records of a suite in a row of the breakdown tables; none where it has none."""
        return self._cells.get((row, suite), [])

    def breakdown(self) -> Iterable[tuple[Row, str, list[Any]]]:
        """Row, suite and records of everything the breakdown tables hold."""
        return [(row, suite, records) for (row, suite), records in self._cells.items()]

    def average(self, row: Row, suite: str) -> Any:
        """Record of a suite average."""
        return self._asked(self._averages, (row, suite), f"average of {suite}, {row.text}")

    def mean(self, row: Row, suite: str) -> Fraction:
        """A suite average, exactly as printed."""
        record = self.average(row, suite)
        return exact(record.value, record.decimals)

    def std(self, row: Row, suite: str) -> Fraction:
        """Its standard deviation, exactly as printed."""
        record = self.average(row, suite)
        return exact(record.std, record.decimals)

    def fact(self, size: str, metric: str) -> Fraction:
        """A setting or a fact, exactly as printed."""
        record = self._asked(self._facts, (size, metric), f"{metric} {size}".strip())
        return Fraction(str(record.value))

    def flops(self, row: Row) -> Any:
        """Record of the relative FLOPs of a row."""
        found = self.records[
            (self.records["metric"] == RELATIVE_FLOPS)
            & (self.records["size"] == row.size)
            & (self.records["tau"] == row.tau)
            & (self.records["checkpoint"] == row.checkpoint)
        ]
        if found.empty:
            raise UserError(f"the records hold no FLOPs of {row.text}; give the published ones")
        return next(iter(tuples(found)))

    def tasks_of(self, place: str) -> int:
        """Distinct tasks of a table."""
        frame = self.records[self.records["place"] == place]
        return int(frame.loc[frame["task"] != "", ["suite", "task"]].drop_duplicates().shape[0])

    def runs_of(self, place: str) -> int:
        """Number of runs behind the cells of a table, where it is one number."""
        found = self.records.loc[self.records["place"] == place, "runs"].dropna().unique()
        if len(found) != 1:
            raise UserError(f"{place}: {len(found)} different numbers of runs; give one")
        return int(found[0])

    @staticmethod
    def _asked(known: dict[Any, Any], key: Any, what: str) -> Any:
        if key not in known:
            raise UserError(f"the records hold no {what}; give the published ones")
        return known[key]


def headings() -> dict[tuple[str, str], str]:
    """Column heading of every (suite, task) of the breakdown tables."""
    return {(item.suite, item.task): item.heading for item in quantities.paper_tasks()}


def examples() -> dict[tuple[str, str, str], int]:
    """Size of the evaluation set of every (suite, task, metric) that is a count over one."""
    return {
        (item.suite, item.task, item.metric): item.examples
        for item in quantities.paper_tasks()
        if item.examples
    }
