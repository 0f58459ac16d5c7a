"""Encodes a suite into the data folder that is being prepared, with the seqio tasks themselves.

Prompts and token ids are therefore those that T5X reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spactor.data import building, examples, host_tensorflow, manifest, suite_registry, suite_tokens
from spactor.data.builders.cloze import GAP
from spactor.data.examples import Example
from spactor.data.suites import SPLITS, EmbeddedTask, Suite
from spactor.data.vocabulary import EOS_ID, VocabularyFacts, seqio_vocabulary

_AFTER_GAP = "<extra_id_1>"
_ROWS = 1000
"""Number of rows that are converted to NumPy at a time."""


def write(folder: Path, suite: Suite, facts: VocabularyFacts, source: Path | None = None) -> None:
    """Encodes a suite, and stores the validation examples of an official benchmark for scoring.

    Training on all rows alike is the proportional mixture, since T5's rates are numbers of
    examples; that includes the rows of tasks that are not scored, such as MNLI.

    Args:
      folder: that is being prepared, with its vocabulary and the examples of embedded suites.
      suite: an embedded one, or an official benchmark, all of whose data are there.
      facts: of the vocabulary.
      source: the user's data folder with the benchmark.

    Raises:
      UserError: a file is damaged.
    """
    mixture = (
        suite_registry.register_embedded(folder, suite)
        if source is None
        else suite_registry.register_released(suite, source, seqio_vocabulary(folder))
    )
    seqio = host_tensorflow.seqio()
    mixed = seqio.MixtureRegistry.get(mixture).tasks if mixture else ()
    by_name = {task.name.removeprefix(f"{mixture}_"): task for task in mixed}
    own = [task.name for task in suite.tasks]
    ids: dict[suite_tokens.Place, list[np.ndarray]] = {}
    choices: dict[str, suite_tokens.Choices] = {}
    ranked = {task.name for task in suite.tasks if isinstance(task, EmbeddedTask) and task.ranked}
    # In the suite's order; the instructions, which are no task of the suite, are last.
    for name in sorted(by_name, key=lambda name: own.index(name) if name in own else len(own)):
        for split in (split for split in SPLITS if split in by_name[name].splits):
            dataset = by_name[name].get_dataset(None, split=split, shuffle=False)
            rows: Iterable[Mapping[str, Any]] = _rows(dataset)
            if split == "validation" and not suite.is_embedded:
                rows = list(rows)
                path = folder / manifest.examples_file(suite.name, name, split)
                building.write_lines(path, examples.lines_of(rows))
                types = folder / manifest.types_file(suite.name, name)
                building.write_lines(types, [examples.types_of(dataset)])
            ids |= {(name, split, side): [] for side in suite_tokens.SIDES}
            is_ranked = split == "validation" and name in ranked
            if is_ranked:
                rows = list(rows)
                choices[name] = _choices(name, rows)
            for row in rows:
                # Inputs of an item are stored once, with its first choice.
                first_side = 1 if is_ranked and row["idx"][1] else 0
                for side in suite_tokens.SIDES[first_side:]:
                    # Stored without the eos that the tasks append.
                    if row[side][-1] != EOS_ID:
                        raise ValueError(f"the sequences of task {name} do not end in eos")
                    ids[name, split, side].append(row[side][:-1].astype(facts.dtype))
    suite_tokens.write(folder, suite.name, suite.target_length, ids, facts.dtype, choices)


def _rows(dataset: Any) -> Iterator[Mapping[str, Any]]:
    """Yields a dataset's rows as NumPy values, converted in batches to save calls of TensorFlow."""
    for batch in dataset.ragged_batch(_ROWS):
        columns = [column.numpy() for column in batch.values()]
        for values in zip(*columns, strict=True):
            yield dict(zip(batch, values, strict=True))


def write_cloze(folder: Path, clozes: Sequence[Example], facts: VocabularyFacts) -> None:
    """Writes the zero-shot cloze, as a ranked task without training rows; nothing without examples.

    Inputs and targets have pre-training's form (Section 2.1), so that a model can rank the words
    without any fine-tuning::

        inputs     Return the <extra_id_0> of the largest element eos      X_c, one span masked
        targets    <extra_id_0> index <extra_id_1> eos                     the decoder's target

    Args:
      folder: that is being prepared, with its vocabulary.
      clozes: of `spactor.data.builders.cloze`.
      facts: of the vocabulary.
    """
    if not clozes:
        return
    name = suite_tokens.CLOZE
    path = folder / manifest.examples_file(name, name, "validation")
    building.write_lines(path, [example.line() for example in clozes])
    vocabulary, tf = seqio_vocabulary(folder), host_tensorflow.tensorflow()

    def ids(texts: list[str]) -> list[np.ndarray]:
        encoded = vocabulary.encode_tf(tf.constant(texts))
        tokens = encoded.flat_values.numpy().astype(facts.dtype)
        return np.split(tokens, encoded.row_splits.numpy()[1:-1])

    targets = [f"{GAP} {word} {_AFTER_GAP}" for example in clozes for word in example.choices]
    rows = {
        (name, "validation", "inputs"): ids([example.inputs for example in clozes]),
        (name, "validation", "targets"): ids(targets),
    }
    choices = (
        np.array([len(example.choices) for example in clozes]),
        np.array([example.choices.index(example.targets) for example in clozes]),
    )
    longest = max(map(len, rows[name, "validation", "targets"])) + 1
    suite_tokens.write(folder, name, longest, rows, facts.dtype, {name: choices})


def _choices(task: str, rows: Sequence[Mapping[str, np.ndarray]]) -> suite_tokens.Choices:
    """Numbers of choices, and of the right one, from rows of `examples.ranked_dataset`."""
    items = np.array([row["idx"][0] for row in rows])
    right = np.array([row["idx"] for row in rows if row["is_correct"]])
    counts = np.bincount(items)
    if not np.array_equal(right[:, 0], np.arange(len(counts))) or counts.min() < 2:
        raise ValueError(f"an item of task {task} has not one right choice of two or more")
    return counts, right[:, 1]
