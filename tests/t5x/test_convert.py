"""Checkpoints both ways, without T5X; that T5X reads them is tested where it is installed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_model import tiny_config

from spactor import step
from spactor.checkpoints import Checkpoints
from spactor.errors import UserError
from spactor.t5x import convert

# Event loops that T5X leaves open in the tests before are collected in the midst of these.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def trained(made_up_state) -> step.TrainState:
    return made_up_state("hybrid", 3)


def test_there_and_back_bit_for_bit(config, trained, tmp_path: Path) -> None:
    with closing(Checkpoints(tmp_path / "local", config, "hybrid")) as checkpoints:
        checkpoints.save(trained, 3)
    path = convert.export_checkpoint(tmp_path / "local", config, "hybrid", 3, tmp_path / "t5x")
    assert path.name == "checkpoint_3"
    tree = convert.read(path)
    np.testing.assert_array_equal(
        tree["state"]["param_states"]["token_embedder"]["embedding"]["v_row"],
        trained.slots.v_row["token_embedder"]["embedding"],
    )
    convert.import_checkpoint(path, config, "hybrid", tmp_path / "back")
    with closing(Checkpoints(tmp_path / "back", config, "hybrid")) as checkpoints:
        back = checkpoints.restore(3)
    assert jax.tree.structure(back) == jax.tree.structure(trained)
    for ours, other in zip(jax.tree.leaves(trained), jax.tree.leaves(back), strict=True):
        assert ours.dtype == other.dtype
        np.testing.assert_array_equal(ours, other)


def test_another_size_or_stage_is_refused(config, trained, tmp_path: Path) -> None:
    with closing(Checkpoints(tmp_path / "local", config, "hybrid")) as checkpoints:
        checkpoints.save(trained, 3)
    path = convert.export_checkpoint(tmp_path / "local", config, "hybrid", 3, tmp_path / "t5x")
    with pytest.raises(UserError, match=r"generator.* there and missing in"):
        convert.import_checkpoint(path, config, "span_corruption", tmp_path / "a")
    with pytest.raises(UserError, match="use the size"):
        convert.import_checkpoint(path, tiny_config(), "hybrid", tmp_path / "b")
    with pytest.raises(UserError, match="not a checkpoint of T5X"):
        convert.import_checkpoint(tmp_path, config, "hybrid", tmp_path / "c")
    with pytest.raises(UserError, match="exists"):
        convert.export_checkpoint(tmp_path / "local", config, "hybrid", 3, tmp_path / "t5x")


def test_fine_tuning_has_two_numbers_and_t5x_one(trained) -> None:
    with pytest.raises(UserError, match="step 0 and its slots at 3"):
        convert.to_t5x(trained._replace(step=np.zeros((), np.int32)))
