"""What `repro data describe` prints: counts of the files themselves."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

from spactor.data import describing, manifest, suites
from spactor.errors import UserError


def test_sizes_are_the_files(prepared: Path) -> None:
    described = describing.describe(prepared)
    assert [(item.suite, item.task) for item in described] == [
        (suite.name, task.name) for suite in suites.EMBEDDED.values() for task in suite.tasks
    ]
    for item in described:
        for split, size in item.sizes.items():
            file = prepared / manifest.examples_file(item.suite, item.task, split)
            assert size == len(file.read_text().splitlines())


def test_the_table_says_what_was_counted() -> None:
    answers = {
        "train": collections.Counter(yes=6, no=2),
        "validation": collections.Counter({"a b": 1, "c": 3}),
    }
    labelled = describing.TaskDescription("s", "t", ("f1", "accuracy"), answers, ("no", "yes"))
    assert labelled.sizes == {"train": 8, "validation": 4}
    assert labelled.balance("train") == "no 25 %, yes 75 %"
    free = describing.TaskDescription("s", "t", ("f1",), answers, ())
    assert describing.text([free]).splitlines() == [
        "suite  task  metrics  train  validation  answers of validation",
        "s      t     f1           8           4  2 different answers, the commonest 75 %: 'c'",
    ]
    once = {"train": collections.Counter("abc")}
    assert describing.TaskDescription("s", "t", (), once, ()).balance("train") == (
        "3 different answers"
    )
    none = describing.TaskDescription("s", "t", (), {"train": collections.Counter()}, ())
    assert none.balance("train") == "no examples in this corpus"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.jsonl: cannot be read .*: run 'repro prepare'"):
        describing.describe(tmp_path)
