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


@pytest.fixture(scope="module")
def exported(config, trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a local checkpoint in ``local`` and T5X's copy of it in ``t5x``."""
    home = tmp_path_factory.mktemp("exported")
    with closing(Checkpoints(home / "local", config, "hybrid")) as checkpoints:
        checkpoints.save(trained, 3)
    path = convert.export_checkpoint(home / "local", config, "hybrid", 3, home / "t5x")
    assert path == home / "t5x" / "checkpoint_3"
    return home


def test_there_and_back_bit_for_bit(config, trained, exported: Path, tmp_path: Path) -> None:
    path = exported / "t5x" / "checkpoint_3"
    np.testing.assert_array_equal(
        convert.read(path)["state"]["param_states"]["token_embedder"]["embedding"]["v_row"],
        trained.slots.v_row["token_embedder"]["embedding"],
    )
    convert.import_checkpoint(path, config, "hybrid", tmp_path)
    with closing(Checkpoints(tmp_path, config, "hybrid")) as checkpoints:
        back = checkpoints.restore(3)
    assert jax.tree.structure(back) == jax.tree.structure(trained)
    for ours, other in zip(jax.tree.leaves(trained), jax.tree.leaves(back), strict=True):
        assert ours.dtype == other.dtype
        np.testing.assert_array_equal(ours, other)


def test_another_size_or_stage_is_refused(config, exported: Path, tmp_path: Path) -> None:
    path = exported / "t5x" / "checkpoint_3"
    with pytest.raises(UserError, match=r"generator.* there and missing in"):
        convert.import_checkpoint(path, config, "span_corruption", tmp_path / "a")
    with pytest.raises(UserError, match="use the size"):
        convert.import_checkpoint(path, tiny_config(), "hybrid", tmp_path / "b")
    with pytest.raises(UserError, match="not a checkpoint of T5X"):
        convert.import_checkpoint(tmp_path, config, "hybrid", tmp_path / "c")
    with pytest.raises(UserError, match="exists"):
        convert.export_checkpoint(exported / "local", config, "hybrid", 3, exported / "t5x")


def test_a_state_whose_step_and_updates_differ_is_refused(trained) -> None:
    with pytest.raises(UserError, match="step 0 and its slots at 3"):
        convert.to_t5x(trained._replace(step=np.zeros((), np.int32)))
