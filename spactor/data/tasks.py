"""The prepared corpus as seqio reads it: one Task over its documents.

The same tokens as `arrays`, made by seqio's own tokenizer from the text: chunk i of the Task
is chunk i of the arrays. T5X reads the Task; the local engine reads the arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spactor.data import examples, host_tensorflow, manifest
from spactor.data.vocabulary import seqio_vocabulary

DOCSTRINGS_TASK = "spactor_docstrings"


def tfds_source(home: Path, splits: Iterable[str]) -> Any:
    """A ``TfdsDataSource`` over the folder of one version, so that nothing is looked up or fetched.

    Args:
      home: the folder, as TensorFlow Datasets prepared it.
      splits: names.
    """
    return host_tensorflow.seqio().TfdsDataSource(
        tfds_data_dir=str(home), splits={split: split for split in splits}, read_only=True
    )


def replace_in_registry(registry: Any, name: str) -> None:
    """Makes room for a registration under ``name``; seqio refuses to register a name twice."""
    if name in registry.names():
        registry.remove(name)


def _text_as_targets(dataset: Any) -> Any:
    """A preprocessor: the field ``text``, alone, under the name ``targets``."""
    return dataset.map(lambda fields: {"targets": fields["text"]})


def _chunks(dataset: Any, sequence_length: Mapping[str, int]) -> Any:
    """A preprocessor: all tokens as one stream, cut into pieces of the sequence length."""
    # rebatch joins ragged documents to one stream and cuts it, documents in order.
    return dataset.rebatch(sequence_length["targets"], drop_remainder=True)


def register_chunks(name: str, source: Any, vocabulary: Any) -> str:
    """Registers a Task over documents with the field ``text``; returns its name.

    Its examples are ``{"targets": int32[N]}``, N given by the reader as
    ``sequence_length={"targets": N}``: raw chunks, without eos, not yet corrupted.

    Args:
      name: of the Task; an earlier one is replaced.
      source: seqio's data source.
      vocabulary: a ``seqio.Vocabulary``.
    """
    seqio = host_tensorflow.seqio()
    replace_in_registry(seqio.TaskRegistry, name)
    tokenize = functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False)
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[_text_as_targets, tokenize, _chunks],
        output_features={"targets": seqio.Feature(vocabulary, add_eos=False)},
        metric_fns=[],
    )
    return name


def register_docstrings(folder: Path) -> str:
    """Registers the Task `spactor_docstrings` over a prepared folder; see `register_chunks`.

    Raises:
      UserError: the folder is missing or damaged.
    """
    manifest.read(folder)
    files = {split: folder / manifest.documents_file(split) for split in ("train", "validation")}
    source = host_tensorflow.seqio().FunctionDataSource(
        functools.partial(examples.dataset, files=files, types=examples.texts("text")),
        splits=tuple(files),
    )
    return register_chunks(DOCSTRINGS_TASK, source, seqio_vocabulary(folder))
