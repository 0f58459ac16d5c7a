"""Sources that tests make examples from, and the embedded suites and tasks as parameters."""

from __future__ import annotations

from collections.abc import Container, Sequence

import pytest

from spactor.data.builders.source import Source
from spactor.data.corpus import Document
from spactor.data.examples import Example
from spactor.data.suites import EMBEDDED, EmbeddedTask, Split

TASKS = [(suite, task) for suite in EMBEDDED.values() for task in suite.tasks]
each_suite = pytest.mark.parametrize("suite", EMBEDDED.values(), ids=EMBEDDED)
each_task = pytest.mark.parametrize(
    ("suite", "task"), TASKS, ids=[f"{suite.name}-{task.name}" for suite, task in TASKS]
)


def document(text: str, module: str = "m", name: str = "f") -> Document:
    """Docstring of a function, whose package is named as the first part of its module."""
    return Document(module.partition(".")[0], module, name, "function", text)


def source(
    documents: Sequence[Document] = (),
    *,
    split: Split = "train",
    read: Container[str] = (),
    seed: int = 0,
) -> Source:
    """Documents of which nothing was read; every word is one piece."""
    return Source(split, documents, read, lambda text: len(text.split()), seed)


def task(suite: str, name: str) -> EmbeddedTask:
    """Row of an embedded task."""
    (found,) = (task for task in EMBEDDED[suite].tasks if task.name == name)
    assert isinstance(found, EmbeddedTask)
    return found


def build(suite: str, name: str, made_from: Source, limit: int) -> list[Example]:
    """Examples of an embedded task."""
    return task(suite, name).build(made_from, limit)
