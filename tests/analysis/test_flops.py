"""FLOPs, derived a second and a third time."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from analysis import flops
from spactor.config import (
    STAGES,
    CorruptionConfig,
    CurriculumConfig,
    ModelConfig,
    PretrainConfig,
    Ramp,
)
from spactor.errors import UserError

TINY = PretrainConfig(
    model=ModelConfig(
        vocab_size=128,
        emb_dim=8,
        num_heads=2,
        head_dim=3,
        mlp_dim=10,
        num_encoder_layers=2,
        num_decoder_layers=3,
        generator_num_layers=1,
        generator_mlp_dim=5,
        rtd_mlp_dim=7,
    ),
    input_length=24,
    batch_size=4,
)


class Counter:
    """Multiplies real arrays and adds up what that cost."""

    def __init__(self):
        self.flops = 0

    def __call__(self, left, right):
        product = left @ right
        self.flops += 2 * product.size * left.shape[-1]
        return product


def attention(multiply, x, memory, heads, head_dim):
    d = x.shape[-1]
    query, key, value, out = (np.zeros((d, heads * head_dim)) for _ in range(4))
    q, k, v = multiply(x, query), multiply(memory, key), multiply(memory, value)
    split = lambda y: y.reshape(len(y), heads, head_dim).transpose(1, 0, 2)  # noqa: E731
    weights = multiply(split(q), split(k).transpose(0, 2, 1))
    mixed = multiply(weights, split(v)).transpose(1, 0, 2).reshape(len(x), -1)
    return multiply(mixed, out.T)


def mlp(multiply, x, width):
    return multiply(multiply(x, np.zeros((x.shape[-1], width))), np.zeros((width, x.shape[-1])))


def forward_by_running_it(config, stage):
    """A forward pass on zeros of the right shapes, every matrix product counted as it happens."""
    model, lengths, multiply = config.model, config.lengths, Counter()
    heads = (model.num_heads, model.head_dim)
    vocabulary = np.zeros((model.emb_dim, model.vocab_size))
    encoded = np.zeros((lengths.input_tokens, model.emb_dim))
    if stage == "hybrid":
        filled = encoded
        for _ in range(model.generator_num_layers):
            filled = attention(multiply, filled, filled, *heads)
            filled = mlp(multiply, filled, model.generator_mlp_dim)
        memory = filled
        for _ in range(model.generator_num_decoder_layers):
            filled = attention(multiply, filled, filled, *heads)
            filled = attention(multiply, filled, memory, *heads)
            filled = mlp(multiply, filled, model.generator_mlp_dim)
        multiply(filled[: lengths.masked_tokens], vocabulary)
    for _ in range(model.num_encoder_layers):
        encoded = mlp(multiply, attention(multiply, encoded, encoded, *heads), model.mlp_dim)
    if stage == "hybrid":
        hidden = multiply(encoded, np.zeros((model.emb_dim, model.rtd_mlp_dim)))
        multiply(hidden, np.zeros((model.rtd_mlp_dim, 1)))
    decoded = np.zeros((lengths.target_tokens, model.emb_dim))
    for _ in range(model.num_decoder_layers):
        decoded = attention(multiply, decoded, decoded, *heads)
        decoded = attention(multiply, decoded, encoded, *heads)
        decoded = mlp(multiply, decoded, model.mlp_dim)
    multiply(decoded, vocabulary)
    return multiply.flops


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("generator_num_decoder_layers", [0, 2])
def test_terms_add_up_to_what_a_forward_pass_multiplies(stage, generator_num_decoder_layers):
    model = dataclasses.replace(
        TINY.model, generator_num_decoder_layers=generator_num_decoder_layers
    )
    config = dataclasses.replace(TINY, model=model)
    assert sum(flops.terms(config, stage).values()) == forward_by_running_it(config, stage)


def test_a_masking_ratio_that_varies_costs_its_highest():
    ramp = Ramp(start_value=0.3, end_value=0.1, start_step=2, end_step=8)
    varied = dataclasses.replace(TINY, curriculum=CurriculumConfig(mlm_ratio=ramp))
    fixed = dataclasses.replace(TINY, corruption=CorruptionConfig(mlm_ratio=0.3))
    assert flops.terms(varied, "hybrid") == flops.terms(fixed, "hybrid")


def test_options_cost_what_they_multiply():
    """TINY: n = 24 positions, m = 6, q = 3; V·d = 128 · 8; a batch of 4."""
    lengths = TINY.lengths
    assert (lengths.input_tokens, lengths.target_tokens, lengths.masked_tokens) == (24, 6, 3)

    def extra(stage, **options):
        config = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, **options))
        return flops.step_flops(config, stage) - flops.step_flops(TINY, stage)

    row = 4 * 2 * 128 * 8  # FLOPs of one position onto the vocabulary, for the batch
    assert extra("hybrid", project_all_positions=True) == 3 * (24 - 3) * row
    assert extra("span_corruption", project_all_positions=True) == 0
    # One-hot rows have no gradient: forward, and backward onto the table.
    assert extra("span_corruption", one_hot_embedding=True) == 2 * (24 + 6) * row
    assert extra("hybrid", one_hot_embedding=True) == 2 * (24 + 3 + 6) * row
    afresh = {"one_hot_embedding": True, "reuse_embedding": False}
    assert extra("hybrid", **afresh) == 2 * (24 + 24 + 6) * row
    assert extra("hybrid", reuse_embedding=False) == 0  # a gather costs nothing


def test_pretraining_splits_at_tau():
    hybrid, plain = (flops.step_flops(TINY, stage) for stage in STAGES)
    total = flops.pretraining_flops
    assert total(TINY, 0, 10) == 10 * plain
    assert total(TINY, 3, 10) == 3 * hybrid + 7 * plain
    assert total(TINY, 30, 10) == total(TINY, math.inf, 10) == 10 * hybrid


def test_bad_arguments_are_user_errors():
    with pytest.raises(UserError, match="unknown stage 'third'"):
        flops.step_flops(TINY, "third")
    for tau in (-1, math.nan):
        with pytest.raises(UserError, match="give 0 or more"):
            flops.pretraining_flops(TINY, tau, 10)
