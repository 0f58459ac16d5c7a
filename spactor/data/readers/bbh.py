"""Reader of BBH's files, for direct answers without worked examples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spactor.data.examples import Example
from spactor.data.readers import files
from spactor.data.suites import FileTask
from spactor.data.suites.released import LETTERS

_OPTION = re.compile(r"^(\([A-R]\)) ?(.*)$", re.MULTILINE)


def _choices(question: str, labels: Sequence[str]) -> list[str]:
    """Possible answers of an item: the task's labels, or the lettered options that the item has.

    The release cut a name with a comma into several options in three items, whose answers are the
    whole names; so neighbouring options, joined, are possible answers too.
    """
    if not set(labels) <= set(LETTERS):
        return list(labels)
    options = _OPTION.findall(question)
    texts = [text for _, text in options]
    joined = [
        ", ".join(texts[start:end])
        for start in range(len(texts))
        for end in range(start + 2, len(texts) + 1)
    ]
    return [letter for letter, _ in options if letter in labels] + joined


def read(task: FileTask, path: Path) -> list[Example]:
    """Items are objects with ``input``, lettered options in it, and ``target``."""
    found = []
    for row, fields in files.json_examples(path):
        question = files.text(path, row, fields, "input")
        answer = files.text(path, row, fields, "target").strip()
        if not answer:
            raise files.fault(path, row, "no answer")
        choices = _choices(question, task.labels)
        if task.labels and answer not in choices:
            names = ", ".join(name for name in choices if name in task.labels) or "it has none"
            raise files.fault(path, row, f"the answer is {answer!r}, none of its choices ({names})")
        found.append(Example(f"{task.name}-{row}", f"{task.prompt}\n\nQ: {question}\nA:", answer))
    return found
