"""What a restore retains and refuses, on state dictionaries like T5X's; T5X is not needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tiny_t5x
from tiny_model import tiny_config

from spactor import step
from spactor.errors import UserError
from spactor.t5x import convert
from spactor.t5x.features import vocabulary_name
from spactor.t5x.restore import keep_discriminator


def shapes(stage: str, **model: int) -> Any:
    """Of the size of `exported`, but for what is given."""
    config = tiny_config(**(tiny_t5x.SIZE | model))
    return jax.eval_shape(lambda: convert.to_t5x(step.init_state(config, 0, stage)))


@pytest.fixture(scope="module")
def hybrid() -> Any:
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes("hybrid"))


def test_the_discriminator_and_its_slots_are_unchanged(hybrid) -> None:
    retained = keep_discriminator(hybrid, shapes("span_corruption"))
    assert jax.tree.structure(retained) == jax.tree.structure(shapes("span_corruption"))
    assert set(hybrid["target"]) - set(retained["target"]) == {*step.HYBRID_ONLY}
    for name in retained["target"]:
        before, after = (
            jax.tree.leaves(hybrid["target"][name]),
            jax.tree.leaves(retained["target"][name]),
        )
        assert all(a is b for a, b in zip(before, after, strict=True))
    slots = retained["state"]["param_states"]
    assert slots["encoder"] == hybrid["state"]["param_states"]["encoder"]
    assert retained["state"]["step"] is hybrid["state"]["step"]


def test_resuming_changes_nothing(hybrid) -> None:
    assert keep_discriminator(hybrid, shapes("hybrid"), is_resuming=True) is hybrid


def test_a_run_resumes_in_its_own_stage_only(hybrid) -> None:
    with pytest.raises(UserError, match="MODEL_DIR holds checkpoints of stage 1"):
        keep_discriminator(hybrid, shapes("span_corruption"), is_resuming=True)


@pytest.fixture
def path(exported, tmp_path: Path) -> Path:
    """A checkpoint of stage 1 in a folder of its own."""
    saved, _ = exported["hybrid"]
    return shutil.copytree(saved, tmp_path / "t5x" / saved.name)


def names(hybrid: Any) -> Any:
    """T5X's placeholders for Orbax's arrays."""
    return jax.tree.map(lambda _: "array", hybrid)


def test_shapes_are_read_from_the_checkpoint_or_the_newest_of_a_folder(hybrid, path) -> None:
    same, wide = shapes("span_corruption"), shapes("span_corruption", mlp_dim=64)
    for place in (path, path.parent):
        retained = keep_discriminator(names(hybrid), same, path=str(place))
        assert jax.tree.structure(retained) == jax.tree.structure(same)
        with pytest.raises(UserError, match=r"is \(.* use the size, vocabulary"):
            keep_discriminator(names(hybrid), wide, path=str(place))
    with pytest.raises(UserError, match=r"is \(.* use the size, vocabulary"):
        keep_discriminator(
            names(hybrid), shapes("hybrid", mlp_dim=64), home=str(path.parent), is_resuming=True
        )


def test_training_begins_from_no_checkpoint_without_the_item_dataset(hybrid, path) -> None:
    shutil.rmtree(path / "dataset")
    full = shapes("span_corruption")
    with pytest.raises(UserError, match="no folder dataset"):
        keep_discriminator(names(hybrid), full, path=str(path))
    keep_discriminator(
        names(hybrid), {"target": full["target"], "state": {"step": 0}}, path=str(path)
    )


@pytest.mark.parametrize("name", ["train_ds-000-of-001", "process_0-of-2/train_ds-000-of-002"])
def test_another_vocabulary_of_the_same_size_is_refused(
    hybrid, path, seqio_vocabulary, name: str
) -> None:
    full = shapes("span_corruption")
    arguments = {"path": str(path), "vocabulary": seqio_vocabulary}
    # A checkpoint of the local engine names no vocabulary.
    keep_discriminator(names(hybrid), full, **arguments)
    record = path / "dataset" / f"{name}.json"
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"vocabulary": vocabulary_name(seqio_vocabulary)}))
    keep_discriminator(names(hybrid), full, **arguments)
    record.write_text(json.dumps({"vocabulary": "511-0123456789ab"}))
    with pytest.raises(UserError, match="trained with vocabulary 511-0123456789ab"):
        keep_discriminator(names(hybrid), full, **arguments)


def test_evaluation_has_no_slots(hybrid) -> None:
    full = shapes("span_corruption")
    retained = keep_discriminator(hybrid, {"target": full["target"], "state": {"step": 0}})
    assert set(retained["state"]) == {"step"}


@pytest.mark.parametrize(
    ("stage", "model", "message"),
    [
        ("hybrid", {"num_encoder_layers": 3}, "encoder/layers_2.* is missing there and"),
        ("hybrid", {"num_encoder_layers": 1}, "encoder/layers_1.* there and missing in this conf"),
        ("hybrid", {"vocab_size": 640}, r"\(512, 128\) there and \(640, 128\)"),
        ("hybrid", {"mlp_dim": 64}, r"is \(.* use the size, vocabulary"),
    ],
)
def test_another_size_is_refused(hybrid, stage, model, message) -> None:
    with pytest.raises(UserError, match=message):
        keep_discriminator(hybrid, shapes(stage, **model))


def test_the_hybrid_objective_cant_follow_stage_2() -> None:
    with pytest.raises(UserError, match="is of stage 2"):
        keep_discriminator(shapes("span_corruption"), shapes("hybrid"))
