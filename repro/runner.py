"""Runner of a tree: trains every node that is not finished, parents first.

A node is finished if its ``done.json`` has its fingerprint. A node with a changed input is stale:
its folder is moved out of the tree, and the node runs again, as do all its descendants. Several
runners may share a folder: each node has a lock, and a runner trains a node that has a finished
parent and is not locked. A killed runner loses only the steps since the last checkpoint.

`Runner` selects the nodes. `NodeRunner` runs one node, in this process or in a worker process
(`repro.workers`).
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from filelock import FileLock, Timeout

from repro import costs, folders, identity, scoring, workers
from repro.engines.contract import Engine, Work
from repro.engines.data import PreparedData
from repro.identity import Identity
from repro.node_state import DESCRIPTIONS, NodeState, inspect, read_holder, recorded_attempt
from repro.plan import Finetuning, Node, Tree
from repro.progress import Display
from repro.specs import Profile
from spactor.errors import DamagedCheckpoint, Diverged, UserError

POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Names of the nodes of a run, by outcome.

    ``blocked`` nodes could not run, since an ancestor ``diverged``.
    """

    ran: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    diverged: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


class NodeRunner:
    """Runs nodes of a profile, each under its lock.

    Args:
      profile: profile of the nodes.
      runs: an opened folder of runs, which the profile's engine has claimed.
      engine: engine that trains the nodes.
      display: display of the progress.
    """

    def __init__(self, profile: Profile, runs: Path, engine: Engine, display: Display) -> None:
        self._profile = profile
        self._runs = runs
        self._engine = engine
        self._display = display

    def environment(self) -> Mapping[str, Any]:
        """Returns the environment that numbers of this process depend on."""
        return identity.environment(self._engine.device())

    def take_spent(self) -> Mapping[str, float]:
        """Returns the seconds since the last call, by activity."""
        return self._engine.take_spent()

    def folder(self, name: str) -> Path:
        """Returns the folder of a node."""
        return folders.node_folder(self._runs, self._profile.name, name)

    def work(self, node: Node, data: PreparedData) -> Work:
        """Returns the work on a node for its engine."""
        return Work(
            profile=self._profile,
            node=node,
            data=data,
            folder=self.folder(node.name),
            parent=self.folder(node.parent) if node.parent else None,
        )

    def skip(self, node: Node, known: Identity, data: PreparedData) -> bool:
        """Returns whether a node is finished and scored, and if so removes it from the display."""
        folder = self.folder(node.name)
        finished = inspect(folder, known.inputs).condition == "finished"
        if finished and not self._needs_scores(node, data, folder):
            self._display.skip(node.name)
            return True
        return False

    def attempt(
        self, node: Node, known: Identity, data: PreparedData, run_id: str
    ) -> tuple[str, ...]:
        """Runs a node unless it is finished.

        Args:
          node: a node with a finished parent, or without a parent.
          known: identity of the node.
          data: prepared data of the profile.
          run_id: run id of the hosts, see `Engine.barrier`.

        Returns:
          Attributes of `Outcome` that the node belongs to; () if another process has locked it.
        """
        if self.skip(node, known, data):
            return ("skipped",)
        folder = self.folder(node.name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folders.lock_path(folder))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return ()
        try:
            return self._run(node, known, data, run_id)
        finally:
            lock.release()

    def _run(self, node: Node, known: Identity, data: PreparedData, run_id: str) -> tuple[str, ...]:
        """Trains a locked node from its last checkpoint to its end."""
        folder = self.folder(node.name)
        state = inspect(folder, known.inputs)
        if state.condition == "finished":
            if self._needs_scores(node, data, folder):
                scoring.score_missing(folder, node, data, self._engine)
            self._display.skip(node.name)
            return ("skipped",)
        if state.divergence is not None:
            raise state.divergence
        if changes := _changes_on_disk(node, known, data):
            raise UserError(
                f"{node.name} was not begun: since the start of this command, {changes[0]}; "
                "run the same command again"
            )
        folders.require_own(self._runs, folder)
        folders.require_environment(self._runs, self._profile.name, self.environment())
        is_stale = state.condition == "stale"
        if is_stale:
            self._set_aside(node.name, state)
        work = self.work(node, data)
        with recorded_attempt(work, known, self._engine, run_id):
            if isinstance(node, Finetuning) and self._engine.can_score():
                scoring.discard_outdated(folder, node, data.files)
            self._engine.run(work, self._display.start(node.name))
            if changes := _changes_on_disk(node, known, data):
                # It is unknown which version trained which steps.
                name, fingerprint = self._profile.name, known.fingerprint
                home = folders.set_aside(self._runs, name, node.name, fingerprint)
                raise UserError(
                    f"{node.name} was discarded: while it ran, {changes[0]}; it was moved to "
                    f"{home}; run the same command again"
                )
            if self._needs_scores(node, data, folder):
                scoring.score_missing(folder, node, data, self._engine)
        self._display.finish(node.name)
        return ("ran", "set_aside") if is_stale else ("ran",)

    def _needs_scores(self, node: Node, data: PreparedData, folder: Path) -> TypeGuard[Finetuning]:
        return isinstance(node, Finetuning) and scoring.needs_scoring(
            folder, node, data.files, self._engine
        )

    def _set_aside(self, name: str, state: NodeState) -> None:
        old = (state.recorded or {}).get("fingerprint", "unknown")
        home = folders.set_aside(self._runs, self._profile.name, name, old)
        more = f" (and {len(state.reasons) - 1} more)" if len(state.reasons) > 1 else ""
        self._display.print(
            f"{name} runs again, because {state.reasons[0]}{more}; the old run was moved to {home}"
        )


