"""The published sizes: parameters by formula and by counting, nothing allocated."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from tiny_model import tiny_config

from spactor import step
from spactor.config import PAPER, ModelConfig
from spactor.network import Network


def _stack(model: ModelConfig, layers: int, mlp_dim: int, attentions: int) -> int:
    """A stack of layers: projections, feed-forward block, norms, position bias, last norm."""
    d, inner = model.emb_dim, model.num_heads * model.head_dim
    layer = attentions * 4 * d * inner + 2 * d * mlp_dim + (attentions + 1) * d
    return layers * layer + 32 * model.num_heads + d


def formula(model: ModelConfig) -> dict[str, int]:
    """Parameters of each part."""
    d = model.emb_dim
    return {
        "token_embedder": model.vocab_size * d,
        "encoder": _stack(model, model.num_encoder_layers, model.mlp_dim, 1),
        "decoder": _stack(model, model.num_decoder_layers, model.mlp_dim, 2),
        "generator": _stack(model, model.generator_num_layers, model.generator_mlp_dim, 1)
        + d * model.vocab_size,
        "rtd_head": d * model.rtd_mlp_dim + model.rtd_mlp_dim,
    }


def _shapes(size: str, stage: str):
    return jax.eval_shape(lambda: step.init_state(PAPER[size], 0, stage)).params


def _count(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("size, millions", [("base", 222.9), ("large", 737.7)])
def test_parameters_of_the_discriminator(size: str, millions: float) -> None:
    """About 223 M and 737 M, as T5.1.0's Base and Large have."""
    expected = formula(PAPER[size].model)
    plain = _shapes(size, "span_corruption")
    assert {name: _count(tree) for name, tree in plain.items()} == {
        name: expected[name] for name in ("token_embedder", "encoder", "decoder")
    }
    assert _count(plain) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    "size, layers, mlp_dim, head", [("base", 4, 1024, 3072), ("large", 6, 2048, 4096)]
)
def test_what_the_first_stage_adds(size: str, layers: int, mlp_dim: int, head: int) -> None:
    """Generator and RTD head as Table 5 has them."""
    model = PAPER[size].model
    hybrid = _shapes(size, "hybrid")
    assert {name: _count(tree) for name, tree in hybrid.items()} == formula(model)
    backbone = hybrid["generator"]["encoder"]
    assert sorted(name for name in backbone if name.startswith("layers_")) == [
        f"layers_{index}" for index in range(layers)
    ]
    for index in range(layers):
        block = backbone[f"layers_{index}"]["mlp"]
        assert block["wi"]["kernel"].shape == (model.emb_dim, mlp_dim)
        assert block["wo"]["kernel"].shape == (mlp_dim, model.emb_dim)
    assert hybrid["generator"]["projection"]["kernel"].shape == (model.emb_dim, 32_128)
    assert hybrid["rtd_head"]["wi"]["kernel"].shape == (model.emb_dim, head)
    assert hybrid["rtd_head"]["wo"]["kernel"].shape == (head, 1)


def test_the_rtd_head_is_a_gelu_layer() -> None:
    """f of Equation 5 by hand, with GELU in the tanh form that Flax computes."""
    config = tiny_config()
    params = step.init_state(config, 0, "hybrid").params
    encoded = np.random.default_rng(0).normal(size=(2, 3, 16))
    wi, wo = (np.asarray(params["rtd_head"][name]["kernel"], np.float64) for name in ("wi", "wo"))
    x = encoded @ wi
    gelu = x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    logits = Network(config.model).apply(
        {"params": params}, encoded.astype(np.float32), method=Network.detect
    )
    np.testing.assert_allclose(logits, (gelu @ wo)[..., 0], rtol=0, atol=1e-5)
