"""A training step on one accelerator, at the published sizes, activations in bfloat16.

    python -m nox -s bench -- -k accelerator

Batches are what one device holds of the published 2,048. FLOPs behind the MFU are the analytic
ones of :mod:`analysis.flops`: matrix products only, nothing for what is computed twice.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any, Literal

import jax
import paired
import pytest
import subjects
import utilisation

from analysis.flops import step_flops
from spactor.config import PAPER, PretrainConfig, Stage

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(jax.default_backend() == "cpu", reason="no accelerator"),
]

BATCHES = {"base": 64, "large": 24}
ROUNDS = subjects.ROUNDS * 4
SIZES = pytest.mark.parametrize("size", list(BATCHES))


def _config(
    size: str, dropout_rate: float, compute_dtype: Literal["float32", "bfloat16"] = "bfloat16"
) -> PretrainConfig:
    model = dataclasses.replace(
        PAPER[size].model, compute_dtype=compute_dtype, dropout_rate=dropout_rate
    )
    batch = int(os.environ.get("SPACTOR_BENCH_DEVICE_BATCH", "0")) or BATCHES[size]
    return dataclasses.replace(PAPER[size], model=model, batch_size=batch)


@functools.lru_cache(maxsize=2)
def _training(config: PretrainConfig, stage: Stage) -> subjects.Training:
    return subjects.Training(config, stage)


def _add_utilisation(benchmark: Any, config: PretrainConfig, stage: Stage) -> None:
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.median
        benchmark.extra_info |= {
            **utilisation.describe(
                step_flops(config, stage), seconds, jax.devices()[0].device_kind
            ),
            "sequences_per_second": config.batch_size / seconds,
        }


@pytest.mark.parametrize(("size", "dropout_rate"), [("base", 0.1), ("base", 0.0), ("large", 0.1)])
def test_first_stage_on_an_accelerator(benchmark: Any, size: str, dropout_rate: float) -> None:
    """Aimed at: the ratio of FLOPs; the paper's Base has 1.375 by FLOPs and 1/0.7 by speed."""
    config = _config(size, dropout_rate)
    paired.measure(
        benchmark,
        _training(config, "hybrid"),
        _training(config, "span_corruption"),
        rounds=ROUNDS,
        what=f"first stage, {size}, bfloat16, batch {config.batch_size}, dropout {dropout_rate}",
        against="baseline, same model and batch",
        flops_ratio=step_flops(config, "hybrid") / step_flops(config, "span_corruption"),
    )
    _add_utilisation(benchmark, config, "hybrid")


@SIZES
@pytest.mark.filterwarnings("ignore")
def test_plain_step_on_an_accelerator_against_hugging_face(benchmark: Any, size: str) -> None:
    """PyTorch under autocast to bfloat16, a corrupted batch given; ours corrupts it too."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("transformers", reason="Transformers is not installed")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch does not see the accelerator")
    config = _config(size, 0.1)
    paired.measure(
        benchmark,
        _training(config, "span_corruption"),
        subjects.hugging_face(config, "cuda", "bfloat16"),
        rounds=ROUNDS,
        what=f"plain step with corruption, {size}, bfloat16, batch {config.batch_size}",
        against="Hugging Face's PyTorch T5 and Adafactor, autocast, eager",
        at_most=1.0,
    )
    _add_utilisation(benchmark, config, "span_corruption")


def test_half_precision_on_an_accelerator(benchmark: Any) -> None:
    half, full = _config("base", 0.1), _config("base", 0.1, "float32")
    paired.measure(
        benchmark,
        _training(half, "span_corruption"),
        _training(full, "span_corruption"),
        rounds=ROUNDS,
        what=f"plain step, base, bfloat16, batch {half.batch_size}",
        against="the same in float32",
        at_most=1.0,
    )
    _add_utilisation(benchmark, half, "span_corruption")