class Runner:
    """Runs nodes of a tree, each after its parent.

    Args:
      tree: the tree.
      runs: an opened folder of runs.
      engine: engine that trains the nodes.
      display: display of the progress.
      jobs: number of worker processes on a CPU; by default this process runs the nodes.
    """

    _node_runner: type[NodeRunner] = NodeRunner

    def __init__(
        self, tree: Tree, runs: Path, engine: Engine, display: Display, jobs: int = 0
    ) -> None:
        self._tree = tree
        self._runs = runs
        self._engine = engine
        self._display = display
        make = functools.partial(self._node_runner, tree.profile, runs, engine)
        self._nodes = make(display)
        self._workers: workers.Workers | workers.ThisProcess = (
            workers.Workers(make, display, jobs) if jobs else workers.ThisProcess(make, display)
        )
        self._outcome: dict[str, list[str]] = defaultdict(list)  # by attribute of Outcome
        self._moved_at = time.monotonic()  # when an attempt last settled a node
        self._printed: set[str] = set()
        self._reopened: set[str] = set()

    def run(self, only: Sequence[str] = ()) -> Outcome:
        """Runs every node that is not finished; returns when all are finished.

        Args:
          only: names of nodes to run, in the tree's order; by default all. Other parents must be
            finished.

        Raises:
          UserError: a node can't be trained, or the folder belongs to the other engine. Finished
            nodes stay finished.
          KeyboardInterrupt: the run was interrupted; the same call continues it.
        """
        try:
            folders.claim(self._runs, self._tree.profile.name, self._tree.profile.engine)
            data, identities = self._prepare()
            pending = {name: self._tree.nodes[name] for name in only or self._tree.nodes}
            for node in pending.values():
                if node.parent is not None and node.parent not in pending:
                    self._require_finished(node.parent, identities[node.parent], node.name)
            run_id = self._engine.barrier(self._display.print)
            return self._walk(pending, identities, data, run_id)
        finally:
            self._workers.end()

    def _prepare(self) -> tuple[PreparedData, Mapping[str, Identity]]:
        profile = self._tree.profile
        data = self._engine.prepare(profile, self._display.print)
        here = functools.partial(self._workers.call, "environment")
        environment = folders.claim_environment(self._runs, profile.name, here)
        self._workers.fit(str(environment["device"]))
        return data, identity.identities(self._tree, data.files, environment)

    def _require_finished(self, parent: str, known: Identity, child: str) -> None:
        condition = inspect(self._nodes.folder(parent), known.inputs).condition
        if condition != "finished":
            raise UserError(
                f"{child} starts from {parent}, which is {DESCRIPTIONS[condition]}: "
                f"run the parent first, with --node {parent}"
            )

    def _walk(
        self,
        pending: dict[str, Node],
        identities: Mapping[str, Identity],
        data: PreparedData,
        run_id: str,
    ) -> Outcome:
        """Attempts pending nodes, parents before their children, until none is left."""
        self._display.jobs = self._workers.jobs
        if self._workers.jobs > 1:
            pending = in_order(pending, self._display.weights)
        waiting: set[str] = set()  # locked by other processes when last attempted
        self._moved_at = polled_at = time.monotonic()
        while pending:
            busy = self._workers.busy()
            for name, node in list(pending.items()):
                if node.parent in pending or name in waiting or name in busy:
                    continue
                if node.parent in (*self._outcome["diverged"], *self._outcome["blocked"]):
                    self._settle(name, pending, lambda: ("blocked",))
                elif self._nodes.skip(node, identities[name], data):
                    self._settle(name, pending, lambda: ("skipped",))
                elif not self._workers.begin(name, "attempt", node, identities[name], data, run_id):
                    break
            for name, result in self._workers.receive(POLL_SECONDS if pending else 0.0):
                if self._settle(name, pending, result):
                    waiting.clear()
                    self._moved_at = time.monotonic()
                else:
                    waiting.add(name)
            if time.monotonic() - polled_at > POLL_SECONDS:
                polled_at = time.monotonic()
                if waiting and not self._workers.busy():
                    self._report_waiting([name for name in pending if name in waiting])
                waiting.clear()
        for line in self._workers.spent():
            self._display.print(line)
        return Outcome(**{field: tuple(names) for field, names in self._outcome.items()})

    def _settle(
        self, name: str, pending: dict[str, Node], result: Callable[[], tuple[str, ...]]
    ) -> bool:
        """Processes the result of an attempt; returns False if the node must wait.

        Args:
          name: name of a pending node with a parent that is not pending.
          pending: pending nodes by name; the node is removed.
          result: function that returns the attempt's result, or raises its exception.
        """
        parent = pending[name].parent
        try:
            outcome = result()
        except Diverged as error:
            self._display.print(f"{name} diverged: {error}")
            outcome = ("diverged",)
        except DamagedCheckpoint as error:
            if parent is None or parent in self._reopened:
                raise
            self._reopened.add(parent)
            pending[parent] = self._reopen(parent, error)
            return True
        if outcome:
            del pending[name]
        for attribute in outcome:
            self._outcome[attribute].append(name)
        return bool(outcome)

    def _reopen(self, name: str, damage: DamagedCheckpoint) -> Node:
        """Marks a node with a damaged last checkpoint as unfinished; returns the node."""
        folder = self._nodes.folder(name)
        with FileLock(folders.lock_path(folder)):
            (folder / folders.DONE).unlink(missing_ok=True)
        self._display.print(f"{name} continues from the checkpoint before its last: {damage}")
        return self._tree.nodes[name]

    def _report_waiting(self, names: Sequence[str]) -> None:
        """Prints, once for each node that waits, which process has locked it."""
        for name in names:
            holder = read_holder(self._nodes.folder(name))
            who = "process {process} on {machine}".format(**holder) if holder else "another process"
            self._print_once(f"waiting for {name}: {who} is running it")

    def _print_once(self, line: str) -> None:
        if line not in self._printed:
            self._printed.add(line)
            self._display.print(line)


def in_order(nodes: Mapping[str, Node], weights: Mapping[str, float]) -> dict[str, Node]:
    """Sorts nodes by seed, so that an interrupted study has whole seeds, then by longest chain."""
    chains = costs.chains(nodes, weights)
    return dict(sorted(nodes.items(), key=lambda item: (item[1].seed, -chains[item[0]])))


def _changes_on_disk(node: Node, known: Identity, data: PreparedData) -> list[str]:
    """Lists changes on disk since a node's identity was computed: code, versions, data."""
    damage = data.damage(known.inputs["data"])
    return identity.changes_since(known, node) + ([damage] if damage else [])
