"""A worked example: one chunk before and after each corruption of the first stage (Figure 1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from spactor import corruption, files, objective
from spactor.checkpoints import restore_parent
from spactor.config import PretrainConfig
from spactor.data import manifest
from spactor.data.arrays import TokenArrays, validation_chunks
from spactor.data.vocabulary import VocabularyFacts, piece_names
from spactor.keys import Role, validation_keys
from spactor.network import Network, padding_bias

Array = jax.Array

FILE = "example.json"
"""Name of the file in a segment's folder."""


class WorkedExample(NamedTuple):
    """Tokens of one chunk before and after each corruption; int32 except for the last two.

    Attributes:
      original: ``[N]`` the chunk.
      span_corrupted: ``[n]`` X_c.
      masked: ``[n]`` X_c^MLM.
      replaced: ``[n]`` X̂_c, sampled from the generator.
      targets: ``[t]`` T of Equation 7.
      is_original: bool ``[n]``, the labels of replaced token detection.
      judged_original: bool ``[n]``, predictions of the RTD head.
    """

    original: Array
    span_corrupted: Array
    masked: Array
    replaced: Array
    targets: Array
    is_original: Array
    judged_original: Array


def trace(
    params: objective.Params,
    chunk: np.ndarray,
    config: PretrainConfig,
    vocabulary: VocabularyFacts,
) -> WorkedExample:
    """Corrupts a chunk as in validation, and applies generator and RTD head.

    Args:
      params: parameters, with generator and RTD head.
      chunk: int32 ``[N]``.
      config: configuration of the model.
      vocabulary: ids of the special tokens.
    """
    network = Network(config.model)

    def versions(params: objective.Params, chunks: Array) -> WorkedExample:
        keys = validation_keys(Role.VALIDATION_CORRUPTION, chunks)
        sample_keys = validation_keys(Role.VALIDATION_SAMPLING, chunks)
        batch = corruption.corrupt(chunks, keys, config.lengths, vocabulary)
        model = network.bind({"params": params})
        embedded = model.embed(batch.masked_tokens)
        sampled = objective.generate(model, batch, embedded, sample_keys).tokens
        replaced = objective.replace_rows(batch.masked_tokens, batch.masked_positions, sampled)
        bias = padding_bias(replaced)
        judged = model.detect(model.encode(model.embed(replaced), bias)) >= 0
        return WorkedExample(
            original=chunks,
            span_corrupted=batch.encoder_input_tokens,
            masked=batch.masked_tokens,
            replaced=replaced,
            targets=batch.decoder_target_tokens,
            is_original=replaced == batch.encoder_input_tokens,
            judged_original=judged,
        )

    rows = jax.jit(versions)(params, jnp.asarray(chunk)[None])
    return WorkedExample(*(jax.device_get(row[0]) for row in rows))


def write(
    folder: Path, config: PretrainConfig, end_step: int, arrays: TokenArrays, data_folder: Path
) -> None:
    """Traces the first validation chunk through a finished hybrid segment and writes ``FILE``.

    The file is a JSON object: ``original`` … ``targets`` are lists of pieces, ``is_original`` and
    ``judged_original`` lists of 0 and 1.

    Args:
      folder: the segment's folder.
      config: the segment's configuration.
      end_step: step of the segment's last checkpoint.
      arrays: the prepared tokens.
      data_folder: folder of ``arrays``, for the names of the pieces.

    Raises:
      UserError: there is no such checkpoint.
    """
    params = restore_parent(folder, config, end_step, "hybrid").params
    [chunk] = validation_chunks(arrays, count=1, chunk_tokens=config.lengths.chunk_tokens)
    traced = trace(params, chunk, config, arrays.vocabulary)._asdict()
    model = (data_folder / manifest.VOCABULARY_FILE).read_bytes()
    rows = {
        name: values.astype(int).tolist()
        if values.dtype == bool
        else piece_names(model, arrays.vocabulary, values.tolist())
        for name, values in traced.items()
    }
    files.write_atomically(folder / FILE, json.dumps(rows, ensure_ascii=False).encode())
