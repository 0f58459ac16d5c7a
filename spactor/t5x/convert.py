"""Reads checkpoints of T5X, and converts them to and from the local engine's, bit for bit.

Both are Orbax folders of the same arrays under different names::

    local   step          params/…   slots/{v_row,v_col,v}/…               slots/count
    T5X     state/step    target/…   state/param_states/…/{v_row,v_col,v,m}

Adafactor's ``m`` is T5X's place for a momentum, which is not used. T5X is imported only to read its
older format, which the public T5 checkpoints have.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from spactor import optimizer
from spactor import step as steps
from spactor.checkpoints import Checkpoints, array_metadata
from spactor.config import PretrainConfig, Stage
from spactor.errors import UserError
from spactor.step import TrainState
from spactor.t5x import checkpoint

_SLOTS = ("v_row", "v_col", "v")


def to_t5x(state: TrainState) -> dict[str, Any]:
    """Converts a local state to T5X's state dictionary."""
    param_states = jax.tree.map(
        lambda *slots: dict(zip(_SLOTS, slots, strict=True)) | {"m": np.zeros(1, np.float32)},
        *(getattr(state.slots, name) for name in _SLOTS),
    )
    return {"state": {"step": state.step, "param_states": param_states}, "target": state.params}


def from_t5x(tree: Mapping[str, Any]) -> TrainState:
    """Converts T5X's state dictionary to a local state."""
    step: Any = np.asarray(tree["state"]["step"], np.int32)

    def slots(name: str) -> Any:
        states = tree["state"]["param_states"]
        return jax.tree.map(lambda of_one: of_one[name], states, is_leaf=lambda node: "v" in node)

    return TrainState(
        step, tree["target"], optimizer.Slots(count=step, **{name: slots(name) for name in _SLOTS})
    )


def export_checkpoint(
    folder: Path,
    config: PretrainConfig,
    stage: Stage,
    step: int,
    model_dir: str | os.PathLike[str],
) -> epath.Path:
    """Writes a local checkpoint as T5X's ``model_dir/checkpoint_<step>`` and returns its path.

    The checkpoint has no state of a data stream: T5X can fine-tune and evaluate from it, and
    refuses to continue pre-training.

    Args:
      folder: of the segment.
      config, stage: of the checkpoint.
      step: of the checkpoint.
      model_dir: a folder for T5X, or an address such as ``gs://…``.

    Raises:
      UserError: there is no such checkpoint, it is of another size or stage or of a fine-tuning, or
        the path exists.
    """
    with closing(Checkpoints(folder, config, stage)) as checkpoints:
        state = checkpoints.restore(step)
    if int(state.slots.count) != int(state.step):
        raise UserError(
            f"the state is at step {int(state.step)} and its slots at {int(state.slots.count)}: "
            "T5X has one number for both, so only checkpoints of pre-training convert"
        )
    path = checkpoint.absolute(model_dir) / f"checkpoint_{step}"
    if path.exists():
        raise UserError(f"{path} exists: name another folder")
    with closing(ocp.Checkpointer(ocp.CompositeCheckpointHandler())) as writer:
        writer.save(
            path,
            ocp.args.Composite(
                state=ocp.args.PyTreeSave(to_t5x(state)),
                # T5X begins no training from a checkpoint that lacks this item.
                dataset=ocp.args.JsonSave({}),
            ),
        )
    return path


def import_checkpoint(
    path: str | os.PathLike[str], config: PretrainConfig, stage: Stage, folder: Path
) -> None:
    """Writes a checkpoint of T5X as one of the local engine's, at the same step.

    Args:
      path: ``…/checkpoint_<step>``, of Orbax or of T5X's older format.
      config, stage: of the checkpoint.
      folder: of a segment, to whose ``checkpoints`` the new one is added.

    Raises:
      UserError: it is not a checkpoint of T5X, or of another size, vocabulary or stage.
    """
    tree = read(path)
    wanted = jax.eval_shape(lambda: to_t5x(steps.init_state(config, 0, stage)))
    checkpoint.require_same_shapes(checkpoint.shapes_of(tree), checkpoint.shapes_of(wanted), path)
    state = jax.device_put(from_t5x(tree), steps.device_sharding())
    with closing(Checkpoints(folder, config, stage)) as checkpoints:
        checkpoints.save(state, int(state.step))


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the arrays of a T5X checkpoint: ``{"state": …, "target": …}``.

    Raises:
      UserError: it is not a checkpoint of T5X.
    """
    place = checkpoint.absolute(path)
    if (place / "state").is_dir():
        with closing(ocp.Checkpointer(ocp.PyTreeCheckpointHandler())) as reader:
            arguments = jax.tree.map(
                lambda _: ocp.RestoreArgs(restore_type=np.ndarray), array_metadata(place / "state")
            )
            tree = reader.restore(place / "state", restore_args=arguments)
    elif (place / "checkpoint").is_file():
        from t5x import checkpoints as t5x_checkpoints

        tree = t5x_checkpoints.load_t5x_checkpoint(str(place), lazy_parameters=False)
    else:
        raise UserError(f"{place} is not a checkpoint of T5X: name a folder checkpoint_<step>")
    return jax.tree.map(np.asarray, {name: tree[name] for name in ("state", "target")})
