"""Curricula: ramps against Optax's, a varying q against a fixed one, the end of the handover."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_model import CORRUPT, SAMPLE_KEYS, VOCABULARY, tiny_config

from spactor import objective, step
from spactor.config import CurriculumConfig, ObjectiveConfig, PretrainConfig, Ramp
from spactor.curriculum import Weights, restricted, stage_at, value_at, weights_at
from spactor.errors import UserError
from spactor.keys import row_keys
from spactor.network import Network
from spactor.plain_data import from_mapping, to_mapping


def ramp(start: float, end: float, first: int = 4, last: int = 12, shape: str = "linear") -> Ramp:
    return Ramp(start_value=start, end_value=end, start_step=first, end_step=last, shape=shape)  # type: ignore[arg-type]


def with_curriculum(config: PretrainConfig, **ramps: Ramp) -> PretrainConfig:
    return dataclasses.replace(config, curriculum=CurriculumConfig(**ramps))


def by_optax(of: Ramp):
    """The same ramp by Optax, for a level that falls."""
    length = of.end_step - of.start_step
    if of.shape == "linear":
        return optax.linear_schedule(of.start_value, of.end_value, length, of.start_step)
    decay = optax.cosine_decay_schedule(of.start_value, length, of.end_value / of.start_value)
    return lambda n: decay(max(n - of.start_step, 0))


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_ramps_equal_optax(shape) -> None:
    falling = ramp(10.0, 2.0, 100, 260, shape)
    expected = by_optax(falling)
    traced = jax.jit(lambda n: value_at(falling, n))
    for n in (0, 99, 100, 101, 180, 259, 260, 261, 10**6):
        assert value_at(falling, n) == pytest.approx(float(expected(n)), rel=1e-5), n
        assert float(traced(n)) == pytest.approx(value_at(falling, n), rel=1e-6), n


@pytest.mark.parametrize("shape", ["linear", "cosine"])
@pytest.mark.parametrize("ends", [(10.0, 0.0), (1.0, 50.0), (0.15, 0.1)])
def test_both_ends_of_a_ramp_are_exact(shape, ends) -> None:
    one = ramp(*ends, shape=shape)
    traced = jax.jit(lambda n: value_at(one, n))
    for n, expected in ((0, ends[0]), (4, ends[0]), (12, ends[1]), (10**6, ends[1])):
        assert value_at(one, n) == expected
        assert float(traced(n)) == np.float32(expected)
    assert value_at(one, 8) == pytest.approx(sum(ends) / 2)


def test_a_curriculum_around_tau() -> None:
    """τ = 8 in a handover from 4 to 12: the weights fade, the stage ends with the window."""
    config = with_curriculum(tiny_config(), handover=ramp(1.0, 0.0, shape="cosine"))
    q = config.lengths.masked_tokens
    assert q == 7
    seen = {n: weights_at(config, n) for n in (0, 4, 7, 8, 9, 12)}
    assert seen[0] == seen[4] == Weights(10.0, 10.0, q)
    assert seen[8].lambda_rtd == pytest.approx(5.0) and seen[8].masked_tokens == 4  # 3.5, to even
    # Symmetric about τ: cos(3π/8) = 0.3827, so (1 ± 0.1951·…)/2 on either side add up to one.
    assert seen[7].lambda_rtd + seen[9].lambda_rtd == pytest.approx(10.0)
    assert seen[12] == Weights(0.0, 10.0, 0)
    assert [stage_at(n, 12) for n in (11, 12)] == ["hybrid", "span_corruption"]


def lowered(config: PretrainConfig, stage: str) -> str:
    state = jax.eval_shape(lambda: step.init_state(config, 0, stage))
    chunks = jax.ShapeDtypeStruct((4, config.lengths.chunk_tokens), jnp.int32)
    return step.build_train_step(config, VOCABULARY, stage).lower(state, chunks, 0).as_text()


@pytest.mark.parametrize("stage", ["hybrid", "span_corruption"])
def test_the_step_function_is_the_same_program_as_without_curricula(config, stage) -> None:
    levels = with_curriculum(
        config,
        lambda_rtd=Ramp.level(config.objective.lambda_rtd),
        lambda_sc=Ramp.level(config.objective.lambda_sc),
        mlm_ratio=Ramp.level(config.corruption.mlm_ratio),
    )
    plain = lowered(config, stage)
    assert lowered(levels, stage) == plain
    if stage == "span_corruption":
        assert lowered(with_curriculum(config, lambda_sc=ramp(10.0, 1.0)), stage) != plain


def assert_close(one, other, rtol: float = 1e-5) -> None:
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6)


def test_a_masked_q_equals_the_fixed_one(config, chunks, params) -> None:
    """Room for 11 masks of which three count, against a program with room for three alone."""
    widest = with_curriculum(config, mlm_ratio=ramp(0.25, 0.05)).training_lengths
    keys = row_keys(jax.random.key(3), 4)
    network = Network(config.model)

    @jax.jit
    def loss(generator, batch):
        """With the gradient of the generator, as the rest has no part in the number of masks."""
        return jax.value_and_grad(
            lambda own: objective.hybrid_loss(
                network, params | {"generator": own}, batch, config.objective, SAMPLE_KEYS
            ),
            has_aux=True,
        )(generator)

    narrow = dataclasses.replace(widest, masked_tokens=3)
    fixed = CORRUPT(jnp.asarray(chunks), keys, narrow, VOCABULARY)
    masked = CORRUPT(jnp.asarray(chunks), keys, widest, VOCABULARY, 3)
    for name in ("encoder_input_tokens", "masked_tokens", "decoder_target_tokens"):
        np.testing.assert_array_equal(getattr(masked, name), getattr(fixed, name))
    np.testing.assert_array_equal(masked.masked_positions[:, :3], fixed.masked_positions)
    assert masked.is_masked.sum(axis=1).tolist() == [3] * 4
    assert all(len(set(row.tolist())) == 11 for row in np.asarray(masked.masked_positions))
    (total, metrics), grads = loss(params["generator"], masked)
    (expected, expected_metrics), expected_grads = loss(params["generator"], fixed)
    assert float(total) == pytest.approx(float(expected), rel=1e-6)
    assert_close(metrics, expected_metrics)
    assert_close(grads, expected_grads, rtol=2e-4)


@pytest.mark.parametrize("reduction", ["sum_per_sequence", "mean_per_token"])
def test_the_end_of_a_handover_is_span_corruption(config, chunks, params, reduction) -> None:
    weights = ObjectiveConfig(reduction=reduction)
    batch = CORRUPT(
        jnp.asarray(chunks), row_keys(jax.random.key(3), 4), config.lengths, VOCABULARY, 0
    )
    np.testing.assert_array_equal(batch.masked_tokens, batch.encoder_input_tokens)
    network = Network(config.model)
    over = Weights(0.0, weights.lambda_sc)

    def hybrid(p):
        return objective.hybrid_loss(network, p, batch, weights, SAMPLE_KEYS, None, over)[0]

    def plain(p):
        return objective.span_corruption_loss(network, p, batch, weights)[0]

    if reduction == "sum_per_sequence":  # Gradients of the mean, which could divide by zero.
        assert float(jax.jit(hybrid)(params)) == pytest.approx(
            float(jax.jit(plain)(params)), rel=1e-6
        )
        return
    loss, grads = jax.jit(jax.value_and_grad(hybrid))(params)
    other, expected = jax.jit(jax.value_and_grad(plain))(params)
    assert float(loss) == pytest.approx(float(other), rel=1e-6)
    assert_close(grads, expected, rtol=2e-4)
    assert all(float(jnp.abs(leaf).max()) == 0 for leaf in jax.tree.leaves(grads["generator"]))


def test_one_program_for_a_whole_ramp(config, chunks) -> None:
    """The plain program before the ramp, and one program for all of it."""
    varied = with_curriculum(
        config, lambda_rtd=ramp(10.0, 0.0, 2, 6), mlm_ratio=ramp(0.15, 0.05, 2, 6, "cosine")
    )
    whole = step.build_train_step(varied, VOCABULARY, "hybrid")
    plain = step.build_train_step(config, VOCABULARY, "hybrid")
    state, before = (step.init_state(config, 0, "hybrid") for _ in range(2))
    logged = {}
    for n in range(8):
        state, logged[n] = whole(state, chunks, 0)
        if n < 2:
            before, metrics = plain(before, chunks, 0)
            assert_close({name: logged[n][name] for name in metrics}, metrics, rtol=1e-3)
            assert_close(state.params, before.params, rtol=1e-3)
    assert whole._cache_size() == 1, "one compilation, whatever the step"
    assert [float(logged[n]["lambda_rtd"].total) for n in range(8)] == [
        *(10, 10, 10, 7.5, 5, 2.5, 0, 0)
    ]
    # From 7 to 2 by half a cosine: 7 − 5 · (0.146, 0.5, 0.854), rounded to even.
    masked = [7, 7, 7, 6, 4, 3, 2, 2]
    assert [float(logged[n]["masked_tokens"].total) for n in range(8)] == masked
    assert [float(logged[n]["generator_loss"].weight) for n in range(8)] == [4 * q for q in masked]
    assert "lambda_sc" not in logged[0]


def test_validation_does_not_depend_on_the_curriculum(config, chunks) -> None:
    params = jax.eval_shape(lambda: step.init_state(config, 0, "hybrid")).params
    varied = with_curriculum(config, mlm_ratio=ramp(0.25, 0.05))
    plain, other = (
        step.build_validation_step(one, VOCABULARY, "hybrid").lower(params, chunks).as_text()
        for one in (config, varied)
    )
    assert plain == other


def test_restricted_to_a_segment(config) -> None:
    varied = with_curriculum(
        config, lambda_rtd=ramp(10.0, 2.0), mlm_ratio=ramp(0.15, 0.05), handover=ramp(1.0, 0.0)
    )
    assert restricted(varied, "hybrid", 0, 4) == config
    assert restricted(varied, "hybrid", 0, 5) == config  # the update away from step 4 is plain
    assert restricted(varied, "hybrid", 0, 6) == restricted(varied, "hybrid", 6, 8) == varied
    assert restricted(varied, "span_corruption", 12, 20) == config
    later = restricted(varied, "hybrid", 12, 20).curriculum
    assert (later.lambda_rtd, later.mlm_ratio) == (Ramp.level(2.0), Ramp.level(0.05))
    scaled = with_curriculum(config, lambda_sc=ramp(10.0, 2.0))
    for stage in ("hybrid", "span_corruption"):
        after = restricted(scaled, stage, 12, 20)
        assert after.curriculum == CurriculumConfig(lambda_sc=Ramp.level(2.0))
        assert weights_at(after, 15).lambda_sc == 2.0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"lambda_rdt": {}}, "unknown setting 'lambda_rdt'"),
        ({"lambda_rtd": {"start_value": 1.0}}, "lambda_rtd.end_value: .* missing"),
        ({"lambda_rtd": ramp(1.0, 2.0).__dict__ | {"shape": "step"}}, "shape is 'step': .*cosine"),
        ({"lambda_rtd": ramp(1.0, 2.0).__dict__ | {"end_step": 4}}, "the end must come later"),
        ({"lambda_sc": ramp(1.0, -2.0).__dict__}, "curriculum.lambda_sc reaches -2.0: give 0 or"),
        ({"mlm_ratio": ramp(0.1, 1.0).__dict__}, "give numbers between 0 and 1"),
        ({"handover": ramp(1.0, 0.5).__dict__}, "handover must go from 1 to 0"),
        ({"mlm_ratio": 0.5}, "mlm_ratio is 0.5"),
    ],
)
def test_invalid_curricula_are_rejected(table, message) -> None:
    with pytest.raises(UserError, match=message):
        from_mapping(CurriculumConfig, table, "demo")


def test_round_trip_through_plain_data(config) -> None:
    varied = with_curriculum(config, mlm_ratio=ramp(0.25, 0.05, shape="cosine"))
    assert from_mapping(PretrainConfig, to_mapping(varied), "demo") == varied


def test_fine_tuning_starts_at_the_scale_pre_training_ended_with(config) -> None:
    from spactor.finetuning import loss_scale

    targets = config.lengths.target_tokens
    assert loss_scale(config, 100) == 10.0 * targets
    falling = with_curriculum(config, lambda_sc=ramp(10.0, 2.0))
    assert loss_scale(falling, 9) == pytest.approx(6.0 * targets)  # the last update left step 8
    means = dataclasses.replace(config, objective=ObjectiveConfig(reduction="mean_per_token"))
    assert loss_scale(means, 100) == 10.0
    assert math.isclose(loss_scale(config, 0), 10.0 * targets)
