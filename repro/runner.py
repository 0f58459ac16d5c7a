"""Walks the tree: runs what is not finished, in order of dependence, once, and can be stopped.

A node is finished when its ``done.json`` carries its fingerprint. A node whose inputs changed
is stale: its folder is set aside and it runs again, as all below it do. Several runners may
share a folder: each node has a lock, and a runner takes what is ready and free.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeGuard

from filelock import FileLock, Timeout

from repro import folders, identity, provenance, scoring
from repro.engines.contract import Engine
from repro.engines.data import PreparedData
from repro.plan import Finetuning, Node, Tree
from repro.progress import Display, duration
from spactor.errors import Damaged, DamagedCheckpoint, Diverged, UserError

Condition = Literal["new", "partial", "finished", "diverged", "stale"]
POLL_SECONDS = 1.0
TELL_SECONDS = 600.0
_DIVERGENCE: folders.Kinds = {
    "divergence": dict,
    **dict.fromkeys(("divergence.metric", "divergence.value", "divergence.batch_digest"), str),
    "divergence.step": int,
    "divergence.checkpoint_step": int | None,
}
_IN_WORDS = {
    "new": "not begun",
    "partial": "not finished",
    "diverged": "diverged",
    "stale": "stale",
}


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """What a node's folder says.

    Attributes:
      condition: "new" before its first step, "partial" when it can go on, "finished", "diverged"
        where a number was not finite and never will be, "stale".
      reasons: for a stale node, the inputs that changed; for a diverged one, where it did.
      recorded: ``node.json``, where there is one.
      divergence: of a diverged node.
    """

    condition: Condition
    reasons: tuple[str, ...] = ()
    recorded: Mapping[str, Any] | None = None
    divergence: Diverged | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run of the tree did: names of nodes.

    ``blocked`` could not run, being below one that ``diverged``.
    """

    ran: tuple[str, ...]
    skipped: tuple[str, ...]
    set_aside: tuple[str, ...]
    diverged: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


def inspect(folder: Path, inputs: Mapping[str, Any]) -> NodeState:
    """Compares a node's folder with the inputs the node has now.

    Args:
      folder: of the node.
      inputs: all or some of the node's inputs; only those given are compared.
    """
    try:
        recorded = folders.read_node(folder)
    except Damaged:
        return NodeState(condition="stale", reasons=(f"its {folders.NODE} is damaged",))
    if not recorded:
        # Nothing is written before node.json, so anything else here is a stranger's.
        strange = folder.is_dir() and any(folder.iterdir())
        return NodeState(
            condition="stale" if strange else "new",
            reasons=(f"its {folders.NODE} is gone",) if strange else (),
        )
    known = recorded.get("inputs", {})
    reasons = identity.differences({key: known.get(key) for key in inputs}, inputs)
    if reasons:
        return NodeState(condition="stale", reasons=tuple(reasons), recorded=recorded)
    if _ended(folder / folders.DONE, recorded):
        return NodeState(condition="finished", recorded=recorded)
    if found := _ended(folder / folders.DIVERGED, recorded, _DIVERGENCE):
        told = found["divergence"]
        divergence = Diverged(**{field.name: told[field.name] for field in fields(Diverged)})
        return NodeState(
            condition="diverged",
            reasons=(f"diverged: {divergence}",),
            recorded=recorded,
            divergence=divergence,
        )
    return NodeState(condition="partial", recorded=recorded)


def _ended(
    path: Path, recorded: Mapping[str, Any], needed: folders.Kinds = folders.NOTHING
) -> Mapping[str, Any] | None:
    """What a node of the recorded fingerprint wrote at its end; none where that is damaged."""
    try:
        found = folders.read_if_any(path, needed)
    except Damaged:
        return None
    return found if found.get("fingerprint") == recorded.get("fingerprint") else None


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
            if scoring.needs_scoring(folder, node, data.files, engine):
                scoring.score_missing(folder, node, data, engine)
                say(f"scored {node.name}")
                done.append(node.name)
    return tuple(done)


