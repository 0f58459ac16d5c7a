"""Models of the tests' size as T5X makes them. T5X and seqio are imported where they are used."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spactor.config import PretrainConfig
from spactor.data.vocabulary import VocabularyFacts

sys.path.insert(0, str(Path(__file__).parent.parent / "spactor"))
from tiny_model import VOCABULARY, tiny_config

SIZE = {"emb_dim": 128, "mlp_dim": 160, "rtd_mlp_dim": 144}
"""With width 128 Adafactor factors some second moments."""
CONFIG = dataclasses.replace(tiny_config(**SIZE), batch_size=8)


def vocabulary(facts: VocabularyFacts = VOCABULARY) -> Any:
    """A seqio vocabulary with these ids, without text."""
    from spactor.data import host_tensorflow

    made = host_tensorflow.seqio().PassThroughVocabulary(facts.sentencepiece_size)
    made._extra_ids = facts.extra_ids
    return made


def model(kind: str, config: PretrainConfig, of: Any, seed: int) -> Any:
    """Makes a model with T5X's Adafactor.

    Args:
      kind: a stage or ``finetuning``, of `spactor.t5x.models`; or ``stock``, T5X's own.
      config: sizes.
      of: the vocabulary.
      seed: of corruption.
    """
    from t5x import adafactor
    from t5x import models as t5x_models

    from spactor.t5x import models

    shared = {
        "input_vocabulary": of,
        "output_vocabulary": of,
        "optimizer_def": adafactor.Adafactor(
            logical_factor_rules=adafactor.standard_logical_factor_rules()
        ),
    }
    if kind == "hybrid":
        return models.SpactorModel(config=config, seed=seed, **shared)
    if kind == "span_corruption":
        return models.SpanCorruptionModel(config=config, seed=seed, **shared)
    if kind == "finetuning":
        return models.FinetuneModel(config=config, batch_size=2, **shared)
    return t5x_models.EncoderDecoderModel(
        module=models.stock_module(config.model), z_loss=config.objective.z_loss, **shared
    )


def batch_of(tokens: np.ndarray, number: int) -> dict[str, np.ndarray]:
    """A batch of a step, int32 ``[B, N]``, as `spactor.t5x.stream` numbers it."""
    rows = len(tokens)
    return {
        "tokens": tokens,
        "step": np.full(rows, number, np.int32),
        "row": np.arange(rows, dtype=np.int32),
    }


def assert_same_batches(
    ours: Sequence[Mapping[str, np.ndarray]], other: Sequence[Mapping[str, np.ndarray]]
) -> None:
    """As many batches, of the same arrays."""
    assert ours
    for left, right in zip(ours, other, strict=True):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


def initializer(
    of: Any, shapes: Mapping[str, tuple[int, ...]], model_parallel: int = 1
) -> tuple[Any, Any]:
    """T5X's partitioner, and its initializer of a model's train state.

    Args:
      of: the model.
      shapes: of a batch.
      model_parallel: devices that share a replica.
    """
    from t5x import partitioning, utils

    partitioner = partitioning.PjitPartitioner(
        # CPU meshes ignore num_partitions; theirs have two dimensions, hosts and devices.
        num_partitions=None,
        model_parallel_submesh=(1, model_parallel),
        logical_axis_rules=partitioning.standard_logical_axis_rules(),
    )
    return partitioner, utils.TrainStateInitializer(
        optimizer_def=of.optimizer_def,
        init_fn=of.get_initial_variables,
        input_shapes=shapes,
        input_types=dict.fromkeys(shapes, np.int32),
        partitioner=partitioner,
    )
