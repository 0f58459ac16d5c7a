"""Parameters counted from shapes: weight matrices and the shared embedding; norms left out."""

from __future__ import annotations

from spactor.config import ModelConfig


def encoder_parameters(model: ModelConfig) -> int:
    """Of the discriminator's encoder.

    >>> from spactor.config import PAPER
    >>> encoder_parameters(PAPER["base"].model)  # 12 · (4 · 768² + 2 · 768 · 3072)
    84934656
    """
    attention = 4 * model.emb_dim * model.num_heads * model.head_dim
    return model.num_encoder_layers * (attention + 2 * model.emb_dim * model.mlp_dim)


def decoder_parameters(model: ModelConfig) -> int:
    """Of the discriminator's decoder, which attends twice."""
    attention = 4 * model.emb_dim * model.num_heads * model.head_dim
    return model.num_decoder_layers * (2 * attention + 2 * model.emb_dim * model.mlp_dim)


def parameters(model: ModelConfig) -> int:
    """Of the discriminator, with the embedding it shares with its output.

    >>> from spactor.config import PAPER
    >>> [round(parameters(PAPER[size].model) / 1e6) for size in ("base", "large")]
    [223, 738]
    """
    embedding = model.vocab_size * model.emb_dim
    return embedding + encoder_parameters(model) + decoder_parameters(model)


def generator_parameters(model: ModelConfig) -> int:
    """Of the generator's layers; its embedding is the discriminator's."""
    attention = 4 * model.emb_dim * model.num_heads * model.head_dim
    per_layer = attention + 2 * model.emb_dim * model.generator_mlp_dim
    return model.generator_num_layers * per_layer
