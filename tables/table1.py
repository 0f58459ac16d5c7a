"""Table 1: the benchmarks that models are fine-tuned on.

Claims: seven datasets of GLUE, eight of SuperGLUE, one each of SQuAD and CNN/DailyMail, six of
Rainbow and six in FLAN.

Measured: the tasks with scores in the records, counted and named. FLAN is evaluated on MMLU and BBH
(Section 3.1). References are not measured, so only the published table has that column.
"""

from __future__ import annotations

import pandas as pd

from analysis.required import RequiredRun
from analysis.schema.facts import FLAN_SUITES, SUITE_HEADINGS, SUITE_NAMES
from analysis.schema.records import sole_profile
from analysis.schema.rows import SCORES, of_metrics
from tables.cells import MISSING, Cell, Column, Row, Table
from tables.notes import caption_origin, notes_on_cells, notes_on_missing

NUMBER = 1
DOC = __doc__
LABEL_COLUMNS = (Column("benchmark", "Task"),)
DESCRIPTION = Column("description", "Description", is_text=True, compared=False)
DATASETS = Column("datasets", "No. Datasets")
REFERENCE = Column("reference", "Reference", is_text=True, compared=False)
BENCHMARKS = ("glue", "superglue", "squad", "cnndm", "rainbow", "flan")
HEADINGS = {**SUITE_NAMES, "flan": "FLAN"}
MOST_NAMES = 8
"""Largest number of tasks that the description names; more are counted."""

requires: tuple[RequiredRun, ...] = (RequiredRun("base", "0", 500_000),)
reads = of_metrics("benchmark/") | SCORES


def compute(records: pd.DataFrame) -> Table:
    """Computes the table from the published facts, or from the scores of one measured profile.

    Raises:
      UserError: the records mix profiles.
    """
    source, profile = sole_profile(records)
    columns: tuple[Column, ...] = (DESCRIPTION, DATASETS)
    if source == "published":
        columns += (REFERENCE,)
        rows = [_published(records, name) for name in BENCHMARKS]
    else:
        scored = records.loc[records["task"] != "", ["suite", "task"]].drop_duplicates()
        rows = [_measured(scored, name) for name in BENCHMARKS]
    notes = list(notes_on_cells(columns, rows))
    if source == "measured":
        notes.append("Tasks are those with scores in the records; FLAN's are of MMLU and BBH.")
    notes += notes_on_missing(rows)
    return Table(
        number=NUMBER,
        source=source,
        profile=profile,
        caption=f"Table 1 ({caption_origin(source, profile)}). Benchmarks for fine-tuning.",
        label_columns=LABEL_COLUMNS,
        columns=columns,
        rows=tuple(rows),
        footnotes=tuple(notes),
    )


def _published(records: pd.DataFrame, name: str) -> Row:
    facts = {fact["metric"]: fact for fact in records.to_dict("records")}
    cells = []
    for column in (DESCRIPTION, DATASETS, REFERENCE):
        fact = facts[f"benchmark/{name}/{column.key}"]
        if column.is_text:
            cells.append(Cell(label=fact["text"], note=fact["note"]))
        else:
            number = Cell(fact["value"], decimals=int(fact["decimals"]), statistic="exact")
            cells.append(number)
    return Row((HEADINGS[name],), tuple(cells))


def _measured(scored: pd.DataFrame, name: str) -> Row:
    suites = FLAN_SUITES if name == "flan" else (name,)
    tasks = {suite: sorted(scored.loc[scored["suite"] == suite, "task"]) for suite in suites}
    count = sum(map(len, tasks.values()))
    if not count:
        return Row((HEADINGS[name],), (MISSING, MISSING))
    described = ", ".join(task for suite in suites for task in tasks[suite])
    if count > MOST_NAMES:
        described = ", ".join(
            f"{len(names)} of {SUITE_HEADINGS[suite]}" for suite, names in tasks.items() if names
        )
    number = Cell(float(count), decimals=0, statistic="exact")
    return Row((HEADINGS[name],), (Cell(label=described), number))
