"""Tables 6 to 17: every task of every suite, medians over runs.

One frozen instance a table. A measured table has the paper's columns; where none of a suite's
tasks was run but stand-ins were, it has theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis import scores
from analysis.required import RequiredRun
from analysis.schema import quantities
from analysis.schema.records import DIVERGED as DIVERGED_METRICS
from analysis.schema.records import sole_profile
from analysis.schema.subset import Subset
from tables.cells import (
    BLOCK_COLUMNS,
    DIVERGED,
    ILLEGIBLE,
    MISSING,
    Cell,
    Column,
    Row,
    Table,
    notes_on_cells,
    notes_on_missing,
)
from tables.rendering import render
from tables.score_table import (
    RULE,
    SUITE_HEADINGS,
    describe,
    format_steps,
    notes_on_collapse,
    row_order,
)

LABEL_COLUMNS = (Column("size", "Size"), Column("tau", "τ"), Column("checkpoint", "Ckpt."))
ROWS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "base": (
        ("0", 500_000),
        ("250K", 500_000),
        ("120K", 500_000),
        ("0", 1_000_000),
        ("250K", 1_000_000),
        ("120K", 1_000_000),
    ),
    "large": (("0", 500_000), ("120K", 500_000), ("0", 1_000_000), ("120K", 1_000_000)),
}
SUITE_TABLES = {"base": 2, "large": 4}
METRIC_NAMES = {
    "matthews_corrcoef": "Matthews correlation",
    "pearson_corrcoef": "Pearson correlation",
    "spearman_corrcoef": "Spearman correlation",
    "accuracy_matched": "matched accuracy",
    "accuracy_mismatched": "mismatched accuracy",
    "f1": "F1",
    "mean_3class_f1": "mean F1 of 3 classes",
    "em": "exact match",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
}
FIRST_MMLU_TASKS = 32
"""Tables 14 and 16 hold so many of MMLU's tasks, Tables 15 and 17 the others."""


@dataclass(frozen=True)
class TaskColumn:
    """A task and the metrics that share its cells."""

    suite: str
    task: str
    heading: str
    metrics: tuple[str, ...]
    ours: bool = False
    """Whether it stands in for the paper's tasks."""


@dataclass(frozen=True)
class Breakdown:
    """One of Tables 6 to 17.

    Attributes:
      NUMBER: as in the paper.
      size: the model's.
      suites: in the order of the columns.
      title: what the caption calls the tasks.
      tasks: which of the suites' tasks they are.
    """

    NUMBER: int
    size: str
    suites: tuple[str, ...]
    title: str
    tasks: slice

    @property
    def DOC(self) -> str:
        """What the table shows and claims, as a module's docstring says it."""
        title = f"{self.title}, SPACTOR-{self.size.capitalize()}(τ)"
        whole = SUITE_TABLES[self.size]
        headings = ", ".join(SUITE_HEADINGS[suite] for suite in self.suites)
        return (
            f"Table {self.NUMBER}: {title}.\n\n"
            f"Claims: nothing of its own; the cells behind Table {whole}, {headings}.\n"
        )

    @property
    def requires(self) -> tuple[RequiredRun, ...]:
        """Runs the table rests on."""
        return tuple(RequiredRun(self.size, *row) for row in ROWS[self.size])

    @property
    def reads(self) -> Subset:
        """Records the table rests on."""
        return Subset((DIVERGED_METRICS,), scores=RULE)

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
        """The table from records of one source and profile.

        Raises:
          UserError: the records mix profiles, or a run's scores are incomplete.
        """
        source, profile = sole_profile(records) or ("", "")
        records = records[records["size"] == self.size]
        lost = scores.diverged(records)
        own = records[records["suite"].isin(self.suites)]
        found = scores.breakdown(own, RULE)
        tasks, notes = self._columns(found)
        numbers = {
            (row["tau"], int(row["checkpoint"]), row["suite"], row["task"], row["metric"]): row
            for row in found[found["checkpoint"].notna()].to_dict("records")
        }
        columns = tuple(Column(f"{task.suite}/{task.task}", task.heading) for task in tasks)
        rows = tuple(
            Row(
                (self.size.capitalize(), "∞" if tau == "inf" else tau, format_steps(checkpoint)),
                tuple(_cell(task, numbers, lost, tau, checkpoint) for task in tasks),
                section=format_steps(checkpoint),
            )
            for tau, checkpoint in row_order(self.requires, {key[:2] for key in numbers})
        )
        runs, others = _runs(columns, rows)
        notes = [*notes_on_cells(columns, rows), *notes, *others]
        return Table(
            number=self.NUMBER,
            source=source,
            profile=profile,
            caption=f"Table {self.NUMBER} ({describe(source, profile)}). {self.title}, "
            f"SPACTOR-{self.size.capitalize()}(τ), median over runs.{runs}",
            label_columns=LABEL_COLUMNS,
            columns=columns,
            rows=rows,
            footnotes=(
                *notes,
                *notes_on_collapse(scores.collapsed(own, RULE)),
                *_footnotes(source, tasks, rows),
            ),
            block_columns=BLOCK_COLUMNS,
        )

    def render(self, table: Table, format: str = "text") -> str:
        """The table as text in one of ``FORMATS``."""
        return render(table, format)

    def _columns(self, found: pd.DataFrame) -> tuple[list[TaskColumn], list[str]]:
        """The columns to print, and what to say about them."""
        paper = self.paper_columns
        known = {(item.suite, item.task) for item in quantities.paper_tasks()}
        pairs = found[["suite", "task", "metric"]].drop_duplicates().itertuples(index=False)
        ran: dict[tuple[str, str], list[str]] = {}
        for suite, task, metric in pairs:
            ran.setdefault((suite, task), []).append(metric)
        columns: list[TaskColumn] = []
        notes: list[str] = []
        for suite in self.suites:
            theirs = [column for column in paper if column.suite == suite]
            ours = [
                TaskColumn(suite, task, task.replace("_", " "), _ordered(suite, task, of), True)
                for (of_suite, task), of in ran.items()
                if of_suite == suite and (suite, task) not in known
            ]
            heading = SUITE_HEADINGS[suite]
            if ours and not any((column.suite, column.task) in ran for column in theirs):
                columns += ours
                none = "the paper's task was not run"
                if len(theirs) > 1:
                    none = f"none of the paper's {len(theirs)} tasks here was run"
                notes.append(
                    f"{heading}: {none} and has no column; instead, made from the embedded "
                    f"corpus: {_listed(ours)}."
                )
            else:
                columns += [*theirs, *ours]
                if ours:
                    notes.append(f"{heading}: beyond the paper's tasks: {_listed(ours)}.")
        return columns, notes


