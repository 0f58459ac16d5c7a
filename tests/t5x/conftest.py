"""A tiny model and made-up tokens for the tests against T5X, which skip where it is missing."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spactor.config import PretrainConfig

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "spactor"))
from tiny_model import VOCABULARY, tiny_config

needs_t5x = [
    pytest.mark.t5x,
    pytest.mark.skipif(
        importlib.util.find_spec("t5x") is None, reason="T5X is not installed; see README.md"
    ),
    # T5X and what it imports use what newer JAX and TensorFlow have deprecated.
    pytest.mark.filterwarnings("ignore"),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and "t5x_installed" in item.fixturenames:
            for mark in needs_t5x:
                item.add_marker(mark)


@pytest.fixture(scope="session")
def t5x_installed() -> None:
    """Asked for by tests that need T5X; the marks above follow from it."""


@pytest.fixture(scope="session")
def config() -> PretrainConfig:
    # Width 128, so that Adafactor factors some second moments.
    return dataclasses.replace(tiny_config(emb_dim=128, mlp_dim=160, rtd_mlp_dim=144), batch_size=8)


@pytest.fixture(scope="session")
def chunks(config: PretrainConfig) -> np.ndarray:
    """Batches of 20 steps, int32[20, B, N]."""
    shape = (20, config.batch_size, config.lengths.chunk_tokens)
    highest = VOCABULARY.sentencepiece_size
    return np.random.default_rng(0).integers(3, highest, shape).astype(np.int32)


@pytest.fixture(scope="session")
def seqio_vocabulary() -> Any:
    from spactor.data import host_tensorflow

    vocabulary = host_tensorflow.seqio().PassThroughVocabulary(VOCABULARY.sentencepiece_size)
    vocabulary._extra_ids = VOCABULARY.extra_ids
    return vocabulary
