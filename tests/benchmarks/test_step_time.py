"""Time of a training step: by stage, and against other implementations of plain T5.

On a CPU a model of Base's width has few layers; the ratio that counted FLOPs give for it, and for
Base itself, is recorded beside the measured one. Models and batches are the same on both sides.
"""

from __future__ import annotations

import os
from typing import Any

import jax
import optax
import paired
import pytest
import subjects
from subjects import BATCH, LAYERS, MICRO, MICRO_VOCABULARY, ROUNDS

from analysis.flops import step_flops
from spactor import network, optimizer, step
from spactor.config import PAPER, OptimizerConfig, PretrainConfig, Stage
from spactor.data.vocabulary import VocabularyFacts

pytestmark = pytest.mark.benchmark


def _flops_ratio(config: PretrainConfig) -> float:
    return step_flops(config, "hybrid") / step_flops(config, "span_corruption")


def _stages(
    benchmark: Any, config: PretrainConfig, what: str, vocabulary: VocabularyFacts, **facts: Any
) -> None:
    paired.measure(
        benchmark,
        subjects.Training(config, "hybrid", vocabulary),
        subjects.Training(config, "span_corruption", vocabulary),
        what=f"first stage, {what}",
        against="baseline, same model and batch",
        flops_ratio=_flops_ratio(config),
        **facts,
    )
    if benchmark.stats is not None:
        benchmark.extra_info["speed_ratio"] = 1 / benchmark.extra_info["ratio"]


def test_first_stage_at_base_width(benchmark: Any) -> None:
    """Aimed at: 0.80 of the baseline's sequences per second; the paper has 0.7."""
    config = subjects.base_width(LAYERS, BATCH)
    _stages(
        benchmark,
        config,
        f"d = 768, {LAYERS}+{LAYERS} layers, batch {BATCH}",
        subjects.VOCABULARY,
        rounds=ROUNDS,
        at_most=1.25,
        published_flops_ratio=_flops_ratio(PAPER["base"]),
    )


def test_first_stage_at_micro(benchmark: Any) -> None:
    _stages(benchmark, MICRO, "micro profile", MICRO_VOCABULARY, rounds=10 * ROUNDS)


def _updated_by_optax(
    params: Any, grads: Any, slots: optimizer.Slots, rate: Any, config: OptimizerConfig
) -> tuple[Any, optimizer.Slots]:
    moments = optax.scale_by_factored_rms(
        min_dim_size_to_factor=config.min_dim_size_to_factor, decay_rate=config.decay_rate
    )
    scaled, slots = moments.update(grads, slots, params)
    for transform in (
        optax.clip_by_block_rms(config.clipping_threshold),
        optax.scale_by_param_block_rms(),
    ):
        scaled, _ = transform.update(scaled, transform.init(params), params)
    return jax.tree.map(lambda p, u: p - rate * u, params, scaled), slots


@pytest.mark.parametrize("stage", ["span_corruption", "hybrid"])
def test_step_against_plain_operations(
    benchmark: Any, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aimed at: 1.5 times the speed of the same step as Flax and Optax write it.

    The control has JAX's gradients of products and Optax's Adafactor.
    """
    subject = subjects.Training(MICRO, stage, MICRO_VOCABULARY)
    subject()
    step.build_train_step.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(network, "dense_product", jax.lax.dot_general)
        patch.setattr(optimizer, "update", _updated_by_optax)
        control = subjects.Training(MICRO, stage, MICRO_VOCABULARY)
        control()
    step.build_train_step.cache_clear()
    paired.measure(
        benchmark,
        subject,
        control,
        rounds=20 * ROUNDS,
        what=f"{stage} step, micro profile",
        against="JAX's gradients of products, Optax's Adafactor",
        at_most=0.67,
    )


@pytest.mark.filterwarnings("ignore")
def test_plain_step_against_hugging_face(benchmark: Any) -> None:
    """PyTorch's T5 with its library's Adafactor, on the same CPU with all its cores.

    Without dropout, for which PyTorch draws other numbers of random bits. T5X's step is measured in
    its own trainer: see test_t5x_step_time.py.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("transformers", reason="Transformers is not installed")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    layers = max(LAYERS // 3, 1)
    config = subjects.base_width(layers, BATCH, dropout_rate=0.0)
    paired.measure(
        benchmark,
        subjects.Training(config, "span_corruption"),
        subjects.hugging_face(config, "cpu"),
        rounds=ROUNDS,
        what=f"plain step with corruption, d = 768, {layers}+{layers} layers, batch {BATCH}",
        against="Hugging Face's PyTorch T5 and Adafactor, corrupted batch given",
        at_most=1.0,
    )
