"""Encodes a suite into the data folder that is being prepared, with the seqio tasks themselves.

Prompts and token ids are therefore those that T5X reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spactor.data import building, host_tensorflow, manifest, suite_registry, typed_rows
from spactor.data import suite_tokens as stored
from spactor.data.suites import SPLITS, Suite
from spactor.data.vocabulary import EOS_ID, VocabularyFacts, seqio_vocabulary


def write_embedded(folder: Path, suite: Suite, facts: VocabularyFacts) -> None:
    """Encodes an embedded suite, whose examples lie in ``folder``.

    Args:
      folder: that is being prepared, with its vocabulary.
      suite: an embedded one.
      facts: of the vocabulary.
    """
    mixture = suite_registry.register_embedded(folder, suite)
    _write(folder, suite, mixture, facts)


def write_released(folder: Path, suite: Suite, source: Path, facts: VocabularyFacts) -> None:
    """Encodes an official benchmark, and stores its validation examples for scoring.

    Training on all rows alike is the proportional mixture, since T5's rates are numbers of
    examples; that includes the rows of tasks that are not scored, such as MNLI.

    Args:
      folder: that is being prepared, with its vocabulary.
      suite: an official benchmark, all of whose data are there.
      source: the user's data folder.
      facts: of the vocabulary.

    Raises:
      UserError: a file is damaged.
    """
    mixture = suite_registry.register_released(suite, source, seqio_vocabulary(folder))
    _write(folder, suite, mixture, facts)


def _write(folder: Path, suite: Suite, mixture: str | None, facts: VocabularyFacts) -> None:
    seqio = host_tensorflow.seqio()
    mixed = seqio.MixtureRegistry.get(mixture).tasks if mixture else ()
    by_name = {task.name.removeprefix(f"{mixture}_"): task for task in mixed}
    own = [task.name for task in suite.tasks]
    parts: list[stored.Part] = []
    # In the suite's order; the instructions, which are no task of the suite, are last.
    for name in sorted(by_name, key=lambda name: own.index(name) if name in own else len(own)):
        for split in (split for split in SPLITS if split in by_name[name].splits):
            dataset = by_name[name].get_dataset(None, split=split, shuffle=False)
            rows = dataset.as_numpy_iterator()
            if split == "validation" and not suite.is_embedded:
                rows = list(rows)
                path = folder / manifest.examples_file(suite.name, name, split)
                building.write_lines(path, typed_rows.lines_of(rows))
                types = folder / manifest.types_file(suite.name, name)
                building.write_lines(types, [typed_rows.types_of(dataset)])
            parts += _parts(name, split, rows, facts)
    stored.write(folder, suite.name, suite.target_length, parts)


def _parts(name: str, split: str, rows: Any, facts: VocabularyFacts) -> list[stored.Part]:
    """Both sides of a task's examples, without the eos that the tasks append."""
    dtype = np.uint16 if facts.padded_size <= 2**16 else np.int32
    found: dict[str, list[np.ndarray]] = {side: [] for side in stored.SIDES}
    for row in rows:
        for side in stored.SIDES:
            if row[side][-1] != EOS_ID:
                raise ValueError(f"the sequences of task {name} do not end in eos")
            found[side].append(row[side][:-1].astype(dtype))
    return [
        stored.Part(
            name,
            split,
            side,
            np.concatenate([np.zeros(0, dtype), *found[side]]),
            np.array([len(ids) for ids in found[side]], np.int64),
        )
        for side in stored.SIDES
    ]
