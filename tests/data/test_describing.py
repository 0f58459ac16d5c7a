"""What `repro data describe` prints: counts of the files themselves."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

from spactor.data import describing, manifest, suites
from spactor.errors import UserError


def test_one_line_per_task_with_the_sizes_of_its_files(prepared: Path) -> None:
    rows = describing.rows(prepared)
    tasks = [(suite.name, task) for suite in suites.EMBEDDED.values() for task in suite.tasks]
    for row, (suite, task) in zip(rows, tasks, strict=True):
        sizes = [
            len(
                (prepared / manifest.examples_file(suite, task.name, split)).read_text().split("\n")
            )
            - 1
            for split in suites.SPLITS
        ]
        metrics = ", ".join(metric.name for metric in task.metrics)
        assert list(row.values())[:5] == [suite, task.name, metrics, *sizes]
    assert describing.text(rows).count("\n") >= len(rows)


def test_answers() -> None:
    # Shares of labels and of the commonest answer are doctests.
    assert describing.describe_answers(collections.Counter("abc"), ()) == "3 different answers"
    none: collections.Counter[str] = collections.Counter()
    assert describing.describe_answers(none, ("yes",)) == "no examples in this corpus"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.jsonl is missing: run 'repro prepare'"):
        describing.rows(tmp_path)