def _listed(columns: list[TaskColumn]) -> str:
    return ", ".join(column.heading for column in columns)


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
        lost = pd.isna(row["median"])
        parts.append(
            Cell(
                value=None if lost else float(row["median"]),
                words=ILLEGIBLE if lost else "",
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
    return Cell(words=DIVERGED) if (tau, checkpoint, task.suite) in lost else MISSING


def _runs(columns: tuple[Column, ...], rows: tuple[Row, ...]) -> tuple[str, list[str]]:
    """How many runs, for the caption; and, where they differ, which cells have others."""
    at = {
        (column.heading, " ".join(row.labels)): part.runs
        for row in rows
        for column, cell in zip(columns, row.cells, strict=True)
        for part in cell.parts
        if part.runs is not None
    }
    counts = Counter(at.values())
    if not counts:
        return "", []
    least, most = min(counts), max(counts)
    span = str(least) if least == most else f"{least} to {most}"
    caption = f" n = {span} {'run' if most == 1 else 'runs'}."
    if least == most:
        return caption, []
    usual = counts.most_common(1)[0][0]
    groups: dict[tuple[str, int], list[str]] = {}
    for (heading, row), runs in at.items():
        if runs != usual:
            groups.setdefault((row, runs), []).append(heading)
    others = [f"{row}, {', '.join(tasks)}: {runs}" for (row, runs), tasks in groups.items()]
    return caption, [f"Runs per cell: {usual}, except {'; '.join(others)}."]


def _footnotes(source: str, tasks: list[TaskColumn], rows: tuple[Row, ...]) -> tuple[str, ...]:
    by_metrics: dict[tuple[str, ...], list[str]] = {}
    for task in tasks:
        by_metrics.setdefault(task.metrics, []).append(task.heading)
    if len(by_metrics) == 1:
        notes = [f"Every cell: {_metric_names(*by_metrics)}, in per cent."]
    else:
        listed = [f"{', '.join(of)}: {_metric_names(m)}" for m, of in by_metrics.items()]
        notes = [f"In per cent. {'; '.join(listed)}."]
    if source == "measured":
        notes.append(
            "Median over runs of what each scored at its selected fine-tuning step, "
            f"{RULE} of its suite. Steps are on the paper's scale."
        )
    if any(cell.words == DIVERGED for row in rows for cell in row.cells):
        notes.append(f"{DIVERGED}: a loss or a gradient of every run was not finite.")
    notes += notes_on_missing(rows)
    if any(part.words for row in rows for cell in row.cells for part in cell.parts):
        notes.append(f"{ILLEGIBLE}: the paper prints a number that its text has lost.")
    return tuple(notes)


def _metric_names(metrics: tuple[str, ...]) -> str:
    return " / ".join(METRIC_NAMES.get(metric, metric.replace("_", " ")) for metric in metrics)


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
