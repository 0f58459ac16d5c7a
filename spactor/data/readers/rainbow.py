"""Reader of Rainbow's releases, in the text-to-text form of Lourie et al. (2021).

A prompt is the data set's name and one line per field, and the answer is the release's own label:

    [socialiqa]:
    <context>Ada fed Bob.</context>
    <question>Why?</question>
    <answerA>he ate</answerA>
    <answerB>hunger</answerB>
    <answerC>rain</answerC>

with answer 2. Answers are in the rows, or in a second file with one answer per line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spactor.data.examples import Example
from spactor.data.readers import files
from spactor.data.suites import FileTask

_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "alpha_nli": ("obs1", "obs2", "hyp1", "hyp2"),
        "cosmosqa": ("context", "question", "answer0", "answer1", "answer2", "answer3"),
        "hellaswag": ("ctx",),
        "piqa": ("goal", "sol1", "sol2"),
        "socialiqa": ("context", "question", "answerA", "answerB", "answerC"),
        "winogrande": ("sentence", "option1", "option2"),
    }
)
"""Fields of a prompt, in its order; those of HellaSwag are followed by its list of endings."""
_ANSWER_FIELDS = MappingProxyType({"cosmosqa": "label", "hellaswag": "label"})
"""Field with the answer, where that is not ``answer``."""


def read(task: FileTask, path: Path, labels: Path | None = None) -> list[Example]:
    """Examples of a file of JSON lines or a CSV file, and of a file of answers if there is one."""
    answer = _ANSWER_FIELDS.get(task.name, "answer")
    prompts, answers = [], []
    for row, fields in _rows(task, path, answer):
        prompts.append(_prompt(task, path, row, fields))
        if labels is None:
            if answer not in fields:
                raise files.fault(path, row, f"no field {answer!r}, it has {', '.join(fields)}")
            answers.append(files.choice(path, row, fields[answer], task.labels))
    if labels is not None:
        answers = files.labels(labels, len(prompts), path, task.labels)
    return [
        Example(f"{path.parent.name}-{path.stem}-{row}", prompt, task.labels[right])
        for row, (prompt, right) in enumerate(zip(prompts, answers, strict=True), start=1)
    ]


def _rows(task: FileTask, path: Path, answer: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if path.suffix == ".csv":
        return files.csv_table(path, columns=(*_FIELDS[task.name], answer))
    return files.json_lines(path)


def _prompt(task: FileTask, path: Path, row: int, fields: Mapping[str, Any]) -> str:
    texts = {name: files.text(path, row, fields, name) for name in _FIELDS[task.name]}
    if task.name == "hellaswag":
        endings = fields.get("endings")
        if not isinstance(endings, list) or len(endings) != len(task.labels):
            raise files.fault(path, row, "no list of four 'endings'")
        named = {f"endings {label}": text for label, text in zip(task.labels, endings, strict=True)}
        texts |= {
            name.replace("endings", "ending_options"): files.text(path, row, named, name)
            for name in named
        }
    return task.prompt + "\n".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
