"""Made-up tokens, for the method's own tests."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import naive
import numpy as np
import pytest
from tiny_model import CORRUPT, SAMPLE_KEYS, VOCABULARY, one_layer_config

from spactor import step
from spactor.config import PretrainConfig
from spactor.corruption import CorruptedBatch
from spactor.data import corpus, vocabulary
from spactor.data.arrays import TokenArrays
from spactor.keys import row_keys
from spactor.network import Network


@pytest.fixture(scope="session")
def config() -> PretrainConfig:
    return one_layer_config()


@pytest.fixture(scope="session")
def arrays() -> TokenArrays:
    rng = np.random.default_rng(0)
    highest = VOCABULARY.sentencepiece_size
    return TokenArrays(
        train=rng.integers(3, highest, 20_000).astype(np.int32),
        validation=rng.integers(3, highest, 2_000).astype(np.int32),
        vocabulary=VOCABULARY,
        fingerprint="made-up",
        unigram_entropy_nats=float(np.log(highest - 3)),
        most_frequent_token_rate=1.0 / (highest - 3),
    )


@pytest.fixture(scope="session")
def chunks(arrays: TokenArrays, config: PretrainConfig) -> np.ndarray:
    n = config.lengths.chunk_tokens
    return arrays.train[: 4 * n].reshape(4, n)


@pytest.fixture(scope="session")
def params(config: PretrainConfig) -> Any:
    """First parameters of both stages' network."""
    return step.init_state(config, 0, "hybrid").params


@pytest.fixture(scope="session")
def batch(chunks: np.ndarray, config: PretrainConfig) -> CorruptedBatch:
    return CORRUPT(jnp.asarray(chunks), row_keys(jax.random.key(3), 4), config.lengths, VOCABULARY)


@pytest.fixture(scope="session")
def noisy(config: PretrainConfig, params: Any, batch: CorruptedBatch) -> jax.Array:
    """X̂_c of the batch."""
    return naive.noisy_tokens(Network(config.model), params, batch, SAMPLE_KEYS)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture(scope="session")
def english() -> list[str]:
    """Docstrings of a tenth of the standard library."""
    package = corpus.standard_library()
    package = dataclasses.replace(package, files=package.files[::10])
    return [document.text for document in corpus.read_documents([package])]


@pytest.fixture(scope="session")
def unigram_model(english: list[str]) -> bytes:
    """A serialised vocabulary for 512 rows."""
    return vocabulary.train(english, 512)
