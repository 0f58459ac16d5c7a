"""Tables 6 to 17: every task of every suite, medians over runs.

A measured table has the paper's columns. If none of the paper's tasks of a suite was run, it has
columns of the suite's embedded tasks instead.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow.compute as pc

from analysis import scores
from analysis.required import RequiredRun
from analysis.schema import quantities
from analysis.schema.facts import (
    REPORTED_SELECTION,
    SUITE_HEADINGS,
    metric_label,
    size_label,
    step_label,
    tau_label,
)
from analysis.schema.records import DIVERGED as DIVERGED_METRICS
from analysis.schema.records import sole_profile
from analysis.schema.rows import SCORES, of_metrics
from tables import notes, score_tables
from tables.cells import BLOCK_COLUMNS, DIVERGED, ILLEGIBLE, MISSING, Cell, Column, Row, Table

LABEL_COLUMNS = (Column("size", "Size"), Column("tau", "τ"), Column("checkpoint", "Ckpt."))
CELLS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "base": tuple((tau, at) for at in (500_000, 1_000_000) for tau in ("0", "250K", "120K")),
    "large": tuple((tau, at) for at in (500_000, 1_000_000) for tau in ("0", "120K")),
}
"""τ and checkpoint of the paper's rows, by size."""
SUITE_TABLES = {table.size: table.NUMBER for table in score_tables.TABLES}
FIRST_MMLU_TASKS = 32
"""Number of MMLU's tasks in Tables 14 and 16; Tables 15 and 17 have the others."""


@dataclass(frozen=True)
class TaskColumn:
    """A column: a task, and the metrics in its cells."""

    suite: str
    task: str
    heading: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Breakdown:
    """One of Tables 6 to 17.

    Attributes:
      NUMBER: number of the table in the paper.
      size: size of the models.
      suites: suites in the order of the columns.
      title: name of the tasks in the caption.
      tasks: slice of the suites' tasks that the table has.
    """

    NUMBER: int
    size: str
    suites: tuple[str, ...]
    title: str
    tasks: slice

    @property
    def DOC(self) -> str:
        """Description of the table, and the paper's claim about it."""
        headings = ", ".join(SUITE_HEADINGS[suite] for suite in self.suites)
        return (
            f"Table {self.NUMBER}: {self.title}, SPACTOR-{size_label(self.size)}(τ).\n\n"
            f"Claims: nothing of its own; the cells behind Table {SUITE_TABLES[self.size]}, "
            f"{headings}.\n"
        )

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs that the table needs."""
        return tuple(RequiredRun(self.size, *cell) for cell in CELLS[self.size])

    @property
    def reads(self) -> pc.Expression:
        """Filter of the records that the table reads."""
        return of_metrics(DIVERGED_METRICS) | SCORES

    @property
    def paper_columns(self) -> tuple[TaskColumn, ...]:
        """The paper's columns, in its order."""
        metrics: dict[tuple[str, str, str], list[str]] = {}
        for suite in self.suites:
            for item in quantities.paper_tasks():
                if item.suite == suite:
                    metrics.setdefault((suite, item.task, item.heading), []).append(item.metric)
        columns = [TaskColumn(*names, tuple(of)) for names, of in metrics.items()]
        return tuple(columns[self.tasks])

    def compute(self, records: pd.DataFrame) -> Table:
        """Computes the table from records of one source and profile.

        Raises:
          UserError: the records mix profiles, or a run's scores are incomplete.
        """
        source, profile = sole_profile(records)
        of_size = records["size"] == self.size
        lost = scores.diverged(records[of_size & (records["suite"] == "")])
        own = records[of_size & records["suite"].isin(self.suites)]
        if source == "measured":
            own = scores.select(own)
        found = scores.breakdown(own)
        on_collapse, details = notes.notes_on_collapse(scores.collapsed(own))
        tasks, notes_on_columns = self._columns(found)
        numbers = {
            (row["tau"], int(row["checkpoint"]), row["suite"], row["task"], row["metric"]): row
            for row in found[found["checkpoint"].notna()].to_dict("records")
        }
        columns = tuple(Column(f"{task.suite}/{task.task}", task.heading) for task in tasks)
        rows = tuple(
            Row(
                (size_label(self.size), tau_label(tau), step_label(checkpoint)),
                tuple(_cell(task, numbers, lost, tau, checkpoint) for task in tasks),
                section=step_label(checkpoint),
            )
            for tau, checkpoint in score_tables.row_order(
                CELLS[self.size], {key[:2] for key in numbers}
            )
        )
        runs = {
            (" ".join(row.labels), column.heading): part.runs
            for row in rows
            for column, cell in zip(columns, row.cells, strict=True)
            for part in cell.parts
            if part.runs is not None
        }
        return Table(
            number=self.NUMBER,
            source=source,
            profile=profile,
            caption=f"Table {self.NUMBER} ({notes.caption_origin(source, profile)}). {self.title}, "
            f"SPACTOR-{size_label(self.size)}(τ), median over runs."
            f"{notes.runs_label(runs.values())}",
            label_columns=LABEL_COLUMNS,
            columns=columns,
            rows=rows,
            footnotes=(
                *notes.notes_on_cells(columns, rows),
                *notes_on_columns,
                *notes.notes_on_runs(runs),
                *on_collapse,
                *_footnotes(source, tasks, rows),
            ),
            details=details,
            block_columns=BLOCK_COLUMNS,
        )

    def _columns(self, found: pd.DataFrame) -> tuple[list[TaskColumn], list[str]]:
        """Returns the columns to print, and footnotes on those that are not the paper's."""
        known = {(item.suite, item.task) for item in quantities.paper_tasks()}
        pairs = found[["suite", "task", "metric"]].drop_duplicates().itertuples(index=False)
        ran: dict[tuple[str, str], list[str]] = {}
        for suite, task, metric in pairs:
            ran.setdefault((suite, task), []).append(metric)
        columns: list[TaskColumn] = []
        written: list[str] = []
        for suite in self.suites:
            theirs = [column for column in self.paper_columns if column.suite == suite]
            ours = [
                TaskColumn(suite, task, task.replace("_", " "), _ordered(suite, task, metrics))
                for (of_suite, task), metrics in ran.items()
                if of_suite == suite and (suite, task) not in known
            ]
            listed = ", ".join(column.heading for column in ours)
            heading = SUITE_HEADINGS[suite]
            if ours and not any((column.suite, column.task) in ran for column in theirs):
                columns += ours
                none = "the paper's task was not run"
                if len(theirs) > 1:
                    none = f"none of the paper's {len(theirs)} tasks here was run"
                written.append(
                    f"{heading}: {none} and has no column; instead, made from the embedded "
                    f"corpus: {listed}."
                )
            else:
                columns += [*theirs, *ours]
                if ours:
                    written.append(f"{heading}: beyond the paper's tasks: {listed}.")
        return columns, written


