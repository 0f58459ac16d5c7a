"""The stage switch as a restore: the discriminator and its slots stay, what stage 1 added goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from etils import epath
from flax import traverse_util

from spactor.errors import UserError
from spactor.step import HYBRID_ONLY
from spactor.t5x import convert


def keep_discriminator(
    checkpoint_state: Mapping[str, Any],
    state: Mapping[str, Any],
    *,
    path: str | None = None,
    is_resuming: bool = False,
) -> Mapping[str, Any]:
    """A ``state_transformation_fns`` entry of T5X's ``RestoreCheckpointConfig``.

    Leaves generator and RTD head out, with their slots; step, discriminator and its slots are
    passed on untouched. A checkpoint without them passes whole.

    Args:
      checkpoint_state: T5X's state dictionary of the checkpoint, or its structure.
      state: that of the model that is to train.
      path: of the checkpoint; with it the shapes of Orbax's arrays are checked too, of which
        ``checkpoint_state`` says nothing.
      is_resuming: T5X says so when a run goes on from a checkpoint of its own.

    Raises:
      UserError: the checkpoint has other parameters than the model, or lacks some.
    """
    if is_resuming:
        return checkpoint_state
    # In T5X's older format an array is a dictionary that says where it lies.
    saved = traverse_util.flatten_dict(
        checkpoint_state, keep_empty_nodes=True, is_leaf=lambda _, node: "driver" in node
    )
    needed = traverse_util.flatten_dict(state, keep_empty_nodes=True)
    missing = sorted("/".join(keys) for keys in set(needed) - set(saved))
    if missing:
        hint = (
            "it was left by stage 2, and the hybrid objective can't follow"
            if any(name.startswith(f"target/{HYBRID_ONLY[0]}") for name in missing)
            else "it is of another size"
        )
        raise UserError(f"the checkpoint has no {missing[0]} (and {len(missing) - 1} more): {hint}")
    # For evaluation T5X makes a state without slots, and leaves the checkpoint's where they are.
    parts = {keys[:2] if keys[0] == "state" else keys[:1] for keys in needed}
    strange = sorted(
        "/".join(keys)
        for keys in set(saved) - set(needed)
        if not set(keys) & set(HYBRID_ONLY) and {keys[:1], keys[:2]} & parts
    )
    if strange:
        raise UserError(
            f"the checkpoint has {strange[0]} (and {len(strange) - 1} more), which this model "
            "lacks: use the size it was made with"
        )
    _require_same_shapes(_shapes(saved), _shapes(needed))
    if path is not None and (epath.Path(path) / "state" / "_METADATA").exists():
        arrays = traverse_util.flatten_dict(convert.metadata(epath.Path(path) / "state"))
        _require_same_shapes(_shapes(arrays), _shapes(needed))
    return traverse_util.unflatten_dict({keys: saved[keys] for keys in needed})


_Shapes = dict[tuple[str, ...], tuple[int, ...]]


def _shapes(leaves: Mapping[tuple[str, ...], Any]) -> _Shapes:
    shapes = {}
    for keys, leaf in leaves.items():
        is_place = isinstance(leaf, Mapping) and "metadata" in leaf
        shape = leaf["metadata"]["shape"] if is_place else getattr(leaf, "shape", None)
        if shape is not None:
            shapes[keys] = tuple(shape)
    return shapes


def _require_same_shapes(saved: _Shapes, needed: _Shapes) -> None:
    for keys in sorted(set(saved) & set(needed), reverse=True):
        if saved[keys] != needed[keys]:
            raise UserError(
                f"{'/'.join(keys)} is {saved[keys]} in the checkpoint and {needed[keys]} here: use "
                "the size and vocabulary it was made with"
            )
