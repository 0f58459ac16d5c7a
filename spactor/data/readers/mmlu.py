"""Reader of MMLU's files, for direct answers without worked examples."""

from __future__ import annotations

from pathlib import Path

from spactor.data.examples import Example
from spactor.data.readers import files
from spactor.data.suites import FileTask

_OPTIONS = 4


def read(task: FileTask, path: Path) -> list[Example]:
    """Rows are the question, four options and the right one's letter, without a header."""
    found = []
    for row, (question, *options, answer) in files.csv_rows(path, _OPTIONS + 2):
        if not question.strip():
            raise files.fault(path, row, "no question")
        right = files.choice(path, row, answer, ("A", "B", "C", "D"))
        asked = files.with_options(question, task.labels, options)
        found.append(Example(f"{task.name}-{row}", f"{task.prompt}{asked}", task.labels[right]))
    return found
