"""Sizes and answers of the embedded suites in a prepared folder."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from pathlib import Path

from spactor.data import manifest
from spactor.data.readers.files import json_lines
from spactor.data.suites import EMBEDDED, SPLITS
from spactor.text_table import align


def rows(folder: Path) -> list[dict[str, str | int]]:
    """Every task of every suite, in the order of Table 2's columns.

    Raises:
      UserError: a file of examples is missing.
    """
    found = []
    for suite in EMBEDDED.values():
        for task in suite.tasks:
            answers = {
                split: collections.Counter(
                    example["targets"]
                    for _, example in json_lines(
                        folder / manifest.examples_file(suite.name, task.name, split),
                        prepared=True,
                    )
                )
                for split in SPLITS
            }
            row: dict[str, str | int] = {"suite": suite.name, "task": task.name}
            row["metrics"] = ", ".join(metric.name for metric in task.metrics)
            row |= {split: answers[split].total() for split in SPLITS}
            balance = describe_answers(answers["validation"], task.labels)
            found.append(row | {"answers of validation": balance})
    return found


def text(found: Sequence[Mapping[str, str | int]]) -> str:
    """The rows as an aligned table."""
    cells = [list(map(str, row.values())) for row in found]
    return "\n".join(align([list(found[0]), *cells], right=[3, 4]))


def describe_answers(answers: collections.Counter[str], labels: Sequence[str]) -> str:
    """Labels with their shares, or without labels the commonest answer's, in whole per cent.

    >>> describe_answers(collections.Counter({"yes": 3, "no": 1}), ("no", "yes"))
    'no 25 %, yes 75 %'
    >>> describe_answers(collections.Counter({"a b": 1, "c": 3}), ())
    "2 different answers, the commonest 75 %: 'c'"
    """
    if not answers:
        return "no examples in this corpus"
    if labels:
        return ", ".join(f"{label} {_percent(answers, label)}" for label in labels)
    ((commonest, count),) = answers.most_common(1)
    if count == 1:
        return f"{len(answers)} different answers"
    share = _percent(answers, commonest)
    return f"{len(answers)} different answers, the commonest {share}: {commonest!r}"


def _percent(answers: collections.Counter[str], answer: str) -> str:
    return f"{answers[answer] / answers.total():.0%}".replace("%", " %")
