"""Saving and restoring with Orbax, and the stage switch at τ.

A checkpoint is a folder ``checkpoints/<step>`` with two items: ``state`` (step, parameters,
Adafactor slots) and ``about`` (what the arrays are: stage and configuration). Orbax writes it
under a temporary name and renames it when whole, so a killed writer leaves nothing that
restores.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from spactor import optimizer
from spactor import step as steps
from spactor.config import PretrainConfig, Stage, to_mapping
from spactor.data.digest import batch_digest
from spactor.errors import UserError
from spactor.step import TrainState

_KEPT = 2


def _about(config: PretrainConfig, stage: Stage) -> dict[str, Any]:
    return {"stage": stage, "model": to_mapping(config.model)}


def _shapes(model: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in model.items() if name != "dropout_rate"}


class Checkpoints:
    """The checkpoints of one run folder; saving is asynchronous, closing waits for it.

    Args:
      folder: of the run; checkpoints lie in its ``checkpoints``.
      config: the model and optimizer the arrays belong to.
      stage: what saved states are, and what restored states are to be.
    """

    def __init__(self, folder: Path, config: PretrainConfig, stage: Stage) -> None:
        self._folder = (folder / "checkpoints").resolve()
        self._config = config
        self._stage = stage
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=_KEPT, create=True, cleanup_tmp_directories=True
            ),
        )

    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint."""
        step = self._manager.latest_step()
        return None if step is None else int(step)

    def save(self, state: TrainState, step: int) -> None:
        """Starts writing ``checkpoints/<step>``; the state may be donated afterwards."""
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(_as_mapping(state)),
                about=ocp.args.JsonSave(_about(self._config, self._stage)),
            ),
        )

    def restore(self, step: int) -> TrainState:
        """State of ``checkpoints/<step>`` as this object's stage needs it.

        A hybrid checkpoint read for span corruption is the switch at τ: generator and RTD
        head are dropped with their slots, everything else is passed on bit for bit.

        Raises:
          UserError: no such checkpoint, another model size, or a stage that can't follow.
        """
        about = self._read_about(step)
        saved: Stage = about["stage"]
        where = f"checkpoint {self._folder}/{step}"
        if _shapes(about["model"]) != _shapes(to_mapping(self._config.model)):
            raise UserError(
                f"{where} holds a model of another size: use the profile and size it was made with"
            )
        if saved == "span_corruption" and self._stage == "hybrid":
            raise UserError(
                f"{where} has no generator, so the hybrid objective can't follow it: start from "
                "a hybrid checkpoint"
            )
        template = _as_mapping(jax.eval_shape(lambda: steps.init_state(self._config, 0, saved)))
        template = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=steps.device_sharding()),
            template,
        )
        restored = self._manager.restore(
            step, args=ocp.args.Composite(state=ocp.args.StandardRestore(template))
        )["state"]
        state = _from_mapping(restored)
        return state if self._stage == saved else steps.without_hybrid_parts(state)

    def _read_about(self, step: int) -> dict[str, Any]:
        try:
            composite = self._manager.restore(
                step, args=ocp.args.Composite(about=ocp.args.JsonRestore())
            )
        except FileNotFoundError as error:
            raise UserError(
                f"no complete checkpoint {self._folder}/{step}: run the segment that makes it"
            ) from error
        return composite["about"]

    def close(self) -> None:
        """Waits until what was saved is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def _as_mapping(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "params": state.params, "slots": state.slots._asdict()}


def _from_mapping(tree: dict[str, Any]) -> TrainState:
    return TrainState(tree["step"], tree["params"], optimizer.Slots(**tree["slots"]))


def digests(folder: Path) -> dict[int, dict[str, str]]:
    """Digests of every array in a run's checkpoints, by step and path in the tree.

    They need no configuration, and are the same on any devices.

    Args:
      folder: of the run; without checkpoints there are none.
    """
    home = (folder / "checkpoints").resolve()
    if not home.is_dir():
        return {}
    manager = ocp.CheckpointManager(
        home,
        options=ocp.CheckpointManagerOptions(create=False),
        item_handlers={
            "state": ocp.PyTreeCheckpointHandler(),
            "about": ocp.JsonCheckpointHandler(),
        },
    )
    found = {}
    with closing(manager):
        for step in manager.all_steps():
            shapes = manager.item_metadata(step)["state"].tree
            as_arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
            state = manager.restore(
                step,
                args=ocp.args.Composite(state=ocp.args.PyTreeRestore(restore_args=as_arrays)),
            )["state"]
            found[step] = {
                jax.tree_util.keystr(place, simple=True, separator="/"): batch_digest(array)
                for place, array in jax.tree_util.tree_leaves_with_path(state)
            }
    return dict(sorted(found.items()))


def restore_parent(folder: Path, config: PretrainConfig, step: int, stage: Stage) -> TrainState:
    """State with which a segment starts: its parent's last, as ``stage`` needs it."""
    if not (folder / "checkpoints").is_dir():
        raise UserError(f"{folder} holds no checkpoints: run the segment that makes them")
    with closing(Checkpoints(folder, config, stage)) as checkpoints:
        return checkpoints.restore(step)
