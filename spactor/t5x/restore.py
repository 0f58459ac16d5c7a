"""Restores a checkpoint of stage 1 for stage 2: the discriminator and its slots alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from flax import traverse_util

from spactor.checkpoints import array_metadata
from spactor.errors import UserError
from spactor.step import HYBRID_ONLY
from spactor.t5x import checkpoint
from spactor.t5x.features import vocabulary_name


def keep_discriminator(
    checkpoint_state: Mapping[str, Any],
    state: Mapping[str, Any],
    *,
    path: str | Sequence[str] | None = None,
    home: str | None = None,
    vocabulary: Any = None,
    is_resuming: bool = False,
) -> Mapping[str, Any]:
    """A ``state_transformation_fns`` entry of T5X's ``RestoreCheckpointConfig``.

    Drops generator and RTD head with their slots, if there are any; passes step, discriminator and
    its slots on unchanged. A run that resumes from its own checkpoint gets all of it, which must be
    of the same stage and size.

    T5X passes only the names of Orbax's arrays; shapes and vocabulary are read from the folders.

    Args:
      checkpoint_state: T5X's state dictionary of the checkpoint, or its structure.
      state: the state dictionary of the model to train.
      path: of the checkpoint, or of a folder of them, of which the newest is checked.
      home: the run's own folder, from whose newest checkpoint it resumes.
      vocabulary: the run's, a seqio vocabulary.
      is_resuming: set by T5X when a run resumes from its own checkpoint.

    Raises:
      UserError: the checkpoint is of another size, stage or vocabulary, or T5X can't begin training
        from it.
    """
    wanted = checkpoint.shapes_of(state)
    has_slots = any("param_states" in keys for keys in wanted)
    folders = _checkpoints(home if is_resuming else path)
    saved = {folder: array_metadata(folder / "state") for folder in folders}
    for place, arrays in (saved or {"the checkpoint": checkpoint_state}).items():
        found = checkpoint.shapes_of(arrays)
        if not has_slots:
            # For evaluation T5X makes a state without slots, and ignores the checkpoint's.
            found = {keys: shape for keys, shape in found.items() if "param_states" not in keys}
        _require_same_stage_and_size(found, wanted, is_resuming, place)
    for folder in folders:
        _require_same_vocabulary(folder, vocabulary)
        if has_slots and not (folder / "dataset").exists():
            raise UserError(
                f"{folder} has no folder dataset, which T5X needs to begin training: make an empty "
                "one to fine-tune from it"
            )
    if is_resuming:
        return checkpoint_state
    leaves, needed = checkpoint.flatten(checkpoint_state), checkpoint.flatten(state)
    return traverse_util.unflatten_dict({keys: leaves[keys] for keys in needed})


def _is_hybrid(keys: tuple[str, ...]) -> bool:
    return not {*HYBRID_ONLY}.isdisjoint(keys)


def _require_same_stage_and_size(
    found: checkpoint.Shapes, wanted: checkpoint.Shapes, is_resuming: bool, place: object
) -> None:
    theirs, ours = (any(map(_is_hybrid, shapes)) for shapes in (found, wanted))
    if ours and not theirs:
        raise UserError(f"{place} is of stage 2, and the hybrid objective can't follow")
    if theirs and not ours:
        if is_resuming:
            raise UserError(
                "this MODEL_DIR holds checkpoints of stage 1: give the next stage a folder of its "
                "own, and their last as INITIAL_CHECKPOINT_PATH"
            )
        found = {keys: shape for keys, shape in found.items() if not _is_hybrid(keys)}
    checkpoint.require_same_shapes(found, wanted, place)


def _checkpoints(path: str | Sequence[str] | None) -> list[epath.Path]:
    """Returns the Orbax checkpoints among the paths; for a folder of them, the newest."""
    found = []
    for one in [path] if isinstance(path, str) else path or ():
        folder = epath.Path(one)
        if folder.is_dir() and not (folder / "state").exists():
            steps = [re.fullmatch(r"checkpoint_(\d+)", child.name) for child in folder.iterdir()]
            newest = max((int(step[1]) for step in steps if step), default=None)
            folder /= f"checkpoint_{newest}"
        if (folder / "state" / "_METADATA").exists():
            found.append(folder)
    return found


def _require_same_vocabulary(folder: epath.Path, vocabulary: Any) -> None:
    files = checkpoint.record_files(folder)
    record = checkpoint.read_record(files[0].with_suffix("")) if files else None
    if vocabulary is None or record is None:
        return
    theirs = record.get("vocabulary")
    if theirs != vocabulary_name(vocabulary):
        raise UserError(
            f"{folder} was trained with vocabulary {theirs} and this run has "
            f"{vocabulary_name(vocabulary)}: use the one it was trained with"
        )
