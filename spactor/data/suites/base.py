"""What a fine-tuning suite is: tasks, their metrics, and how their examples are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from spactor.data.corpus import Document

LIMITS: Mapping[str, int] = MappingProxyType({"train": 4000, "validation": 256})
"""Largest number of examples per task and split."""


@dataclass(frozen=True)
class MetricFact:
    """A number that a task is scored with, on a scale of 0 to 100.

    Attributes:
      name: as `t5.evaluation.metrics` names it.
      version: changes whenever the same predictions would give another number.
    """

    name: str
    version: str


@dataclass(frozen=True)
class Example:
    """One question and its answer, as plain text.

    Attributes:
      id: names the document it was made from.
      inputs, targets: as seqio names them, before tokenization.
    """

    id: str
    inputs: str
    targets: str

    def line(self) -> str:
        """The example as one line of JSON."""
        fields = {"id": self.id, "inputs": self.inputs, "targets": self.targets}
        return json.dumps(fields)


Build = Callable[[Sequence[Document], int], list[Example]]


@dataclass(frozen=True)
class SuiteTask:
    """One task of a suite.

    Attributes:
      name: unique inside the suite.
      metrics: what it is scored with.
      target_length: decoder positions that hold any answer, eos included.
      build: makes at most so many examples from the documents of one split. It must be a pure
        function of the documents, independent of their order.
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
