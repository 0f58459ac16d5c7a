"""Time to fetch a batch of raw tokens, which is all the host does for pre-training."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import paired
import pytest
import subjects

from spactor.data.arrays import TokenArrays, train_batch

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module")
def arrays() -> TokenArrays:
    tokens = np.random.default_rng(0).integers(3, 1900, 8_000_000).astype(np.uint16)
    return TokenArrays(tokens, tokens[:1000], subjects.VOCABULARY, "made-up", 7.5, 1 / 1897)


def test_batch_of_micro(benchmark: Any, arrays: TokenArrays) -> None:
    """Against the step that it feeds: the share of time a step would wait."""
    config = subjects.MICRO
    steps = itertools.count()

    def fetch() -> None:
        train_batch(
            arrays,
            seed=0,
            step=next(steps),
            batch_size=config.batch_size,
            chunk_tokens=config.lengths.chunk_tokens,
        )

    paired.measure(
        benchmark,
        fetch,
        subjects.Training(config, "span_corruption", subjects.MICRO_VOCABULARY),
        rounds=50,
        what="batch of micro",
        against="plain step of micro",
    )
