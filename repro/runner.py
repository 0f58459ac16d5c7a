"""Walks the tree: runs what is not finished, in order of dependence, once, and can be stopped.

A node is finished when its ``done.json`` carries its fingerprint. A node whose inputs changed
is stale: its folder is set aside and it runs again, as all below it do. Several runners may
share a folder: each node has a lock, and a runner takes what is ready and free.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

from filelock import FileLock, Timeout

from repro import folders, identity, provenance, scorekeeping
from repro.engines import Engine, PreparedData
from repro.plan import Finetuning, Node, Tree
from repro.progress import Display
from spactor.errors import UserError

Condition = Literal["new", "partial", "finished", "stale"]
POLL_SECONDS = 1.0
_NOT_BEGUN = ("new", "stale")
_IN_WORDS = {"new": "not begun", "partial": "not finished", "stale": "stale"}


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """What a node's folder says.

    Attributes:
      condition: "new" before its first step, "partial" when it can go on, "finished", "stale".
      reasons: for a stale node, the inputs that changed.
      recorded: ``node.json``, where there is one.
    """

    condition: Condition
    reasons: tuple[str, ...] = ()
    recorded: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run of the tree did: names of nodes."""

    ran: tuple[str, ...]
    skipped: tuple[str, ...]
    set_aside: tuple[str, ...]


def inspect(folder: Path, inputs: Mapping[str, Any]) -> NodeState:
    """Compares a node's folder with the inputs the node has now.

    Args:
      folder: of the node.
      inputs: all or some of the node's inputs; only those given are compared.
    """
    path = folder / folders.NODE
    if not path.is_file():
        # Nothing is written before node.json, so anything else here is a stranger's.
        strange = folder.is_dir() and any(folder.iterdir())
        return NodeState(
            condition="stale" if strange else "new",
            reasons=(f"its {folders.NODE} is gone",) if strange else (),
        )
    recorded = folders.read_json(path, folders.NODE_NEEDS, folders.NODE_KNOWS)
    known = recorded.get("inputs", {})
    reasons = identity.differences({key: known.get(key) for key in inputs}, inputs)
    if reasons:
        return NodeState(condition="stale", reasons=tuple(reasons), recorded=recorded)
    done = folder / folders.DONE
    finished = (
        done.is_file() and folders.read_json(done).get("fingerprint") == recorded["fingerprint"]
    )
    return NodeState(condition="finished" if finished else "partial", recorded=recorded)


def score(tree: Tree, runs: Path, engine: Engine, say: Callable[[str], None]) -> tuple[str, ...]:
    """Scores the finished fine-tuning nodes of a tree whose predictions are not scored yet.

    A node counts as `repro collect` counts it: by its settings, whatever machine trained it.

    Args:
      tree: whose nodes.
      runs: an opened runs folder.
      engine: that scores.
      say: told of each node.

    Returns:
      Names of the nodes scored.

    Raises:
      UserError: this machine can't score, or a node was trained on other data.
    """
    if not engine.can_score():
        raise UserError(
            "scoring needs TensorFlow, seqio and T5: install this project with its 'train' extra"
        )
    data = engine.prepare(tree.profile, folders.cache_folder(runs), say)
    done = []
    for node in tree.finetunings():
        folder = folders.node_folder(runs, tree.profile.name, node.name)
        if inspect(folder, identity.settings(tree, node)).condition != "finished":
            continue
        with FileLock(folders.lock_path(folder)):
            if scorekeeping.due(folder, node, data.files, engine):
                scorekeeping.complete(folder, node, data, engine)
                say(f"scored {node.name}")
                done.append(node.name)
    return tuple(done)


