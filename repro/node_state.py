"""The files of a node: what an attempt to train it writes, and the state that they describe."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from analysis.schema.nodes import TrainedNode
from repro import folders, identity, provenance
from repro.engines.contract import Engine, Work
from repro.plan import Node, Tree
from spactor.errors import Damaged, Diverged, UserError

Condition = Literal["new", "partial", "finished", "diverged", "stale"]
DESCRIPTIONS: Mapping[Condition, str] = {
    "new": "not begun",
    "partial": "not finished",
    "finished": "finished",
    "diverged": "diverged",
    "stale": "stale",
}
"""Each condition in the words of a message."""


class Holder(TypedDict):
    """``holder.json``: the process that works on a node."""

    process: int
    machine: str


class _Divergence(TypedDict):
    metric: str
    value: str
    step: int
    batch_digest: str
    checkpoint_step: int | None


class _DivergedFile(TypedDict):
    divergence: _Divergence


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """The state of a node's folder.

    Attributes:
      condition: "new" before the first step, "partial" when training can continue, "finished",
        "diverged" where a number was not finite, "stale" where an input changed.
      reasons: for a stale node, the inputs that changed; for a diverged one, where it diverged.
      recorded: content of ``node.json``; None where there is none.
      divergence: of a diverged node.
    """

    condition: Condition
    reasons: tuple[str, ...] = ()
    recorded: Mapping[str, Any] | None = None
    divergence: Diverged | None = None


def inspect(folder: Path, inputs: Mapping[str, Any]) -> NodeState:
    """Compares a node's folder with the inputs that the node has now.

    Args:
      folder: of the node.
      inputs: all or some of the node's inputs; only those given are compared.
    """
    try:
        recorded = folders.read_node(folder)
    except Damaged:
        return NodeState(condition="stale", reasons=(f"its {folders.NODE} is damaged",))
    if not recorded:
        # A run writes node.json first, so any other file without it is not of a run.
        if folder.is_dir() and any(folder.iterdir()):
            return NodeState(condition="stale", reasons=(f"its {folders.NODE} is gone",))
        return NodeState(condition="new")
    known = recorded.get("inputs", {})
    reasons = identity.differences({key: known.get(key) for key in inputs}, inputs)
    if reasons:
        return NodeState(condition="stale", reasons=tuple(reasons), recorded=recorded)
    if _read_end(folder / folders.DONE, recorded):
        return NodeState(condition="finished", recorded=recorded)
    if found := _read_end(folder / folders.DIVERGED, recorded, _DivergedFile):
        values = found["divergence"]
        divergence = Diverged(**{field.name: values[field.name] for field in fields(Diverged)})
        reason = f"diverged: {divergence}"
        return NodeState(
            condition="diverged", reasons=(reason,), recorded=recorded, divergence=divergence
        )
    return NodeState(condition="partial", recorded=recorded)


def state_of(tree: Tree, runs: Path, node: Node) -> NodeState:
    """The state of a tree's node by the settings of its profile, whichever machine trained it."""
    folder = folders.node_folder(runs, tree.profile.name, node.name)
    return inspect(folder, identity.settings(tree, node))


def _read_end(
    path: Path, recorded: Mapping[str, Any], schema: type = dict
) -> Mapping[str, Any] | None:
    """The file that ended a run with the recorded fingerprint; None if damaged or of another."""
    try:
        found = folders.read_if_any(path, schema)
    except Damaged:
        return None
    return found if found.get("fingerprint") == recorded.get("fingerprint") else None


def read_holder(folder: Path) -> Mapping[str, Any]:
    """The process that trains a node; empty if there is none, or before it wrote its file."""
    try:
        return folders.read_json(folder / folders.HOLDER, Holder)
    except UserError:
        # Written after the lock is taken and removed before it is released.
        return {}


@contextmanager
def recorded_attempt(
    work: Work, known: identity.Identity, engine: Engine, run_id: str
) -> Iterator[None]:
    """Writes the files about an attempt to train a node, before its block and when that has ended.

    After an exception the node stays begun, after `Diverged` it is a diverged one.

    Args:
      work: the node, whose lock is held.
      known: the node's identity.
      engine: that trains it.
      run_id: of the hosts that train together.
    """
    folder = work.folder
    folder.mkdir(parents=True, exist_ok=True)
    ended = {"format": 1, "fingerprint": known.fingerprint}
    begun = {"name": work.node.name, "inputs": dict(known.inputs)}
    folders.write_json(folder / folders.NODE, ended | begun)
    holder = folder / folders.HOLDER
    mine = Holder(process=os.getpid(), machine=provenance.machine())
    folders.write_json(holder, {**mine, "since": provenance.now(), "run_id": run_id})
    record = provenance.describe(work, known, engine)
    folders.read_or_set_aside(folder / folders.DONE)
    path = folder / folders.PROVENANCE
    attempts = folders.read_or_set_aside(path, TrainedNode).get("attempts", [])
    attempt: dict[str, Any] = {"started": provenance.now()}
    folders.write_json(path, record | {"attempts": [*attempts, attempt]})
    began = time.monotonic()
    try:
        yield
    except Diverged as error:
        divergence = {"divergence": dataclasses.asdict(error)}
        folders.write_json(folder / folders.DIVERGED, ended | divergence)
        holder.unlink(missing_ok=True)
        raise
    attempt |= {"ended": provenance.now(), "seconds": round(time.monotonic() - began, 3)}
    folders.write_json(path, record | {"attempts": [*attempts, attempt]})
    folders.write_json(folder / folders.DONE, ended)
    holder.unlink(missing_ok=True)
