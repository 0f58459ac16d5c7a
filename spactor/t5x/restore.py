"""The stage switch as a restore: the discriminator and its slots stay, what stage 1 added goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import traverse_util

from spactor.errors import UserError
from spactor.step import HYBRID_ONLY


def keep_discriminator(
    checkpoint_state: Mapping[str, Any], state: Mapping[str, Any], *, is_resuming: bool = False
) -> Mapping[str, Any]:
    """A ``state_transformation_fns`` entry of T5X's ``RestoreCheckpointConfig``.

    Leaves generator and RTD head out, with their slots; step, discriminator and its slots are
    passed on untouched. A checkpoint without them passes whole.

    Args:
      checkpoint_state: T5X's state dictionary of the checkpoint, or its structure.
      state: that of the model that is to train.
      is_resuming: T5X says so when a run goes on from a checkpoint of its own.

    Raises:
      UserError: the checkpoint has other parameters than the model, or lacks some.
    """
    if is_resuming:
        return checkpoint_state
    saved = traverse_util.flatten_dict(checkpoint_state, keep_empty_nodes=True)
    needed = traverse_util.flatten_dict(state, keep_empty_nodes=True)
    missing = sorted("/".join(path) for path in set(needed) - set(saved))
    if missing:
        hint = (
            "it was left by stage 2, and the hybrid objective can't follow"
            if any(path.startswith(f"target/{HYBRID_ONLY[0]}") for path in missing)
            else "it is of another size"
        )
        raise UserError(f"the checkpoint has no {missing[0]} (and {len(missing) - 1} more): {hint}")
    strange = sorted(
        "/".join(path) for path in set(saved) - set(needed) if not set(path) & set(HYBRID_ONLY)
    )
    if strange:
        raise UserError(
            f"the checkpoint has {strange[0]} (and {len(strange) - 1} more), which this model "
            "lacks: use the size it was made with"
        )
    for path, ours in needed.items():
        shape = getattr(saved[path], "shape", None)
        if shape is not None and tuple(shape) != tuple(getattr(ours, "shape", shape)):
            raise UserError(
                f"{'/'.join(path)} is {tuple(shape)} in the checkpoint and {tuple(ours.shape)} "
                "here: use the size and vocabulary it was made with"
            )
    return traverse_util.unflatten_dict({path: saved[path] for path in needed})