def _ordered(suite: str, task: str, found: list[str]) -> tuple[str, ...]:
    return tuple(metric for metric in quantities.tasks()[suite, task] if metric in found)


def _cell(
    task: TaskColumn,
    numbers: Mapping[tuple[str, int, str, str, str], Mapping],
    lost: Container[tuple[str, int, str]],
    tau: str,
    checkpoint: int,
) -> Cell:
    parts = []
    for metric in task.metrics:
        row = numbers.get((tau, checkpoint, task.suite, task.task, metric))
        if row is None:
            parts.append(Cell(name=metric))
            continue
        illegible = pd.isna(row["median"])
        parts.append(
            Cell(
                value=None if illegible else float(row["median"]),
                label=ILLEGIBLE if illegible else "",
                std=None if pd.isna(row["std"]) else float(row["std"]),
                runs=None if pd.isna(row["runs"]) else int(row["runs"]),
                decimals=int(row["decimals"]),
                name=metric,
                note=row["note"],
                statistic="median",
            )
        )
    if not all(part.missing for part in parts):
        return Cell(parts=tuple(parts))
    return Cell(label=DIVERGED) if (tau, checkpoint, task.suite) in lost else MISSING


def _footnotes(source: str, tasks: list[TaskColumn], rows: tuple[Row, ...]) -> list[str]:
    by_metrics: dict[tuple[str, ...], list[str]] = {}
    for task in tasks:
        by_metrics.setdefault(task.metrics, []).append(task.heading)
    names = {metrics: " / ".join(map(metric_label, metrics)) for metrics in by_metrics}
    if len(names) == 1:
        written = [f"Every cell: {', '.join(names.values())}, in per cent."]
    else:
        listed = [f"{', '.join(of)}: {names[metrics]}" for metrics, of in by_metrics.items()]
        written = [f"In per cent. {'; '.join(listed)}."]
    if source == "measured":
        written.append(
            "Median over runs of what each scored at its selected fine-tuning step, "
            f"{REPORTED_SELECTION} of its suite. Steps are on the paper's scale."
        )
    cells = [cell for row in rows for cell in row.cells]
    if any(cell.label == DIVERGED for cell in cells):
        written.append(f"{DIVERGED}: a loss or a gradient of every run was not finite.")
    written += notes.notes_on_missing(rows)
    if any(part.label for cell in cells for part in cell.parts):
        written.append(f"{ILLEGIBLE}: the paper prints a number that its text has lost.")
    return written


_SUITES: tuple[tuple[dict[str, int], tuple[str, ...], str, slice], ...] = (
    ({"base": 6, "large": 7}, ("glue",), "Tasks of GLUE", slice(None)),
    ({"base": 8, "large": 9}, ("superglue",), "Tasks of SuperGLUE", slice(None)),
    (
        {"base": 10, "large": 11},
        ("squad", "cnndm", "rainbow"),
        "SQuAD, CNN/DailyMail and the tasks of Rainbow",
        slice(None),
    ),
    ({"base": 12, "large": 13}, ("bbh",), "The 27 tasks of BBH, direct answers", slice(None)),
    (
        {"base": 14, "large": 16},
        ("mmlu",),
        "The first 32 of the 57 tasks of MMLU, direct answers",
        slice(FIRST_MMLU_TASKS),
    ),
    (
        {"base": 15, "large": 17},
        ("mmlu",),
        "The other 25 of the 57 tasks of MMLU, direct answers",
        slice(FIRST_MMLU_TASKS, None),
    ),
)

TABLES: Mapping[int, Breakdown] = {
    number: Breakdown(number, size, suites, title, tasks)
    for numbers, suites, title, tasks in _SUITES
    for size, number in numbers.items()
}
