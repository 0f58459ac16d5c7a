"""What a fine-tuning suite is: tasks, the metrics they are scored with, and where examples lie.

Facts alone: builders and readers of examples are named as text and imported when they are called,
and nothing here needs NumPy, JAX or TensorFlow.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spactor.errors import UserError

if TYPE_CHECKING:
    from spactor.data.builders.source import Source
    from spactor.data.examples import Example

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")

INVALID_RATE = "invalid_rate"
"""Answers that are none of a classification's labels, in per cent; each counts as wrong."""
PREDICTED_CLASSES = "predicted_classes"
"""Number of different answers, all that are no label being one of them; 1 is a collapsed run."""
MARGIN = "margin"
"""Mean log-likelihood of the right answer of a ranked task less the best wrong one's, in nats."""


@dataclass(frozen=True)
class Metric:
    """A number that a task is scored with, on a scale of 0 to 100.

    Attributes:
      name: as the records have it.
      version: changes whenever the same predictions would give another number.
      function: name of what computes it in `spactor.data.suite_metrics`; by default ``name``. The
        tasks of the ``t5`` package bring their own.
    """

    name: str
    version: str = "1"
    function: str = ""


@dataclass(frozen=True)
class Release:
    """A published data set.

    Attributes:
      citation: the paper that describes it.
      described: where its files are described, in words.
    """

    citation: str
    described: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of a suite.

    Attributes:
      name: unique in the suite.
      metrics: what it is scored with; empty for a task that is trained on and not scored.
      labels: every possible answer of a classification, the negative one first; empty otherwise.
      record_name: its task in the records, where that is not ``name``.
    """

    name: str
    metrics: tuple[Metric, ...]
    labels: tuple[str, ...] = ()
    record_name: str = ""

    @property
    def recorded_as(self) -> str:
        """Its task in the records; empty for a task that is not scored."""
        return (self.record_name or self.name) if self.metrics else ""

    @property
    def chance(self) -> float | None:
        """Score of guessing, 0 to 100, averaged over the metrics; None where it is not known."""
        return None


@dataclass(frozen=True, kw_only=True)
class EmbeddedTask(Task):
    """A task whose examples are made from documents.

    Attributes:
      builder: ``module:function`` below `spactor.data.builders`. Called with a `Source`, the task
        and a number, the function returns at most so many examples. It is pure, and the order of
        the source's documents makes no difference.
      target_length: decoder positions that hold any answer, eos included.
      limits: largest number of examples per split.
      ranked: whether each example's choices are ranked by log-likelihood instead of an answer being
        decoded.
      length_normalized: whether a choice's log-likelihood is divided by its number of tokens.
      guessing: score of uniform guesses, 0 to 100, of a task that ranks choices.
    """

    builder: str
    target_length: int
    limits: Mapping[Split, int] = field(repr=False)
    ranked: bool = False
    length_normalized: bool = False
    guessing: float | None = None

    @property
    def chance(self) -> float | None:
        if self.guessing is not None:
            return self.guessing
        names = {metric.name for metric in self.metrics} - {"margin"}
        if names == {"accuracy"} and self.labels:
            return 100.0 / len(self.labels)
        return 0.0 if names == {"matthews_corrcoef"} else None

    def build(self, source: Source, limit: int) -> list[Example]:
        """Makes at most ``limit`` examples from the documents of one split."""
        function = pkgutil.resolve_name(f"spactor.data.builders.{self.builder}")
        found: list[Example] = function(source, self, limit)
        return found


@dataclass(frozen=True, kw_only=True)
class ReleasedTask(Task):
    """A task of an official benchmark.

    Attributes:
      release: the data set.
    """

    release: Release

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows per split, as released."""
        raise NotImplementedError

    @property
    def rate(self) -> float:
        """Weight in the mixture; 0 if there is nothing to train on."""
        return float(self.rows.get("train", 0))


