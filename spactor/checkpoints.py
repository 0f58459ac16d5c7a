"""Saving and restoring with Orbax, and the stage switch at τ.

A checkpoint is a folder ``checkpoints/<step>`` with two items: ``state`` (step, parameters,
Adafactor slots) and ``about`` (what the arrays are: stage and configuration). Orbax writes it
under a temporary name and renames it when whole, so a killed writer leaves nothing that
restores. What a loss of power or a failing disk damages all the same is set aside when a run
goes on, from the checkpoint before.
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

_KEPT = 2


def _about(config: PretrainConfig, stage: Stage) -> dict[str, Any]:
    return {"stage": stage, "model": to_mapping(config.model)}


def _shapes(model: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in model.items() if name != "dropout_rate"}


class Restored(NamedTuple):
    """A step and the state saved there."""

    step: int
    state: TrainState


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
        self._saved = False
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=_KEPT, create=True, cleanup_tmp_directories=True
            ),
        )

    def newest(self, lack: Callable[[int], str | None] = lambda step: None) -> Restored | None:
        """The newest complete checkpoint; newer ones that are damaged are set aside.

        Args:
          lack: what a run lacks, beside the checkpoint of this step, to go on from it.

        Raises:
          UserError: it is of another model, or the stage can't follow it.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            reason = lack(step)
            if reason is None:
                try:
                    return Restored(int(step), self.restore(step))
                except DamagedCheckpoint as error:
                    reason = first_line(error.__cause__)
            files.set_aside(self._folder / str(step), reason)
            self._manager.reload()
        return None

    def latest_step(self) -> int | None:
        """Step of the newest checkpoint of a run that is going on."""
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
        """State of ``checkpoints/<step>`` as this object's stage needs it.

        A hybrid checkpoint read for span corruption is the switch at τ: generator and RTD
        head are dropped with their slots, everything else is passed on bit for bit.

        Raises:
          DamagedCheckpoint: it is there, and can't be read.
          UserError: no such checkpoint, another model size, or a stage that can't follow.
        """
        if step not in self._manager.all_steps():
            raise UserError(
                f"no complete checkpoint {self._folder}/{step}: run the segment that makes it"
            )
        try:
            return self._read(step)
        except UserError:
            raise
        # Orbax, TensorStore and JSON each have errors of their own for a file cut short.
        except Exception as error:
            if files.trouble(error):
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
        """Waits until what was saved is on disk, and would outlive a loss of power."""
        self._manager.wait_until_finished()
        step = self._manager.latest_step()
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
