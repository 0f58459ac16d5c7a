"""Sizes and answers of the embedded suites in a prepared folder."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spactor.data import manifest
from spactor.data.examples import read_texts
from spactor.data.suites import EMBEDDED, SPLITS
from spactor.text_table import align


@dataclass(frozen=True)
class TaskDescription:
    """One task of an embedded suite in a prepared folder.

    Attributes:
      metrics: names, as the records have them.
      answers: per split, how often each answer occurs, the commonest first.
      labels: the possible answers of a classification; none otherwise.
    """

    suite: str
    task: str
    metrics: tuple[str, ...]
    answers: Mapping[str, collections.Counter[str]]
    labels: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Number of examples per split."""
        return {split: answers.total() for split, answers in self.answers.items()}

    def balance(self, split: str) -> str:
        """Labels with their shares, or the commonest answer's, in whole per cent.

        >>> answers = {"train": collections.Counter({"yes": 3, "no": 1})}
        >>> TaskDescription("s", "t", (), answers, ("no", "yes")).balance("train")
        'no 25 %, yes 75 %'
        """
        answers = self.answers[split]
        if not answers:
            return "no examples in this corpus"
        if self.labels:
            shares = [f"{label} {answers[label] / answers.total():.0%}" for label in self.labels]
            return ", ".join(shares).replace("%", " %")
        ((commonest, count),) = answers.most_common(1)
        if count == 1:
            return f"{len(answers)} different answers"
        share = f"{count / answers.total():.0%}".replace("%", " %")
        return f"{len(answers)} different answers, the commonest {share}: {commonest!r}"


def describe(folder: Path) -> list[TaskDescription]:
    """Every task of every suite of a prepared folder, in the order of Table 2's columns.

    Raises:
      UserError: a file of examples is missing.
    """
    return [
        TaskDescription(
            suite.name,
            task.name,
            tuple(fact.name for fact in task.metrics),
            {split: _answers(folder, suite.name, task.name, split) for split in SPLITS},
            task.labels,
        )
        for suite in EMBEDDED.values()
        for task in suite.tasks
    ]


def _answers(folder: Path, suite: str, task: str, split: str) -> collections.Counter[str]:
    path = folder / manifest.examples_file(suite, task, split)
    counts = collections.Counter(line["targets"] for line in read_texts(path, ("targets",)))
    return collections.Counter(dict(counts.most_common()))


def text(described: Iterable[TaskDescription]) -> str:
    """Descriptions as an aligned table, one line a task."""
    rows: list[tuple[str, ...]] = [("suite", "task", "metrics", *SPLITS, "answers of validation")]
    for item in described:
        sizes = [str(item.sizes[split]) for split in SPLITS]
        metrics = ", ".join(item.metrics)
        rows.append((item.suite, item.task, metrics, *sizes, item.balance("validation")))
    return "\n".join(align(rows, right=[3, 4]))
