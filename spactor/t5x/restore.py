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
      UserError: the checkpoint has other parameters than the model or another vocabulary, or T5X
        can't begin training from it.
    """
    saved, needed = checkpoint.flatten(checkpoint_state), checkpoint.flatten(state)
    _require_same_names(set(saved), set(needed), is_resuming)
    _require_same_shapes(checkpoint_state, state, "the checkpoint")
    for folder in _checkpoints(home if is_resuming else path):
        _require_same_shapes(array_metadata(folder / "state"), state, folder)
        _require_same_vocabulary(folder, vocabulary)
        has_slots = any(keys[:2] == ("state", "param_states") for keys in needed)
        if has_slots and not (folder / "dataset").exists():
            raise UserError(
                f"{folder} has no folder dataset, which T5X needs to begin training: make an empty "
                "one to fine-tune from it"
            )
    if is_resuming:
        return checkpoint_state
    return traverse_util.unflatten_dict({keys: saved[keys] for keys in needed})


def _require_same_names(
    saved: set[tuple[str, ...]], needed: set[tuple[str, ...]], is_resuming: bool
) -> None:
    # For evaluation T5X makes a state without slots, and ignores the checkpoint's.
    parts = {keys[:2] if keys[0] == "state" else keys[:1] for keys in needed}
    differing = {keys for keys in saved ^ needed if {keys[:1], keys[:2]} & parts}
    hybrid = {keys for keys in differing if set(keys) & set(HYBRID_ONLY)}
    if differing - hybrid:
        name = min(differing - hybrid)
        raise UserError(
            f"the checkpoint has {'no ' if name in needed else ''}{'/'.join(name)}, and "
            f"{len(differing) - 1} other names differ: it is of another size, which is to be used"
        )
    if hybrid & needed:
        raise UserError("the checkpoint is of stage 2, and the hybrid objective can't follow")
    if hybrid and is_resuming:
        raise UserError(
            "this MODEL_DIR holds checkpoints of stage 1: give the next stage a folder of its "
            "own, and their last as INITIAL_CHECKPOINT_PATH"
        )


def _require_same_shapes(saved: Mapping[str, Any], needed: Mapping[str, Any], path: Any) -> None:
    found, wanted = checkpoint.shapes_of(saved), checkpoint.shapes_of(needed)
    both = found.keys() & wanted.keys()
    checkpoint.require_same_shapes(
        {keys: found[keys] for keys in both}, {keys: wanted[keys] for keys in both}, path
    )


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
    theirs = record.facts.get("vocabulary")
    if theirs != vocabulary_name(vocabulary):
        raise UserError(
            f"{folder} was trained with vocabulary {theirs} and this run has "
            f"{vocabulary_name(vocabulary)}: use the one it was trained with"
        )
