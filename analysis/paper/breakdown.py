"""Suite averages of Tables 2 and 4 with their task cells of Tables 6 to 17, in exact fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pandas as pd

from analysis.paper.statement import Verdict
from analysis.schema import quantities
from analysis.schema.facts import size_label, step_label
from analysis.schema.quantities import SUITE_AVERAGE


@dataclass(frozen=True)
class Row:
    """A row of the paper's tables: a pre-trained model at a checkpoint."""

    size: str
    tau: str
    checkpoint: int

    @property
    def id(self) -> str:
        """The row's part of a judgement's id."""
        return f"{self.size}/{self.tau}/{step_label(self.checkpoint)}"

    @property
    def text(self) -> str:
        """Label of the row."""
        return f"{size_label(self.size)}, τ = {self.tau}, {step_label(self.checkpoint)}"


class Breakdown:
    """Averages and task cells of the published records.

    A record is a named tuple of the records' columns.
    """

    def __init__(self, records: pd.DataFrame) -> None:
        averages = records[(records["metric"] == SUITE_AVERAGE) & (records["task"] == "")]
        self._averages = {
            (_row_of(record), str(record.suite)): record for record in averages.itertuples()
        }
        self._cells: dict[tuple[Row, str], list[Any]] = {}
        for record in records[records["task"] != ""].itertuples():
            self._cells.setdefault((_row_of(record), str(record.suite)), []).append(record)

    def averages(self) -> list[tuple[Row, str, Any]]:
        """Returns row, suite and record of every suite average, in the tables' order."""
        return [(row, suite, record) for (row, suite), record in self._averages.items()]

    def cells(self, row: Row, suite: str) -> list[Any]:
        """Returns the task records of a suite in a row of the breakdown tables; [] if none."""
        return self._cells.get((row, suite), [])

    def groups(self) -> list[tuple[Row, str, list[Any]]]:
        """Returns row, suite and task records of every row and suite of the breakdown tables."""
        return [(row, suite, records) for (row, suite), records in self._cells.items()]


def _row_of(record: Any) -> Row:
    return Row(record.size, record.tau, int(record.checkpoint))


def consistent(fits: bool) -> Verdict:
    """Converts the outcome of a check of printed numbers to a verdict."""
    return Verdict.HOLDS if fits else Verdict.INCONSISTENT


def exact(value: float, decimals: object) -> Fraction:
    """Converts a number to the decimal fraction that was printed.

    >>> exact(85.89, 2)
    Fraction(8589, 100)
    """
    return Fraction(f"{value:.{int(str(decimals))}f}")


def half_unit(decimals: object) -> Fraction:
    """Returns the largest change of a number when it is rounded to a number of decimals.

    >>> half_unit(2)
    Fraction(1, 200)
    """
    return Fraction(1, 2 * 10 ** int(str(decimals)))


def shown(value: Fraction | float, decimals: int = 3) -> str:
    """Formats a computed number without trailing zeros.

    >>> shown(Fraction(1, 3)), shown(40.5), shown(Fraction(-1, 8))
    ('0.333', '40.5', '-0.125')
    """
    text = f"{float(value):.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def headings() -> dict[tuple[str, str], str]:
    """Returns the column heading of every (suite, task) of the breakdown tables."""
    return {(item.suite, item.task): item.heading for item in quantities.paper_tasks()}


def examples() -> dict[tuple[str, str, str], int]:
    """Returns the size of the evaluation set of every (suite, task, metric) that is an accuracy."""
    return {
        (item.suite, item.task, item.metric): item.examples
        for item in quantities.paper_tasks()
        if item.examples
    }
