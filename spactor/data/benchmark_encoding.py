"""Writes a benchmark into the data folder being prepared: token ids, and what scoring needs.

``tokens.npz`` is as an embedded suite's (`suite_tokens`), made by the seqio tasks themselves, so
prompts and ids are those that T5X reads. Validation examples are kept as the tasks serve them,
with all their fields, because postprocessors and metrics read them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from spactor.data import benchmarks, building, host_tensorflow, suite_tokens, suites
from spactor.data.benchmarks import Benchmark, kept
from spactor.data.vocabulary import EOS_ID, VocabularyFacts, seqio_vocabulary

SIDES = ("inputs", "targets")


def write(folder: Path, benchmark: Benchmark, released: Path, facts: VocabularyFacts) -> None:
    """Encodes a benchmark.

    Training examples of all tasks lie under the first task that is scored: some are of tasks that
    are trained on and not scored, such as MNLI, and a step draws from all alike. That is the
    proportional mixture, since T5's rates are numbers of examples.

    Args:
      folder: that is being prepared, with its vocabulary.
      benchmark: all of which is there.
      released: the user's data folder.
      facts: of the vocabulary.

    Raises:
      UserError: a file is damaged.
    """
    seqio = host_tensorflow.seqio()
    mixture = benchmarks.register(benchmark, released, seqio_vocabulary(folder))
    trained = [task for task in seqio.MixtureRegistry.get(mixture).tasks if "train" in task.splits]
    scored = [task.name for task in benchmark.tasks if task.metrics]
    training = {side: _Tokens(facts) for side in SIDES}
    arrays: dict[str, np.ndarray] = {
        suite_tokens.TARGET_LENGTH: np.array(benchmark.target_length),
    }
    for task in trained:
        for row in _dataset(task, "train").as_numpy_iterator():
            for side in SIDES:
                training[side].add(row[side])
    for name in scored:
        task = seqio.TaskRegistry.get(benchmarks.task_name(benchmark.name, name))
        found = {side: _Tokens(facts) for side in SIDES}
        lines = []
        dataset = _dataset(task, "validation")
        for row in dataset.as_numpy_iterator():
            for side in SIDES:
                found[side].add(row[side])
            lines.append(json.dumps({key: _plain(value) for key, value in row.items()}))
        path = folder / suites.examples_file(benchmark.name, name, "validation")
        path.parent.mkdir(parents=True, exist_ok=True)
        building.write_lines(path, lines)
        types = {
            key: [spec.dtype.name, spec.shape.rank] for key, spec in dataset.element_spec.items()
        }
        building.write_lines(folder / kept.types_file(benchmark.name, name), [json.dumps(types)])
        for side in SIDES:
            own = training[side] if name == scored[0] else _Tokens(facts)
            for split, tokens in (("train", own), ("validation", found[side])):
                key = f"{name}/{split}/{side}"
                arrays[key], arrays[f"{key}_offsets"] = tokens.joined()
    with (folder / suite_tokens.file_of(benchmark.name)).open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _dataset(task: Any, split: str) -> Any:
    """A task's examples in the release's order, uncut."""
    return task.get_dataset(None, split=split, shuffle=False)


def _plain(value: Any) -> Any:
    """A field as JSON has it."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, np.ndarray) and value.ndim:
        return [_plain(item) for item in value]
    return value.item()


class _Tokens:
    """Rows of token ids, one after the other, without the eos that the tasks append."""

    def __init__(self, facts: VocabularyFacts) -> None:
        dtype = np.uint16 if facts.padded_size <= 2**16 else np.int32
        self._parts = [np.zeros(0, dtype)]

    def add(self, row: np.ndarray) -> None:
        if row[-1] != EOS_ID:
            raise ValueError("a task whose sequences do not end in eos")
        self._parts.append(row[:-1].astype(self._parts[0].dtype))

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """All tokens, and offsets int64[rows + 1]."""
        lengths = [len(part) for part in self._parts]
        return np.concatenate(self._parts), np.cumsum(lengths)
