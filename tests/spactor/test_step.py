"""Steps: purity, the stage switch, one compilation per stage, and decoding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_model import CORRUPT, VOCABULARY, one_layer_config

from spactor import optimizer, step
from spactor.data.vocabulary import EOS_ID
from spactor.keys import Role, role_key, row_keys
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
def test_the_state_depends_on_the_seed_alone_and_one_program(config, chunks, stage) -> None:
    first, _ = _trained(config, chunks, stage)
    assert _same(first, _trained(config, chunks, stage)[0])
    assert not _same(first.params, _trained(config, chunks, stage, seed=1)[0].params)
    assert step.build_train_step(config, VOCABULARY, stage)._cache_size() == 1


def test_init_state_works_after_eval_shape() -> None:
    """As when a checkpoint is restored before another seed is initialised."""
    # A configuration that no other test uses, because builders are cached.
    config = one_layer_config(mlp_dim=56)
    shapes = jax.eval_shape(lambda: step.init_state(config, 0, "span_corruption"))
    state = step.init_state(config, 1, "span_corruption")
    assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, shapes)


def test_initial_discriminator_does_not_depend_on_the_stage(config) -> None:
    hybrid = step.init_state(config, 7, "hybrid")
    plain = step.init_state(config, 7, "span_corruption")
    assert set(hybrid.params) - set(plain.params) == set(step.HYBRID_ONLY)
    assert _same(step.without_hybrid_parts(hybrid), plain)


def test_without_a_first_stage_it_is_plain_t5(config, chunks) -> None:
    """τ = 0: three updates equal those of a plain T5; test_models.py compares with T5X."""
    network = Network(config.model)

    @jax.jit
    @jax.grad
    def gradient(params, batch):
        logits = network.apply(
            {"params": params}, batch.encoder_input_tokens, batch.decoder_input_tokens
        )
        log_p = jax.nn.log_softmax(logits)
        targets = jax.nn.one_hot(batch.decoder_target_tokens, log_p.shape[-1])
        log_z = jnp.log(jnp.sum(jnp.exp(logits), axis=-1))
        summed = -jnp.sum(targets * log_p) + config.objective.z_loss * jnp.sum(log_z**2)
        return config.objective.lambda_sc * summed / len(chunks)

    params = step.init_state(config, 0, "span_corruption").params
    slots = optimizer.init_slots(params, config.optimizer)
    update = jax.jit(optimizer.update, static_argnums=4)
    for n in range(3):
        keys = row_keys(role_key(Role.CORRUPTION, 0, n), len(chunks))
        grads = gradient(params, CORRUPT(jnp.asarray(chunks), keys, config.lengths, VOCABULARY))
        rate = optimizer.learning_rate(n, config.optimizer)
        params, slots = update(params, grads, slots, rate, config.optimizer)
    trained, _ = _trained(config, chunks, "span_corruption")
    for ours, plain in zip(
        jax.tree.leaves((trained.params, trained.slots)),
        jax.tree.leaves((params, slots)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_corruption_of_a_row_does_not_depend_on_the_batch(config, chunks, params) -> None:
    keys = jax.random.key_data(row_keys(jax.random.key(0), 4))
    fewer = jax.random.key_data(row_keys(jax.random.key(0), 2))
    assert (keys[:2] == fewer).all()
    validate = step.build_validation_step(config, VOCABULARY, "hybrid")
    whole = validate(params, jnp.asarray(chunks))
    parts = [validate(params, jnp.asarray(chunks[i : i + 1])) for i in range(4)]
    for name, ratio in whole.items():
        total = sum(float(part[name].total) for part in parts)
        assert total == pytest.approx(float(ratio.total), rel=1e-5), name


def test_dropout_draws_from_seed_and_step(chunks) -> None:
    config = one_layer_config(dropout_rate=0.3)
    first, _ = _trained(config, chunks, "span_corruption", updates=1)
    again, _ = _trained(config, chunks, "span_corruption", updates=1)
    assert _same(first, again)
    without, _ = _trained(one_layer_config(), chunks, "span_corruption", updates=1)
    assert not _same(first.params, without.params)


def test_cached_decoding_equals_recomputing(config) -> None:
    apply = jax.jit(Network(config.model).apply)
    params = step.init_state(config, 2, "span_corruption").params
    rng = np.random.default_rng(0)
    inputs = rng.integers(3, 400, (3, 20)).astype(np.int32)
    inputs[1, 12:] = 0
    length = 9
    slow = np.zeros((3, length), np.int32)
    ended = np.zeros(3, bool)
    for position in range(length):
        shifted = np.concatenate([np.zeros((3, 1), np.int32), slow[:, :-1]], axis=1)
        logits = apply({"params": params}, jnp.asarray(inputs), jnp.asarray(shifted))
        slow[:, position] = np.where(ended, 0, np.argmax(logits[:, position], axis=-1))
        ended |= slow[:, position] == EOS_ID
    fast = step.build_greedy_decode(config, length, EOS_ID)(params, jnp.asarray(inputs))
    np.testing.assert_array_equal(fast, slow)
