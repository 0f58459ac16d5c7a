"""Shapes of the published sizes, nothing allocated, and the RTD head by hand."""

from __future__ import annotations

import math
from collections import Counter

import jax
import numpy as np
import pytest
from tiny_model import tiny_config

from analysis.parameters import tensors
from spactor import step
from spactor.config import PAPER
from spactor.network import Network

CONFIGS = {**PAPER, "generator's decoder": tiny_config(generator_num_decoder_layers=2)}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_shapes_are_those_that_are_counted(config) -> None:
    """Every tensor of the network against `analysis.parameters`, which the paper's sizes are of."""
    params = jax.eval_shape(lambda: step.init_state(config, 0, "hybrid")).params
    plain = {name: tree for name, tree in params.items() if name not in step.HYBRID_ONLY}
    for stage, tree in (("hybrid", params), ("span_corruption", plain)):
        counted: Counter[tuple[int, ...]] = Counter()
        for shape, count in tensors(config.model, stage):
            counted[shape] += count
        assert Counter(leaf.shape for leaf in jax.tree.leaves(tree)) == counted


def test_the_rtd_head_is_a_gelu_layer(config, params) -> None:
    """f of Equation 5 by hand, with GELU in the tanh form that Flax computes."""
    encoded = np.random.default_rng(0).normal(size=(2, 3, 16))
    wi, wo = (np.asarray(params["rtd_head"][name]["kernel"], np.float64) for name in ("wi", "wo"))
    x = encoded @ wi
    gelu = x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    logits = Network(config.model).apply(
        {"params": params}, encoded.astype(np.float32), method=Network.detect
    )
    np.testing.assert_allclose(logits, (gelu @ wo)[..., 0], rtol=0, atol=1e-5)
