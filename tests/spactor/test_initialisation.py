"""Every tensor's first values against T5X's documented initialisers, at Base's width."""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np
import pytest
from scipy import stats

from spactor import step
from spactor.config import PAPER, ModelConfig

# One layer of each kind and a small vocabulary: widths decide the scales, and they are Base's.
CONFIG = dataclasses.replace(
    PAPER["base"],
    model=dataclasses.replace(
        PAPER["base"].model,
        vocab_size=4096,
        num_encoder_layers=1,
        num_decoder_layers=1,
        generator_num_layers=1,
    ),
)
SIGMAS = 5.0
"""A correct tensor exceeds the bound with probability 1 in 1.7 million; the seed is fixed."""


def _truncated(deviation: float) -> stats.rv_continuous:
    """Normal truncated at two deviations, scaled so that ``deviation`` is its deviation."""
    truncated = stats.truncnorm(-2.0, 2.0)
    return stats.truncnorm(-2.0, 2.0, scale=deviation / truncated.std())


def documented(path: str, model: ModelConfig) -> stats.rv_continuous | None:
    """The distribution of a tensor; none for norms, which start at one.

    T5X's T5.1.0: embeddings N(0, 1); attention N(0, 1/fan in), the query's divided by √head_dim;
    dense layers the same, cut at two deviations; position biases uniform with variance 1 over the
    mean of fan in and fan out. The heads SPACTOR adds are dense layers.
    """
    *_, layer, kind = path.split("/")
    inner = model.num_heads * model.head_dim
    if kind == "scale":
        return None
    if kind == "embedding":
        return stats.norm(scale=1.0)
    if kind == "rel_embedding":
        limit = math.sqrt(3.0 / ((model.num_heads + 32) / 2))
        return stats.uniform(-limit, 2 * limit)
    fan_in = {
        "query": model.emb_dim * model.head_dim,
        "key": model.emb_dim,
        "value": model.emb_dim,
        "out": inner,
    }
    if layer in fan_in:
        return stats.norm(scale=fan_in[layer] ** -0.5)
    dense_fan_in = {"wi": model.emb_dim, "projection": model.emb_dim, "wo": model.mlp_dim}
    if layer == "wo" and path.startswith("generator"):
        return _truncated(model.generator_mlp_dim**-0.5)
    if layer == "wo" and path.startswith("rtd_head"):
        return _truncated(model.rtd_mlp_dim**-0.5)
    return _truncated(dense_fan_in[layer] ** -0.5)


def check(params, model: ModelConfig) -> int:
    """Checks every tensor of a tree; returns how many there were."""
    leaves = jax.tree.leaves_with_path(params)
    for path, leaf in leaves:
        name = "/".join(entry.key for entry in path)
        values = np.asarray(leaf, np.float64).ravel()
        distribution = documented(name, model)
        if distribution is None:
            assert (values == 1.0).all(), name
            continue
        deviation = float(distribution.std())
        # Standard errors of the mean, σ/√n, and of the deviation, σ·√((κ − 1) / 4n), where κ is
        # the fourth moment over the squared variance: 3 for a normal distribution.
        fourth = float(distribution.stats("k")) + 3.0
        size = len(values)
        assert abs(values.mean()) < SIGMAS * deviation / math.sqrt(size), name
        off = abs(values.std() / deviation - 1.0)
        assert off < SIGMAS * math.sqrt((fourth - 1.0) / (4 * size)), name
        low, high = distribution.support()
        assert low - 1e-6 <= values.min() and values.max() <= high + 1e-6, name
        if math.isinf(high) and size > 100_000:
            assert np.abs(values).max() > 3.5 * deviation, f"{name} is truncated"
    return len(leaves)


def test_every_tensor_starts_as_documented() -> None:
    params = step.init_state(CONFIG, 0, "hybrid").params
    assert set(params) == {"token_embedder", "encoder", "decoder", "generator", "rtd_head"}
    # Embedder 1; encoder and generator layer 8 each, with position bias and last norm 10;
    # decoder layer 13 and the same two; G's projection 1; RTD head 2.
    assert check(params, CONFIG.model) == 1 + 10 + 15 + (10 + 1) + 2


@pytest.mark.t5x
@pytest.mark.filterwarnings("ignore")
def test_t5x_itself_starts_as_documented() -> None:
    pytest.importorskip("t5x", reason="T5X is not installed")
    from spactor.t5x.models import stock_module

    model = CONFIG.model
    theirs = stock_module(model)
    tokens = np.ones((1, 2), np.int32)
    params = jax.jit(theirs.init, static_argnames="enable_dropout")(
        jax.random.key(0), tokens, tokens, tokens, enable_dropout=False
    )["params"]
    assert check(params, model) == 1 + 10 + 15
