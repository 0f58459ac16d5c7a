"""Readers of Rainbow's releases: a question, lettered options, the right letter as the answer.

Answers are in the rows, or in a second file with one answer per line.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from spactor.data.examples import Example
from spactor.data.readers import files
from spactor.data.suites import FileTask
from spactor.data.suites.released import LETTERS

Rows = Iterator[tuple[int, Mapping[str, Any]]]
Ask = Callable[[Path, int, Mapping[str, Any]], tuple[str, tuple[str, ...]]]
"""Question and options of a row."""


def _asking(template: str, *options: str) -> Ask:
    """Fills a template and reads the options from fields that hold text."""
    names = [name for _, name, _, _ in string.Formatter().parse(template) if name]

    def ask(path: Path, row: int, fields: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        question = template.format(**{n: files.text(path, row, fields, n) for n in names})
        return question, tuple(files.text(path, row, fields, name) for name in options)

    return ask


def _ask_hellaswag(path: Path, row: int, fields: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    question = f"{files.text(path, row, fields, 'ctx')}\n\nHow does this go on?"
    endings = fields.get("endings")
    if not isinstance(endings, list) or len(endings) != 4:
        raise files.fault(path, row, "no list of four 'endings'")
    numbered = {f"endings {number}": ending for number, ending in enumerate(endings, start=1)}
    return question, tuple(files.text(path, row, numbered, name) for name in numbered)


def _example(path: Path, row: int, question: str, options: tuple[str, ...], right: int) -> Example:
    name = f"{path.parent.name}-{path.stem}-{row}"
    prompt = files.with_options(question, LETTERS, options)
    return Example(name, prompt, LETTERS[right])


def _answer_in_row(
    _task: FileTask,
    path: Path,
    *,
    rows: Callable[[Path], Rows],
    ask: Ask,
    answer: str,
    names: tuple[str, ...],
) -> list[Example]:
    found = []
    for row, fields in rows(path):
        question, options = ask(path, row, fields)
        if answer not in fields:
            raise files.fault(path, row, f"no field {answer!r}, it has {', '.join(fields)}")
        right = files.choice(path, row, fields[answer], names)
        found.append(_example(path, row, question, options, right))
    return found


def _answer_beside(
    _task: FileTask, path: Path, labels: Path, *, ask: Ask, names: tuple[str, ...]
) -> list[Example]:
    asked = [(row, *ask(path, row, fields)) for row, fields in files.json_lines(path)]
    answers = files.labels(labels, len(asked), path, names)
    return [
        _example(path, row, question, options, right)
        for (row, question, options), right in zip(asked, answers, strict=True)
    ]


_COSMOS_ANSWERS = tuple(f"answer{number}" for number in range(4))
_COSMOS_COLUMNS = ("context", "question", *_COSMOS_ANSWERS, "label")
_FOUR = ("0", "1", "2", "3")

alpha_nli = functools.partial(
    _answer_beside,
    ask=_asking(
        "First: {obs1}\nLater: {obs2}\n\nWhat explains best what came between?", "hyp1", "hyp2"
    ),
    names=("1", "2"),
)
cosmosqa = functools.partial(
    _answer_in_row,
    rows=functools.partial(files.csv_table, columns=_COSMOS_COLUMNS),
    ask=_asking("{context}\n\n{question}", *_COSMOS_ANSWERS),
    answer="label",
    names=_FOUR,
)
hellaswag = functools.partial(
    _answer_in_row, rows=files.json_lines, ask=_ask_hellaswag, answer="label", names=_FOUR
)
piqa = functools.partial(
    _answer_beside,
    ask=_asking("Goal: {goal}\n\nWhich way leads there?", "sol1", "sol2"),
    names=("0", "1"),
)
socialiqa = functools.partial(
    _answer_beside,
    ask=_asking("{context}\n\n{question}", "answerA", "answerB", "answerC"),
    names=("1", "2", "3"),
)
winogrande = functools.partial(
    _answer_in_row,
    rows=files.json_lines,
    ask=_asking("{sentence}\n\nWhat belongs in place of _?", "option1", "option2"),
    answer="answer",
    names=("1", "2"),
)
