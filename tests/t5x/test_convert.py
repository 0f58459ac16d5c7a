"""Checkpoints both ways, without T5X; that T5X reads them is tested where it is installed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_model import tiny_config

from spactor.checkpoints import Checkpoints
from spactor.errors import UserError
from spactor.t5x import convert


def test_there_and_back_bit_for_bit(config, exported, tmp_path: Path) -> None:
    path, trained = exported["hybrid"]
    np.testing.assert_array_equal(
        convert.read(path)["state"]["param_states"]["token_embedder"]["embedding"]["v_row"],
        trained.slots.v_row["token_embedder"]["embedding"],
    )
    convert.import_checkpoint(path, config, "hybrid", tmp_path)
    with closing(Checkpoints(tmp_path, config, "hybrid")) as checkpoints:
        back = checkpoints.restore(int(trained.step))
    assert jax.tree.structure(back) == jax.tree.structure(trained)
    for ours, other in zip(jax.tree.leaves(trained), jax.tree.leaves(back), strict=True):
        assert ours.dtype == other.dtype
        np.testing.assert_array_equal(ours, other)


def test_another_size_or_stage_is_refused(config, exported, tmp_path: Path) -> None:
    path, trained = exported["hybrid"]
    with pytest.raises(UserError, match=r"is \(.*\) there and missing in"):
        convert.import_checkpoint(path, config, "span_corruption", tmp_path / "a")
    with pytest.raises(UserError, match="use the size"):
        convert.import_checkpoint(path, tiny_config(), "hybrid", tmp_path / "b")
    with pytest.raises(UserError, match="not a checkpoint of T5X"):
        convert.import_checkpoint(tmp_path, config, "hybrid", tmp_path / "c")
    local = path.parents[1] / "local-hybrid"
    with pytest.raises(UserError, match="exists"):
        convert.export_checkpoint(local, config, "hybrid", int(trained.step), path.parent)


def test_a_state_whose_step_and_updates_differ_is_refused(config, exported, tmp_path: Path) -> None:
    _, trained = exported["hybrid"]
    with closing(Checkpoints(tmp_path, config, "hybrid")) as checkpoints:
        checkpoints.save(trained._replace(step=np.zeros((), np.int32)), 0)
    with pytest.raises(UserError, match=f"step 0 and its slots at {int(trained.step)}"):
        convert.export_checkpoint(tmp_path, config, "hybrid", 0, tmp_path / "t5x")
