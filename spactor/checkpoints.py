"""Saving and restoring with Orbax, and the stage switch at τ.

A checkpoint is a folder ``checkpoints/<step>`` with two items: ``state`` (step, parameters,
Adafactor slots) and ``about`` (stage and model configuration of the arrays). Orbax writes it under
a temporary name and renames it when complete, so an interrupted writer leaves no checkpoint that
can be restored. A checkpoint damaged by a power failure or a failing disk is moved aside when the
run resumes, and the previous checkpoint is used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from spactor import files, optimizer
from spactor import step as steps
from spactor.config import PretrainConfig, Stage
from spactor.data.digest import batch_digest
from spactor.errors import DamagedCheckpoint, UserError, first_line
from spactor.plain_data import to_mapping
from spactor.step import TrainState

_MAX_TO_KEEP = 2


def _about(config: PretrainConfig, stage: Stage) -> dict[str, Any]:
    return {"stage": stage, "model": to_mapping(config.model)}


def _shapes(model: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in model.items() if name != "dropout_rate"}


class Restored(NamedTuple):
    """A step and the state saved at it."""

    step: int
    state: TrainState


class Checkpoints:
    """Checkpoints in one run's folder; saving is asynchronous, closing waits for it.

    Args:
      folder: the run's folder; checkpoints are in its folder ``checkpoints``.
      config: configuration of model and optimizer.
      stage: stage of saved states, and the stage for which states are restored.
    """

    def __init__(self, folder: Path, config: PretrainConfig, stage: Stage) -> None:
        self._folder = (folder / "checkpoints").resolve()
        self._config = config
        self._stage = stage
        self._saved = False
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=_MAX_TO_KEEP, create=True, cleanup_tmp_directories=True
            ),
        )

    def newest(self, reject: Callable[[int], str | None] = lambda step: None) -> Restored | None:
        """Restores the newest usable checkpoint; renames newer ones that are damaged.

        Args:
          reject: returns the reason why a run can't resume from the checkpoint of a step, or None.

        Raises:
          UserError: the checkpoint is of another model, or of a stage that can't precede this one.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            reason = reject(step)
            if reason is None:
                try:
                    return Restored(int(step), self.restore(step))
                except DamagedCheckpoint as error:
                    reason = first_line(error.__cause__)
            files.set_aside(self._folder / str(step), reason)
            self._manager.reload()
        return None

    def latest_step(self) -> int | None:
        """Step of the newest checkpoint, saved or being saved; None without any."""
        step = self._manager.latest_step()
        return None if step is None else int(step)

    def save(self, state: TrainState, step: int) -> None:
        """Starts writing ``checkpoints/<step>``; the state may be donated afterwards."""
        self._saved = True
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(_as_mapping(state)),
                about=ocp.args.JsonSave(_about(self._config, self._stage)),
            ),
        )

    def restore(self, step: int) -> TrainState:
        """Returns the state in ``checkpoints/<step>``, for the stage of this object.

        Reading a hybrid checkpoint for span corruption is the switch at τ: generator and RTD head
        are dropped with their slots, everything else is unchanged bit for bit.

        Raises:
          DamagedCheckpoint: the checkpoint exists and can't be read.
          UserError: there is no such checkpoint, it has another model size, or its stage can't
            precede this one.
        """
        if step not in self._manager.all_steps():
            raise UserError(
                f"no complete checkpoint {self._folder}/{step}: run the segment that makes it"
            )
        try:
            return self._read(step)
        except UserError:
            raise
        # Orbax, TensorStore and JSON raise different errors for a truncated file.
        except Exception as error:
            if files.system_fault(error):
                raise
            raise DamagedCheckpoint(
                f"checkpoint {self._folder}/{step} is damaged ({first_line(error)}): move its "
                "segment's folder away and run again"
            ) from error

    def _read(self, step: int) -> TrainState:
        about = self._manager.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore()))[
            "about"
        ]
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

    def close(self) -> None:
        """Waits until all saved checkpoints are on disk and survive a power failure."""
        try:
            self._manager.wait_until_finished()
            step = self._manager.latest_step()
        finally:
            self._manager.close()
        if self._saved and step is not None:
            saved = self._folder / str(step)
            for path in (*saved.rglob("*"), saved, self._folder):
                files.make_durable(path)


def _as_mapping(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "params": state.params, "slots": state.slots._asdict()}


def _from_mapping(tree: dict[str, Any]) -> TrainState:
    return TrainState(tree["step"], tree["params"], optimizer.Slots(**tree["slots"]))


def digests(folder: Path) -> dict[int, dict[str, str]]:
    """Digests every array in a run's checkpoints, by step and path in the tree.

    No configuration is needed, and the digests do not depend on the devices.

    Args:
      folder: the run's folder.

    Returns:
      An empty mapping if there are no checkpoints.
    """
    checkpoints = (folder / "checkpoints").resolve()
    if not checkpoints.is_dir():
        return {}
    manager = ocp.CheckpointManager(
        checkpoints,
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
                jax.tree_util.keystr(path, simple=True, separator="/"): batch_digest(array)
                for path, array in jax.tree_util.tree_leaves_with_path(state)
            }
    return dict(sorted(found.items()))


def restore_parent(folder: Path, config: PretrainConfig, step: int, stage: Stage) -> TrainState:
    """Restores the last state of a parent segment, for the stage of its child."""
    if not (folder / "checkpoints").is_dir():
        raise UserError(f"{folder} holds no checkpoints: run the segment that makes them")
    with closing(Checkpoints(folder, config, stage)) as checkpoints:
        return checkpoints.restore(step)


def array_metadata(item: Path) -> Any:
    """Returns the shapes and types of the arrays in an item's folder (ours or T5X's), as a tree."""
    with closing(ocp.Checkpointer(ocp.PyTreeCheckpointHandler())) as reader:
        found = reader.metadata(item)
    return getattr(found, "item_metadata", found).tree
