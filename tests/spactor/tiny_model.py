"""A model of a few thousand parameters, for the method's own tests."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
from flax import traverse_util

from spactor import corruption, step
from spactor.config import ModelConfig, OptimizerConfig, PretrainConfig
from spactor.data.vocabulary import VocabularyFacts
from spactor.keys import row_keys

VOCABULARY = VocabularyFacts.of_pieces(512 - 101)
# Compiled: one by one, its operations take longer than its compilation.
CORRUPT = jax.jit(corruption.corrupt, static_argnums=(2, 3))
SAMPLE_KEYS = row_keys(jax.random.key(5), 4)


def tiny_config(**changes: float) -> PretrainConfig:
    """Two layers of width 16 on 48 positions; ``changes`` go to the model."""
    model = {
        "vocab_size": 512,
        "emb_dim": 16,
        "num_heads": 2,
        "head_dim": 8,
        "mlp_dim": 32,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "generator_num_layers": 1,
        "generator_mlp_dim": 16,
        "rtd_mlp_dim": 24,
        "dropout_rate": 0.0,
    }
    return PretrainConfig(
        model=ModelConfig(**(model | changes)),
        optimizer=OptimizerConfig(warmup_steps=4, learning_rate_factor=0.1),
        input_length=48,
        batch_size=4,
    )


def one_layer_config(**changes: float) -> PretrainConfig:
    """The same with one layer each: tests of what layers don't change compile less."""
    return tiny_config(num_encoder_layers=1, num_decoder_layers=1, **changes)


def random_params(model: ModelConfig, seed: int, *, hybrid: bool = False) -> dict:
    """Every parameter drawn anew, those too that training starts at 0 or 1; NumPy float32."""
    config = dataclasses.replace(tiny_config(), model=model)
    stage = "hybrid" if hybrid else "span_corruption"
    shapes = jax.eval_shape(lambda: step.init_state(config, 0, stage)).params
    rng = np.random.default_rng(seed)

    def draw(path: tuple[str, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        values = rng.standard_normal(leaf.shape)
        if path[-1] == "scale":
            values = 1 + 0.2 * values
        elif path[-1] == "kernel":
            values /= np.sqrt(leaf.shape[0])
        # As at initialisation: attention logits are not divided by √head_dim.
        if "query" in path:
            values /= np.sqrt(model.head_dim)
        return values.astype(np.float32)

    flat = traverse_util.flatten_dict(shapes)
    return traverse_util.unflatten_dict({path: draw(path, leaf) for path, leaf in flat.items()})
