"""A training step on one accelerator, at the published sizes, activations in bfloat16.

    python -m nox -s bench -- -k accelerator

Batches are what one device holds of the published 2,048. FLOPs behind the MFU are the analytic
ones of :mod:`analysis.flops`: matrix products only, nothing for what is computed twice.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
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


def _measure(
    benchmark: Any,
    config: PretrainConfig,
    stage: Stage,
    control: Callable[[], object],
    *,
    what: str,
    **facts: Any,
) -> None:
    """Measures a step of ours with its MFU; arguments as those of ``paired.measure``."""
    what = f"{what}, {config.model.compute_dtype}, batch {config.batch_size}"
    subject = _training(config, stage)
    paired.measure(benchmark, subject, control, rounds=ROUNDS, what=what, **facts)
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.median
        kind = jax.devices()[0].device_kind
        benchmark.extra_info |= {
            **utilisation.describe(step_flops(config, stage), seconds, kind),
            "sequences_per_second": config.batch_size / seconds,
        }


@pytest.mark.parametrize(("size", "dropout_rate"), [("base", 0.1), ("base", 0.0), ("large", 0.1)])
def test_first_stage_on_an_accelerator(benchmark: Any, size: str, dropout_rate: float) -> None:
    """Aimed at: the ratio of FLOPs; the paper's Base has 1.375 by FLOPs and 1/0.7 by speed."""
    config = _config(size, dropout_rate)
    _measure(
        benchmark,
        config,
        "hybrid",
        _training(config, "span_corruption"),
        what=f"first stage, {size}, dropout {dropout_rate}",
        against="baseline, same model and batch",
        flops_ratio=step_flops(config, "hybrid") / step_flops(config, "span_corruption"),
    )


@SIZES
@pytest.mark.filterwarnings("ignore")
def test_plain_step_on_an_accelerator_against_hugging_face(benchmark: Any, size: str) -> None:
    """PyTorch under autocast to bfloat16, a corrupted batch given; ours corrupts it too."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("transformers", reason="Transformers is not installed")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch does not see the accelerator")
    config = _config(size, 0.1)
    _measure(
        benchmark,
        config,
        "span_corruption",
        subjects.hugging_face(config, "cuda", "bfloat16"),
        what=f"plain step with corruption, {size}",
        against="Hugging Face's PyTorch T5 and Adafactor, autocast, eager",
        at_most=1.0,
    )


def test_half_precision_on_an_accelerator(benchmark: Any) -> None:
    _measure(
        benchmark,
        _config("base", 0.1),
        "span_corruption",
        _training(_config("base", 0.1, "float32"), "span_corruption"),
        what="plain step, base",
        against="the same in float32",
        at_most=1.0,
    )
