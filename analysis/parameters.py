"""Number of the network's parameters, tensor by tensor, and size of a checkpoint.

Shapes are those of ``spactor/network.py`` and slots those of its Adafactor; a test compares them
with the initialised state. The module needs no JAX, which the base installation lacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from spactor.config import ModelConfig, PretrainConfig, Stage

_FLOAT32_BYTES = 4
_POSITION_BUCKETS = 32


def tensors(model: ModelConfig, stage: Stage) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yields the shapes of the parameter tensors, each with the number of tensors of that shape.

    Args:
      model: shapes.
      stage: ``hybrid`` adds the generator and the RTD head.

    >>> from spactor.config import PAPER
    >>> for stage in ("span_corruption", "hybrid"):
    ...     print(_count(tensors(PAPER["base"].model, stage)))
    222903552
    265676160
    """
    d, vocabulary = model.emb_dim, model.vocab_size
    yield (vocabulary, d), 1
    yield from _stack(model, model.num_encoder_layers, model.mlp_dim, attentions=1)
    yield from _stack(model, model.num_decoder_layers, model.mlp_dim, attentions=2)
    if stage == "span_corruption":
        return
    own = model.generator_mlp_dim
    yield from _stack(model, model.generator_num_layers, own, attentions=1)
    if model.generator_num_decoder_layers:
        yield from _stack(model, model.generator_num_decoder_layers, own, attentions=2)
    yield (d, vocabulary), 1
    yield (d, model.rtd_mlp_dim), 1
    yield (model.rtd_mlp_dim, 1), 1


def _stack(
    model: ModelConfig, layers: int, mlp_dim: int, *, attentions: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    yield from _matrices(model, layers, mlp_dim, attentions)
    yield (model.emb_dim,), (attentions + 1) * layers + 1
    yield (model.num_heads, _POSITION_BUCKETS), 1


def _matrices(
    model: ModelConfig, layers: int, mlp_dim: int, attentions: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    d, inner = model.emb_dim, model.num_heads * model.head_dim
    yield (d, inner), 3 * attentions * layers
    yield (inner, d), attentions * layers
    yield (d, mlp_dim), layers
    yield (mlp_dim, d), layers


def _count(shapes: Iterator[tuple[tuple[int, ...], int]]) -> int:
    return sum(math.prod(shape) * count for shape, count in shapes)


def encoder_weights(model: ModelConfig) -> int:
    """Counts the weights of the encoder's matrices; norms and position biases are left out.

    >>> from spactor.config import PAPER
    >>> encoder_weights(PAPER["base"].model)  # 12 · (4 · 768² + 2 · 768 · 3072)
    84934656
    """
    return _count(_matrices(model, model.num_encoder_layers, model.mlp_dim, 1))


def generator_weights(model: ModelConfig) -> int:
    """Counts the weights of the generator's encoder matrices, without the shared embedding."""
    return _count(_matrices(model, model.generator_num_layers, model.generator_mlp_dim, 1))


def discriminator_weights(model: ModelConfig) -> int:
    """Counts the weights of the discriminator's matrices and of its embedding, which logits share.

    >>> from spactor.config import PAPER
    >>> [round(discriminator_weights(PAPER[size].model) / 1e6) for size in ("base", "large")]
    [223, 738]
    """
    decoder = _count(_matrices(model, model.num_decoder_layers, model.mlp_dim, 2))
    return model.vocab_size * model.emb_dim + encoder_weights(model) + decoder


def checkpoint_bytes(config: PretrainConfig, stage: Stage) -> int:
    """Returns the bytes of parameters and Adafactor's second moments in float32, uncompressed.

    >>> from spactor.config import PAPER
    >>> [round(checkpoint_bytes(PAPER["base"], stage) / 1e9, 3)
    ...  for stage in ("span_corruption", "hybrid")]
    [0.894, 1.065]
    """
    threshold = config.optimizer.min_dim_size_to_factor
    floats = 0
    for shape, count in tensors(config.model, stage):
        factored = len(shape) == 2 and min(shape) >= threshold
        slots = sum(shape) if factored else math.prod(shape)
        floats += count * (math.prod(shape) + slots)
    return floats * _FLOAT32_BYTES