class Runner:
    """Runs a tree in a folder of runs.

    Args:
      tree: what to run.
      runs: an opened runs folder.
      engine: what trains.
      display: what shows it.
    """

    def __init__(self, tree: Tree, runs: Path, engine: Engine, display: Display) -> None:
        self._tree = tree
        self._runs = runs
        self._engine = engine
        self._display = display
        self._set_aside: list[str] = []

    def run(self, only: Sequence[str] = ()) -> Outcome:
        """Runs every node that is not finished; returns when the whole tree is.

        Args:
          only: names of nodes, in the tree's order; their parents are among them or finished.

        Raises:
          UserError: for a mistake the user can mend, or where the other engine ran; what was
            finished stays finished.
          KeyboardInterrupt: when stopped; the same call goes on from there.
        """
        folders.claim(self._runs, self._tree.profile.name, self._tree.profile.engine)
        data, identities = self._prepare()
        pending = {name: self._tree.nodes[name] for name in only or self._tree.nodes}
        for node in pending.values():
            if node.parent is not None and node.parent not in pending:
                self._require_finished(node.parent, identities[node.parent], node.name)
        ran: list[str] = []
        skipped: list[str] = []
        told: set[tuple[str, str]] = set()
        while pending:
            moved = False
            busy: list[str] = []
            for name, node in list(pending.items()):
                if node.parent in pending:
                    continue
                worked = self._attempt(node, identities[name], data)
                if worked is None:
                    busy.append(name)
                    continue
                (ran if worked else skipped).append(name)
                del pending[name]
                moved = True
            if not moved:
                self._tell(busy, told)
                time.sleep(POLL_SECONDS)
        return Outcome(ran=tuple(ran), skipped=tuple(skipped), set_aside=tuple(self._set_aside))

    def join(self, only: Sequence[str] = ()) -> Outcome:
        """Trains along on the other hosts of a slice, while host 0 runs the same nodes.

        Host 0 holds the locks and writes what `folders` describes; this waits for it to begin a
        node, then gives the engine its part of the work.

        Args:
          only: names of nodes, as for `run`.
        """
        data, identities = self._prepare()
        ran: list[str] = []
        skipped: list[str] = []
        for name in only or self._tree.nodes:
            known, told = identities[name], False
            while (state := inspect(self._folder(name), known.inputs)).condition in _NOT_BEGUN:
                if not told:
                    self._display.say(f"waiting for host 0 to begin {name}")
                told = True
                time.sleep(POLL_SECONDS)
            if state.condition == "finished":
                self._display.skip(name)
                skipped.append(name)
                continue
            self._train(self._tree.nodes[name], data, self._folder(name))
            self._display.finish(self._tree.nodes[name])
            ran.append(name)
        return Outcome(ran=tuple(ran), skipped=tuple(skipped), set_aside=())

    def _prepare(self) -> tuple[PreparedData, Mapping[str, identity.Identity]]:
        cache = folders.cache_folder(self._runs)
        data = self._engine.prepare(self._tree.profile, cache, self._display.say)
        return data, identity.identities(self._tree, data.files)

    def _require_finished(self, parent: str, known: identity.Identity, child: str) -> None:
        condition = inspect(self._folder(parent), known.inputs).condition
        if condition != "finished":
            raise UserError(
                f"{child} starts from {parent}, which is {_IN_WORDS[condition]}: "
                f"run that first, with --node {parent}"
            )

    def _attempt(self, node: Node, known: identity.Identity, data: PreparedData) -> bool | None:
        """Runs a node unless it is finished; False if it was, None if another process has it."""
        folder = self._folder(node.name)
        if inspect(folder, known.inputs).condition == "finished" and not self._due(
            node, data, folder
        ):
            self._display.skip(node.name)
            return False
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folders.lock_path(folder))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        try:
            state = inspect(folder, known.inputs)
            if state.condition == "finished":
                if self._due(node, data, folder):
                    scorekeeping.complete(folder, node, data, self._engine)
                self._display.skip(node.name)
                return False
            folders.require_own(self._runs, folder)
            if state.condition == "stale":
                self._put_aside(node.name, state)
            self._work(node, known, data, folder)
            return True
        finally:
            lock.release()

    def _work(self, node: Node, known: identity.Identity, data: PreparedData, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        profile = self._tree.profile
        folders.write_json(
            folder / folders.NODE,
            {
                "format": 1,
                "name": node.name,
                "fingerprint": known.fingerprint,
                "inputs": dict(known.inputs),
            },
        )
        holder = folder / folders.HOLDER
        folders.write_json(
            holder,
            {"process": os.getpid(), "machine": provenance.machine(), "since": provenance.now()},
        )
        record = provenance.describe(
            node,
            profile=profile.name,
            fingerprint=known.fingerprint,
            data=data.facts,
            device=self._engine.device(),
            metric_versions=self._engine.metric_versions(node),
            inputs=known.inputs,
        )
        path = folder / folders.PROVENANCE
        attempts = provenance.read(path).get("attempts", []) if path.is_file() else []
        attempt: dict[str, Any] = {"started": provenance.now()}
        folders.write_json(path, record | {"attempts": [*attempts, attempt]})
        if isinstance(node, Finetuning) and self._engine.can_score():
            scorekeeping.begin(folder, node, data.files)
        began = time.monotonic()
        self._train(node, data, folder)
        attempt |= {"ended": provenance.now(), "seconds": round(time.monotonic() - began, 3)}
        folders.write_json(path, record | {"attempts": [*attempts, attempt]})
        folders.write_json(folder / folders.DONE, {"format": 1, "fingerprint": known.fingerprint})
        holder.unlink(missing_ok=True)
        self._display.finish(node)

    def _train(self, node: Node, data: PreparedData, folder: Path) -> None:
        self._display.start(node)
        self._engine.run(
            self._tree.profile,
            node,
            data=data,
            folder=folder,
            parent=self._folder(node.parent) if node.parent else None,
            observer=self._display.observe,
        )
        if self._due(node, data, folder):
            scorekeeping.complete(folder, node, data, self._engine)

    def _due(self, node: Node, data: PreparedData, folder: Path) -> TypeGuard[Finetuning]:
        return isinstance(node, Finetuning) and scorekeeping.due(
            folder, node, data.files, self._engine
        )

    def _folder(self, name: str) -> Path:
        return folders.node_folder(self._runs, self._tree.profile.name, name)

    def _put_aside(self, name: str, state: NodeState) -> None:
        old = (state.recorded or {}).get("fingerprint", "unknown")
        home = folders.set_aside(self._runs, self._tree.profile.name, name, old)
        self._set_aside.append(name)
        more = f" (and {len(state.reasons) - 1} more)" if len(state.reasons) > 1 else ""
        self._display.say(
            f"{name} runs again, because {state.reasons[0]}{more}; the old one is kept in {home}"
        )

    def _tell(self, busy: list[str], told: set[tuple[str, str]]) -> None:
        """Says once who holds each node that is waited for."""
        for name in busy:
            try:
                holder = folders.read_json(self._folder(name) / folders.HOLDER)
                who = f"process {holder['process']} on {holder['machine']}"
            except Exception:
                # Written after the lock is taken and removed before it is released.
                who = "another process"
            if (name, who) not in told:
                told.add((name, who))
                self._display.say(f"waiting for {name}: {who} is running it")
