"""The network: shapes of the published sizes, the RTD head, a generator with a decoder."""

from __future__ import annotations

import math
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import VOCABULARY, one_layer_config, random_params, tiny_config

from analysis.parameters import tensors
from spactor import step
from spactor.config import PAPER
from spactor.corruption import shift_right
from spactor.network import Network

CONFIGS = {**PAPER, "generator's decoder": tiny_config(generator_num_decoder_layers=2)}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_shapes_are_those_that_are_counted(config) -> None:
    """Every tensor of the network against `analysis.parameters`, which the paper's sizes are of."""
    params = jax.eval_shape(lambda: step.init_state(config, 0, "hybrid")).params
    plain = {name: tree for name, tree in params.items() if name not in step.HYBRID_ONLY}
    for stage, tree in (("hybrid", params), ("span_corruption", plain)):
        counted: Counter[tuple[int, ...]] = Counter()
        for shape, count in tensors(config.model, stage):
            counted[shape] += count
        assert Counter(leaf.shape for leaf in jax.tree.leaves(tree)) == counted


def test_the_rtd_head_is_a_gelu_layer(config, params) -> None:
    """f of Equation 5 by hand, with GELU in the tanh form that Flax computes."""
    encoded = np.random.default_rng(0).normal(size=(2, 3, 16))
    wi, wo = (np.asarray(params["rtd_head"][name]["kernel"], np.float64) for name in ("wi", "wo"))
    x = encoded @ wi
    gelu = x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    logits = Network(config.model).apply(
        {"params": params}, encoded.astype(np.float32), method=Network.detect
    )
    np.testing.assert_allclose(logits, (gelu @ wo)[..., 0], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def encoder_decoder():
    return one_layer_config(generator_num_decoder_layers=1)


def test_inputs_of_a_position(encoder_decoder, batch) -> None:
    """A position reads the whole masked input, and the clean input before the position."""
    model = Network(encoder_decoder.model)
    params = random_params(encoder_decoder.model, 0, hybrid=True)
    length = encoder_decoder.lengths.input_tokens
    every = jnp.broadcast_to(jnp.arange(length), batch.masked_tokens.shape)

    @jax.jit
    def logits(masked, clean):
        bound = model.bind({"params": params})
        return bound.generate(bound.embed(masked), every, shifted_tokens=shift_right(clean))

    before = np.asarray(logits(batch.masked_tokens, batch.encoder_input_tokens))
    assert before.shape == (4, length, encoder_decoder.model.vocab_size)
    changed = batch.encoder_input_tokens.at[:, 20].set(7)
    after = np.asarray(logits(batch.masked_tokens, changed))
    np.testing.assert_array_equal(after[:, :21], before[:, :21])
    assert (np.abs(after[:, 21:] - before[:, 21:]).max(axis=(0, 2)) > 0).all()
    masked = np.asarray(logits(batch.masked_tokens.at[:, 40].set(7), batch.encoder_input_tokens))
    assert (np.abs(masked - before).max(axis=(0, 2)) > 0).all()


def test_training_and_the_switch_at_tau(encoder_decoder, chunks) -> None:
    train_step = step.build_train_step(encoder_decoder, VOCABULARY, "hybrid")
    state = step.init_state(encoder_decoder, 0, "hybrid")
    start = jax.device_get(state.params["generator"])
    losses = []
    for _ in range(10):
        state, metrics = train_step(state, chunks, 0)
        losses.append(float(metrics["generator_loss"].total / metrics["generator_loss"].weight))
    assert losses[-1] < losses[0]
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), start, state.params["generator"])
    assert all(jax.tree.leaves(moved["decoder"]))
    assert "generator" not in step.without_hybrid_parts(state).params