def _changes(node: Node, known: identity.Identity, data: PreparedData) -> list[str]:
    """What a node was to be made from and is on disk no longer; files, not what was imported."""
    wrong = data.damage(known.inputs["data"])
    return identity.changes_since(known, node) + ([wrong] if wrong else [])


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
        self._run_id = ""
        self._said: set[str] = set()

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
        self._run_id = self._engine.barrier(self._display.say)
        return self._walk(
            pending,
            lambda node: self._attempt(node, identities[node.name], data),
            lambda busy, _: self._tell_of_others(busy),
        )

    def join(self, only: Sequence[str] = ()) -> Outcome:
        """Trains along on the other hosts of a slice, while host 0 runs the same nodes.

        Host 0 opens the folder, prepares the data, holds the locks and writes what `folders`
        describes; this waits for it to begin a node, then gives the engine its part of the work.

        Args:
          only: names of nodes, as for `run`.

        Raises:
          UserError: for a mistake the user can mend.
        """
        self._run_id = self._engine.barrier(self._display.say)
        folders.open_runs(self._runs, create=False)
        data, identities = self._prepare()
        return self._walk(
            {name: self._tree.nodes[name] for name in only or self._tree.nodes},
            lambda node: self._follow(node, identities[node.name], data),
            self._tell_of_host_0,
        )

    def _walk(
        self,
        pending: dict[str, Node],
        attempt: Callable[[Node], bool | None],
        tell: Callable[[list[str], float], None],
    ) -> Outcome:
        """Attempts nodes until none is left.

        Args:
          pending: by name, every parent before its children.
          attempt: runs a node; False if it was finished, None if it must wait.
          tell: called, again and again, with the names that wait and for how many seconds now.
        """
        ran: list[str] = []
        skipped: list[str] = []
        diverged: list[str] = []
        blocked: list[str] = []
        reopened: set[str] = set()
        moved_at = time.monotonic()
        while pending:
            waiting: list[str] = []
            moved = False
            for name, node in list(pending.items()):
                if node.parent in pending:
                    continue
                if node.parent in (*diverged, *blocked):
                    kept = blocked
                else:
                    try:
                        worked = attempt(node)
                    except Diverged as error:
                        self._display.say(f"{name} diverged: {error}")
                        kept = diverged
                    except DamagedCheckpoint as error:
                        if node.parent is None or node.parent in reopened:
                            raise
                        reopened.add(node.parent)
                        pending[node.parent] = self._reopened(node.parent, error)
                        moved = True
                        continue
                    else:
                        if worked is None:
                            waiting.append(name)
                            continue
                        kept = ran if worked else skipped
                kept.append(name)
                del pending[name]
                moved = True
            if moved:
                moved_at = time.monotonic()
            else:
                tell(waiting, time.monotonic() - moved_at)
                time.sleep(POLL_SECONDS)
        return Outcome(
            ran=tuple(ran),
            skipped=tuple(skipped),
            set_aside=tuple(self._set_aside),
            diverged=tuple(diverged),
            blocked=tuple(blocked),
        )

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
                    scoring.score_missing(folder, node, data, self._engine)
                self._display.skip(node.name)
                return False
            if state.divergence is not None:
                raise state.divergence
            if changes := _changes(node, known, data):
                raise UserError(
                    f"{node.name} was not begun: since this command began, {changes[0]}; "
                    "run the same command again"
                )
            folders.require_own(self._runs, folder)
            if state.condition == "stale":
                self._put_aside(node.name, state)
            self._work(node, known, data, folder)
            return True
        finally:
            lock.release()

    def _follow(self, node: Node, known: identity.Identity, data: PreparedData) -> bool | None:
        """This host's part of a node; False if it was finished, None if host 0 hasn't begun it."""
        folder = self._folder(node.name)
        # Looked at first: what was begun before it was found unfinished is not over.
        begun = self._run_id == _holder(folder).get("run_id")
        state = inspect(folder, known.inputs)
        if state.condition == "finished":
            self._display.skip(node.name)
            return False
        if state.divergence is not None:
            raise state.divergence
        if not begun:
            return None
        if state.condition == "stale":
            raise UserError(
                f"{node.name} is another node on this host, because {state.reasons[0]}: give all "
                "hosts the same versions, and one folder of data with --data"
            )
        self._train(node, data, folder)
        self._display.finish(node)
        return True

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
            {
                "process": os.getpid(),
                "machine": provenance.machine(),
                "since": provenance.now(),
                "run_id": self._run_id,
            },
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
        folders.read_or_set_aside(folder / folders.DONE)
        path = folder / folders.PROVENANCE
        attempts = folders.read_or_set_aside(path, provenance.KINDS).get("attempts", [])
        attempt: dict[str, Any] = {"started": provenance.now()}
        folders.write_json(path, record | {"attempts": [*attempts, attempt]})
        if isinstance(node, Finetuning) and self._engine.can_score():
            scoring.discard_outdated(folder, node, data.files)
        began = time.monotonic()
        try:
            self._train(node, data, folder)
        except Diverged as error:
            ended = {"fingerprint": known.fingerprint, "divergence": dataclasses.asdict(error)}
            folders.write_json(folder / folders.DIVERGED, {"format": 1} | ended)
            holder.unlink(missing_ok=True)
            raise
        if changes := _changes(node, known, data):
            # Which of it was trained with what, nobody can tell.
            home = folders.set_aside(self._runs, profile.name, node.name, known.fingerprint)
            raise UserError(
                f"{node.name} does not count: while it ran, {changes[0]}; it is kept in {home}; "
                "run the same command again"
            )
        if self._due(node, data, folder):
            scoring.score_missing(folder, node, data, self._engine)
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

    def _due(self, node: Node, data: PreparedData, folder: Path) -> TypeGuard[Finetuning]:
        return isinstance(node, Finetuning) and scoring.needs_scoring(
            folder, node, data.files, self._engine
        )

    def _folder(self, name: str) -> Path:
        return folders.node_folder(self._runs, self._tree.profile.name, name)

    def _reopened(self, name: str, damage: DamagedCheckpoint) -> Node:
        """Has a node run again whose last checkpoint is damaged; it sets that aside itself."""
        folder = self._folder(name)
        with FileLock(folders.lock_path(folder)):
            (folder / folders.DONE).unlink(missing_ok=True)
        self._display.say(f"{name} goes on from the checkpoint before its last: {damage}")
        return self._tree.nodes[name]

    def _put_aside(self, name: str, state: NodeState) -> None:
        old = (state.recorded or {}).get("fingerprint", "unknown")
        home = folders.set_aside(self._runs, self._tree.profile.name, name, old)
        self._set_aside.append(name)
        more = f" (and {len(state.reasons) - 1} more)" if len(state.reasons) > 1 else ""
        self._display.say(
            f"{name} runs again, because {state.reasons[0]}{more}; the old one is kept in {home}"
        )

    def _tell_of_others(self, busy: list[str]) -> None:
        """Says once who holds each node that is waited for."""
        for name in busy:
            holder = _holder(self._folder(name))
            who = "process {process} on {machine}".format(**holder) if holder else "another process"
            self._say_once(f"waiting for {name}: {who} is running it")

    def _tell_of_host_0(self, waiting: list[str], seconds: float) -> None:
        """Says what host 0 has not begun, and from time to time what that may mean."""
        line, times = f"waiting for host 0 to begin {waiting[0]}", int(seconds / TELL_SECONDS)
        if times:
            line += (
                f", for {duration(times * TELL_SECONDS)} now: see whether host 0 still runs, and "
                "with the same --runs; if not, start all hosts again"
            )
        self._say_once(line)

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._display.say(line)


def _holder(folder: Path) -> Mapping[str, Any]:
    """Who runs a node; empty where nobody does, or doesn't yet say so."""
    try:
        return folders.read_json(folder / folders.HOLDER, {"process": int, "machine": str})
    except UserError:
        # Written after the lock is taken and removed before it is released.
        return {}
