"""Time to fetch a batch of raw tokens, which is all the host does for pre-training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paired
import pytest
import subjects

from spactor.config import PAPER
from spactor.data.arrays import TokenArrays, train_batch

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module")
def arrays() -> TokenArrays:
    tokens = np.random.default_rng(0).integers(3, 1900, 8_000_000).astype(np.uint16)
    return TokenArrays(tokens, tokens[:1000], subjects.VOCABULARY, "made-up", 7.5, 1 / 1897)


def _fetch(arrays: TokenArrays, batch_size: int, chunk_tokens: int) -> Callable[[], None]:
    step = 0

    def fetch() -> None:
        nonlocal step
        train_batch(arrays, seed=0, step=step, batch_size=batch_size, chunk_tokens=chunk_tokens)
        step += 1

    return fetch


def test_batch_of_micro(benchmark: Any, arrays: TokenArrays) -> None:
    """Against the step that it feeds: the share of time a step would wait."""
    config = subjects.MICRO
    paired.measure(
        benchmark,
        _fetch(arrays, config.batch_size, config.lengths.chunk_tokens),
        subjects.Training(config, "span_corruption", subjects.MICRO_VOCABULARY),
        rounds=50,
        what="batch of micro",
        against="plain step of micro",
    )


def test_batch_of_the_paper(benchmark: Any, arrays: TokenArrays) -> None:
    """2048 chunks of 568 tokens, against copying as many bytes that lie together."""
    lengths = PAPER["base"].lengths
    source = np.zeros((2048, lengths.chunk_tokens), np.uint16)
    paired.measure(
        benchmark,
        _fetch(arrays, 2048, lengths.chunk_tokens),
        lambda: source.astype(np.int32),
        rounds=50,
        what="batch of 2048 x 568 tokens",
        against="copying as many contiguous tokens",
    )