@dataclass(frozen=True, kw_only=True)
class T5Task(ReleasedTask):
    """A task that the ``t5`` package defines over TensorFlow Datasets.

    Attributes:
      t5_name: in T5's registry; preprocessors, postprocessor and metrics are taken from there.
      dataset: the data set and its configuration.
      versions: rows per split of every accepted version, T5's own first.
      renamed: records' names of metrics that T5 names otherwise, by T5's names.
      weight: T5's weight in the mixture, where that is not the number of training rows.
    """

    t5_name: str
    dataset: str
    versions: Mapping[str, Mapping[str, int]]
    renamed: Mapping[str, str] = field(default_factory=dict)
    weight: float | None = None

    @property
    def rows(self) -> Mapping[str, int]:
        return next(iter(self.versions.values()))

    @property
    def rate(self) -> float:
        return super().rate if self.weight is None else self.weight

    def folder(self, version: str) -> str:
        """Folder of a version, relative to the data folder."""
        return f"{self.dataset}/{version}"


@dataclass(frozen=True, kw_only=True)
class FileTask(ReleasedTask):
    """A task over the files of a release, scored by exact match.

    Attributes:
      files: paths per split, relative to the data folder.
      counts: rows per split, as released; other splits may have any number.
      reader: ``module:function`` below `spactor.data.readers`. Called with the task and the paths
        of a split's files, the function returns their examples; what it can't read is a
        `UserError` that names file and row.
      prompt: what every prompt begins with.
    """

    files: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, int]
    reader: str
    prompt: str = ""

    @property
    def rows(self) -> Mapping[str, int]:
        return self.counts

    def read(self, *paths: Path) -> list[Example]:
        """Examples of files, in their order.

        Raises:
          UserError: a file is missing or damaged.
        """
        function = pkgutil.resolve_name(f"spactor.data.readers.{self.reader}")
        found: list[Example] = function(self, *paths)
        return found

    def examples(self, folder: Path, split: str) -> list[Example]:
        """All examples of a split in a data folder, in the release's order.

        Raises:
          UserError: a file is missing, damaged, or has another number of rows.
        """
        paths = [folder / name for name in self.files[split]]
        found = self.read(*paths)
        if len(found) != self.counts.get(split, len(found)):
            raise UserError(
                f"{paths[0]}: {len(found):,} rows, and the release has {self.counts[split]:,}: "
                "take the file from the release again"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Tasks that are fine-tuned together: a column of Tables 2 and 4.

    Attributes:
      name: as specs and records have it.
      title: as the paper prints it.
      tasks: in the order of the paper's columns; all of one type.
      target_length: decoder positions that hold any answer, eos included; T5's where it has one.
    """

    name: str
    title: str
    tasks: Sequence[Task]
    target_length: int

    @property
    def is_embedded(self) -> bool:
        """Whether its examples are made from documents."""
        return isinstance(self.tasks[0], EmbeddedTask)

    @property
    def mixture_name(self) -> str:
        """Name in seqio's registry of mixtures, other than that of the official benchmark."""
        return f"spactor_{self.name}" if self.is_embedded else f"spactor_benchmark_{self.name}"

    def registered_name(self, task: str) -> str:
        """Name of a task in seqio's registry of tasks, and in the names of its metrics files."""
        return f"{self.mixture_name}_{task}"

    @property
    def scored(self) -> tuple[Task, ...]:
        """Tasks that have metrics."""
        return tuple(task for task in self.tasks if task.metrics)

    @property
    def released_tasks(self) -> tuple[ReleasedTask, ...]:
        """Tasks of an official benchmark; empty for an embedded suite."""
        return tuple(task for task in self.tasks if isinstance(task, ReleasedTask))

    @property
    def has_training_data(self) -> bool:
        """Whether it has examples to fine-tune on; the releases of MMLU and BBH have none."""
        return self.is_embedded or any(task.rate for task in self.released_tasks)

    @property
    def metric_versions(self) -> dict[str, dict[str, str]]:
        """Version of every metric by the records' tasks."""
        versions: dict[str, dict[str, str]] = {}
        for task in self.tasks:
            for metric in task.metrics:
                versions.setdefault(task.recorded_as, {})[metric.name] = metric.version
        return versions
