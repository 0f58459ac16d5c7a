"""What a fine-tuning suite is: tasks, their metrics, and how their examples are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from spactor import strict_json
from spactor.data.corpus import Document
from spactor.errors import UserError

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")

LIMITS: Mapping[str, int] = MappingProxyType({"train": 4000, "validation": 256})
"""Largest number of examples per task and split."""

INPUT_PIECES = 63
"""Room of a whole prompt: 64 encoder positions less eos, the least that any profile has."""

MEND = "run 'repro prepare'"
"""What helps where a file of examples is damaged."""


@dataclass(frozen=True)
class MetricFact:
    """A number that a task is scored with, on a scale of 0 to 100.

    Attributes:
      name: as `t5.evaluation.metrics` names it.
      version: changes whenever the same predictions would give another number.
      family: which function computes it, where another function has a metric of the same name.
    """

    name: str
    version: str
    family: str = ""


@dataclass(frozen=True)
class Example:
    """One question and its answer, as plain text.

    Attributes:
      id: names the document it was made from.
      inputs, targets: as seqio names them, before tokenization.
      evidence: words that give the answer away to whoever read them beside it before; in
        validation they stand in no text that was trained on. Empty for generated questions.
    """

    id: str
    inputs: str
    targets: str
    evidence: str = ""

    def line(self) -> str:
        """The example as one line of JSON."""
        fields = {
            "id": self.id,
            "inputs": self.inputs,
            "targets": self.targets,
            "evidence": self.evidence,
        }
        return json.dumps(fields)


def tables_of(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The fields of each line of a file of JSON lines, and what to call the line.

    Raises:
      UserError: the file can't be read, or a line is no table of fields.
    """
    try:
        # Not splitlines: the texts may hold U+2028 and its like.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}): {MEND}") from None
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        where = f"{path}, line {number}"
        try:
            value = strict_json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: damaged ({error}): {MEND}") from None
        if not isinstance(value, dict):
            raise UserError(f"{where}: no table of fields: {MEND}")
        yield value, where


def read_lines(path: Path, keys: Sequence[str]) -> list[dict[str, str]]:
    """Some fields of each line of a file of JSON lines, such as of examples.

    Raises:
      UserError: the file can't be read, or a line lacks a field or has no text there.
    """
    found = []
    for value, where in tables_of(path):
        if not all(isinstance(value.get(key), str) for key in keys):
            raise UserError(f"{where}: no texts {', '.join(keys)}: {MEND}")
        found.append({key: value[key] for key in keys})
    return found


@dataclass(frozen=True)
class Source:
    """What the examples of one split are made from.

    Attributes:
      split: which one.
      documents: held out from pre-training, those of this split alone.
      read: sentences that a model may have read in training; validation is made without them.
      pieces: tokens of a text, eos not counted.
      seed: of generated questions.
    """

    split: Split
    documents: Sequence[Document]
    read: Container[str] = field(repr=False)
    pieces: Callable[[str], int] = field(repr=False)
    seed: int = 0

    def fresh(self, text: str) -> bool:
        """Whether no training text holds these words in this order."""
        return text not in self.read

    def cut(self, text: str, pieces: int) -> str:
        """As many whole words from the beginning of a text as fit into so many pieces."""
        words: list[str] = []
        # Pieces never span white space, so the words' lengths add up.
        for word in text.split():
            pieces -= self.pieces(word)
            if pieces < 0:
                break
            words.append(word)
        return " ".join(words)


Build = Callable[[Source, int], list[Example]]


@dataclass(frozen=True)
class SuiteTask:
    """One task of a suite.

    Attributes:
      name: unique inside the suite.
      metrics: what it is scored with.
      target_length: decoder positions that hold any answer, eos included.
      build: makes at most so many examples from the source of one split. It must be a pure
        function of the source, independent of its documents' order.
      labels: the possible answers of a classification, the negative one first; none otherwise.
      limits: largest number of examples per split.
    """

    name: str
    metrics: tuple[MetricFact, ...]
    target_length: int
    build: Build = field(repr=False)
    labels: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=lambda: LIMITS, repr=False)


@dataclass(frozen=True)
class Suite:
    """A column of Table 2: tasks fine-tuned together as a proportional mixture."""

    name: str
    tasks: tuple[SuiteTask, ...]


def bits(*parts: str) -> int:
    """256 bits that depend on the parts alone."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest(), "big")


def halves(items: Iterable[Document], salt: str, count: int) -> tuple[list[Document], ...]:
    """Two equally long lists of documents, at most ``count`` in both, in digest order.

    The half of a document depends on its text alone; what one half has too many is dropped.
    """
    split: tuple[list[Document], list[Document]] = ([], [])
    for item in sorted(items, key=lambda item: item.digest):
        split[bits(salt, item.digest) & 1].append(item)
    size = min(len(split[0]), len(split[1]), count // 2)
    return split[0][:size], split[1][:size]
