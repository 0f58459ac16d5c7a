"""State of a node by the files in its folder, and the files that an attempt to train it writes."""

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
"""Words for each condition in messages."""


class Holder(TypedDict):
    """Content of ``holder.json``: the process that trains a node."""

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
      condition: "new" before the first step, "partial" if training can continue, "finished",
        "diverged" if a number was not finite, "stale" if an input changed.
      reasons: changed inputs of a stale node, or place of a divergence.
      recorded: content of ``node.json``; None if there is none.
      divergence: error of a diverged node; None for others.
    """

    condition: Condition
    reasons: tuple[str, ...] = ()
    recorded: Mapping[str, Any] | None = None
    divergence: Diverged | None = None


def inspect(folder: Path, inputs: Mapping[str, Any]) -> NodeState:
    """Returns the state of a node's folder, given the node's present inputs.

    Args:
      folder: folder of the node.
      inputs: all or some of the node's inputs; only these are compared.
    """
    try:
        recorded = folders.read_node(folder)
    except Damaged:
        return NodeState(condition="stale", reasons=(f"its {folders.NODE} is damaged",))
    if not recorded:
        # A run writes node.json before any other file.
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
    """Returns the state of a node by its profile's settings, on any machine that trained it."""
    folder = folders.node_folder(runs, tree.profile.name, node.name)
    return inspect(folder, identity.settings(tree, node))


def _read_end(
    path: Path, recorded: Mapping[str, Any], schema: type = dict
) -> Mapping[str, Any] | None:
    """Reads a file that ends a run; None if it is damaged or of another fingerprint."""
    try:
        found = folders.read_if_any(path, schema)
    except Damaged:
        return None
    return found if found.get("fingerprint") == recorded.get("fingerprint") else None


def read_holder(folder: Path) -> Mapping[str, Any]:
    """Reads which process trains a node; {} if none does, or if its file is not written yet."""
    try:
        return folders.read_json(folder / folders.HOLDER, Holder)
    except UserError:
        # The file is written after the lock is acquired, and removed before it is released.
        return {}


@contextmanager
def recorded_attempt(
    work: Work, known: identity.Identity, engine: Engine, run_id: str
) -> Iterator[None]:
    """Writes a node's files before and after the attempt to train it in the ``with`` block.

    After an exception the node is "partial", after `Diverged` it is "diverged".

    Args:
      work: the node; its lock must be held.
      known: identity of the node.
      engine: engine that trains the node.
      run_id: run id of the hosts, see `Engine.barrier`.
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
