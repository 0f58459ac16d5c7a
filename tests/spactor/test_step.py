"""Steps: purity, the stage switch, one compilation per stage, and decoding."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import VOCABULARY, tiny_config

from spactor import step
from spactor.curriculum import stage_at
from spactor.network import Network


def _same(a, b) -> bool:
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _trained(config, chunks, stage, seed=0, updates=3):
    state = step.init_state(config, seed, stage)
    train_step = step.build_train_step(config, VOCABULARY, stage)
    for _ in range(updates):
        state, metrics = train_step(state, chunks, seed)
    return state, metrics


@pytest.mark.parametrize("stage", ["hybrid", "span_corruption"])
def test_same_seed_same_state_other_seed_other_state(config, chunks, stage) -> None:
    first, _ = _trained(config, chunks, stage)
    assert _same(first, _trained(config, chunks, stage)[0])
    assert not _same(first.params, _trained(config, chunks, stage, seed=1)[0].params)


@pytest.mark.parametrize("stage", ["hybrid", "span_corruption"])
def test_one_compilation_per_stage(chunks, stage) -> None:
    config = tiny_config(mlp_dim=40)  # no other test has compiled this one
    _trained(config, chunks, stage)
    _trained(config, chunks, stage, seed=1)
    assert step.build_train_step(config, VOCABULARY, stage)._cache_size() == 1


def test_a_state_may_be_asked_for_its_shapes_first() -> None:
    """As restoring a checkpoint does, before a run of another seed starts from scratch."""
    config = tiny_config(mlp_dim=48, num_encoder_layers=1, num_decoder_layers=1)
    shapes = jax.eval_shape(lambda: step.init_state(config, 0, "hybrid"))
    state = step.init_state(config, 1, "hybrid")
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(lambda leaf: leaf.shape, shapes)


def test_the_discriminator_starts_alike_in_both_stages(config) -> None:
    hybrid = step.init_state(config, 7, "hybrid")
    plain = step.init_state(config, 7, "span_corruption")
    assert set(hybrid.params) - set(plain.params) == set(step.HYBRID_ONLY)
    assert _same(step.without_hybrid_parts(hybrid), plain)


def test_the_switch_passes_the_discriminator_on_untouched(config, chunks) -> None:
    hybrid, _ = _trained(config, chunks, "hybrid")
    switched = step.without_hybrid_parts(hybrid)
    assert int(switched.step) == 3 and int(switched.slots.count) == 3
    for name in ("token_embedder", "encoder", "decoder"):
        assert _same(switched.params[name], hybrid.params[name])
        for slot in ("v", "v_row", "v_col"):
            assert _same(getattr(switched.slots, slot)[name], getattr(hybrid.slots, slot)[name])
    plain = step.init_state(config, 0, "span_corruption")
    assert jax.tree.structure(switched) == jax.tree.structure(plain)


def test_before_tau_every_tau_is_the_same_run() -> None:
    assert [stage_at(n, 3) for n in range(3)] == [stage_at(n, math.inf) for n in range(3)]
    assert stage_at(3, 3) == "span_corruption"


def test_the_first_update_is_the_schedule_s(config, chunks) -> None:
    _, metrics = _trained(config, chunks, "span_corruption", updates=1)
    assert float(metrics["learning_rate"].total) == pytest.approx(0.1 / math.sqrt(4))
    _, metrics = _trained(config, chunks, "span_corruption", updates=10)
    assert float(metrics["learning_rate"].total) == pytest.approx(0.1 / 3)  # n = 9


def test_a_row_is_corrupted_alike_in_any_batch(config, chunks) -> None:
    keys = jax.random.key_data(step.row_keys(jax.random.key(0), 4))
    fewer = jax.random.key_data(step.row_keys(jax.random.key(0), 2))
    assert (keys[:2] == fewer).all()
    validate = step.build_validation_step(config, VOCABULARY, "hybrid")
    params = step.init_state(config, 0, "hybrid").params
    whole = validate(params, jnp.asarray(chunks))
    parts = [validate(params, jnp.asarray(chunks[i : i + 1])) for i in range(4)]
    for name, ratio in whole.items():
        total = sum(float(part[name].total) for part in parts)
        assert total == pytest.approx(float(ratio.total), rel=1e-5), name


def test_dropout_draws_from_seed_and_step(chunks) -> None:
    config = tiny_config(dropout_rate=0.3)
    first, _ = _trained(config, chunks, "hybrid", updates=1)
    again, _ = _trained(config, chunks, "hybrid", updates=1)
    assert _same(first, again)
    without, _ = _trained(tiny_config(), chunks, "hybrid", updates=1)
    assert not _same(first.params, without.params)


def test_cached_decoding_equals_recomputing(config) -> None:
    network = Network(config.model)
    params = step.init_state(config, 2, "span_corruption").params
    rng = np.random.default_rng(0)
    inputs = rng.integers(3, 400, (3, 20)).astype(np.int32)
    inputs[1, 12:] = 0
    length = 9
    slow = np.zeros((3, length), np.int32)
    ended = np.zeros(3, bool)
    for position in range(length):
        shifted = np.concatenate([np.zeros((3, 1), np.int32), slow[:, :-1]], axis=1)
        logits = network.apply({"params": params}, jnp.asarray(inputs), jnp.asarray(shifted))
        slow[:, position] = np.where(ended, 0, np.argmax(logits[:, position], axis=-1))
        # The id generated most often serves as eos, so that rows end at different times.
        ended |= slow[:, position] == EOS
    fast = step.build_greedy_decode(config, length, EOS)(params, jnp.asarray(inputs))
    np.testing.assert_array_equal(fast, slow)


EOS = 1
