"""Statements of Appendix D: the captions and columns of Tables 6 to 17."""

from __future__ import annotations

import math

from analysis.paper.breakdown import Breakdown, exact, examples, half_unit
from analysis.paper.counts import counts
from analysis.paper.evidence import Evidence, Missing, stated
from analysis.paper.statement import Finding, Verdict, arithmetic, judges
from analysis.schema.facts import FLAN_SUITES

ASCENDING = {
    "squad": ("em", "f1"),
    "multirc": ("exact_match", "f1"),
    "record": ("em", "f1"),
    "cnn_dailymail": ("rouge2", "rougeL", "rouge1"),
}
"""Metrics of a task in the order that follows from their definitions, such as EM ≤ F1."""


@judges("appendix-d.every-row")
def every_row(evidence: Evidence) -> Finding:
    printed = Breakdown(evidence.records)
    scored = {row for row, _, _ in printed.averages()}
    missing = sorted(scored - {row for row, _, _ in printed.groups()}, key=lambda row: row.id)
    return Finding(
        arithmetic(evidence, not missing),
        f"rows without a breakdown: {'; '.join(row.text for row in missing) or 'none'}",
    )


@judges("appendix-d.mmlu-split")
def mmlu_split(evidence: Evidence) -> Finding:
    tasks = evidence.records[evidence.records["task"] != ""].groupby("place")["task"].nunique()
    claimed = [int(stated(f"prose/{name}_tasks")) for name in ("bbh", "mmlu_first", "mmlu_second")]
    found = [[int(tasks.get(f"Table {n}", 0)) for n in row] for row in ((12, 14, 15), (13, 16, 17))]
    base, large = (f"{bbh}; {first} + {second}" for bbh, first, second in found)
    return Finding(
        arithmetic(evidence, found == [claimed, claimed]),
        f"columns: Base {base}, Large {large}",
    )


@judges("appendix-d.flan-medians")
def flan_medians(evidence: Evidence) -> Finding:
    cells = [
        (exact(cell.value, cell.decimals), examples()[suite, cell.task, cell.metric])
        for _, suite, records in Breakdown(evidence.records).groups()
        for cell in records
        if suite in FLAN_SUITES and not math.isnan(cell.value)
    ]
    whole = sum(bool(counts(value, n, half_unit(2))) for value, n in cells)
    return Finding(
        Verdict.NOT_TESTABLE,
        f"{whole} of {len(cells)} cells are a whole k/n; a mean over runs rarely is",
        "they are scores of single runs, or medians of an odd number of them"
        if whole == len(cells)
        else "",
    )


@judges("appendix-d.superglue-metrics")
def superglue_metrics(evidence: Evidence) -> Finding:
    named, columns = int(stated("prose/superglue_metrics_named")), len(evidence.tasks("superglue"))
    return Finding(
        arithmetic(evidence, named == columns),
        f"{columns} columns, {named} metrics named: RTE once by itself and once with WiC and WSC",
        "harmless: both are accuracy",
    )


@judges("appendix-d.metric-order")
def metric_order(evidence: Evidence) -> Finding:
    count, wrong = 0, []
    for row, _, cells in Breakdown(evidence.records).groups():
        values = {(cell.task, cell.metric): cell.value for cell in cells}
        for task, metrics in ASCENDING.items():
            found = [values[task, metric] for metric in metrics if (task, metric) in values]
            if len(found) == len(metrics):
                count += 1
                if found != sorted(found):
                    wrong.append(f"{task}, {row.text}")
    if not count:
        raise Missing("no task with several metrics of a forced order")
    return Finding(
        arithmetic(evidence, not wrong),
        f"EM ≤ F1 and ROUGE-2 ≤ ROUGE-L ≤ ROUGE-1 in {count - len(wrong)} of {count} cells"
        + "".join(f"; not in {one}" for one in wrong),
        "two orders of the same pair side by side, each as its caption has it",
    )
