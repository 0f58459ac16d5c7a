"""What a restore keeps and refuses, on state dictionaries such as T5X has; T5X is not needed."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from tiny_model import tiny_config

from spactor import step
from spactor.errors import UserError
from spactor.t5x import convert
from spactor.t5x.restore import keep_discriminator


def shapes(stage: str, **model: int) -> Any:
    return jax.eval_shape(lambda: convert.to_shapes(tiny_config(**model), stage))


@pytest.fixture(scope="module")
def hybrid() -> Any:
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes("hybrid"))


def test_the_discriminator_and_its_slots_are_the_very_same(hybrid) -> None:
    kept = keep_discriminator(hybrid, shapes("span_corruption"))
    assert jax.tree.structure(kept) == jax.tree.structure(shapes("span_corruption"))
    assert set(hybrid["target"]) - set(kept["target"]) == {*step.HYBRID_ONLY}
    for name in kept["target"]:
        before, after = (
            jax.tree.leaves(hybrid["target"][name]),
            jax.tree.leaves(kept["target"][name]),
        )
        assert all(a is b for a, b in zip(before, after, strict=True))
    slots = kept["state"]["param_states"]
    assert slots["encoder"] == hybrid["state"]["param_states"]["encoder"]
    assert kept["state"]["step"] is hybrid["state"]["step"]


def test_resuming_touches_nothing(hybrid) -> None:
    assert keep_discriminator(hybrid, {}, is_resuming=True) is hybrid


def test_evaluation_has_no_slots(hybrid) -> None:
    full = shapes("span_corruption")
    kept = keep_discriminator(hybrid, {"target": full["target"], "state": {"step": 0}})
    assert set(kept["state"]) == {"step"}


@pytest.mark.parametrize(
    ("stage", "model", "message"),
    [
        ("hybrid", {"num_encoder_layers": 3}, "no .*encoder/layers_2.*another size"),
        ("hybrid", {"num_encoder_layers": 1}, "has .*encoder/layers_1.*which this model lacks"),
        ("hybrid", {"vocab_size": 640}, r"\(512, 16\) in the checkpoint and \(640, 16\)"),
        ("hybrid", {"mlp_dim": 64}, r"is \(.* use the size and vocabulary"),
    ],
)
def test_another_size_is_refused(hybrid, stage, model, message) -> None:
    with pytest.raises(UserError, match=message):
        keep_discriminator(hybrid, shapes(stage, **model))


def test_the_hybrid_objective_cant_follow_stage_2() -> None:
    with pytest.raises(UserError, match="left by stage 2"):
        keep_discriminator(shapes("span_corruption"), shapes("hybrid"))
