"""Runs a tree on this machine: every node that is not finished, parents first.

A node is finished when its ``done.json`` has its fingerprint. A node whose inputs changed is
stale: its folder is moved out of the tree and the node runs again, as do all nodes below it.
Several runners may share a folder: each node has a lock, and a runner takes a node that is ready
and free. A killed runner loses nothing but the steps since the last checkpoint.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from filelock import FileLock, Timeout
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from analysis.schema.nodes import TrainedNode
from repro import folders, identity, provenance, scoring
from repro.engines.contract import Engine, Work
from repro.engines.data import PreparedData
from repro.node_state import DESCRIPTIONS, NodeState, inspect
from repro.plan import Finetuning, Node, Tree
from repro.progress import Display
from spactor.errors import DamagedCheckpoint, Diverged, UserError

POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Names of the nodes of a run of the tree, by what became of them.

    ``blocked`` nodes could not run, being below one that ``diverged``.
    """

    ran: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    diverged: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


class Holder(TypedDict):
    """``holder.json``: the process that works on a node."""

    process: int
    machine: str


class Runner:
    """Runs a tree in a folder of runs, on this machine.

    Args:
      tree: what to run.
      runs: an opened runs folder.
      engine: trains the nodes.
      display: shows the progress.
    """

    def __init__(self, tree: Tree, runs: Path, engine: Engine, display: Display) -> None:
        self._tree = tree
        self._runs = runs
        self._engine = engine
        self._display = display
        self._run_id = ""
        self._printed: set[str] = set()
        self._outcome: dict[str, list[str]] = defaultdict(list)  # by field of Outcome
        self._reopened: set[str] = set()

    def run(self, only: Sequence[str] = ()) -> Outcome:
        """Runs every node that is not finished; returns when the whole tree is.

        Args:
          only: names of nodes, in the tree's order; their parents are among them or finished.

        Raises:
          UserError: a mistake of the user, or the folder belongs to the other engine; finished
            nodes stay finished.
          KeyboardInterrupt: when stopped; the same call continues.
        """
        folders.claim(self._runs, self._tree.profile.name, self._tree.profile.engine)
        data, identities = self._prepare()
        pending = {name: self._tree.nodes[name] for name in only or self._tree.nodes}
        for node in pending.values():
            if node.parent is not None and node.parent not in pending:
                self._require_finished(node.parent, identities[node.parent], node.name)
        self._run_id = self._engine.barrier(self._display.print)
        return self._run_nodes(pending, identities, data)

    def _run_nodes(
        self,
        pending: dict[str, Node],
        identities: Mapping[str, identity.Identity],
        data: PreparedData,
    ) -> Outcome:
        """Runs nodes, by name, every parent before its children."""
        return self._walk(
            pending,
            lambda node: self.attempt(node, identities[node.name], data),
            lambda names, seconds: self._report_holders(names),
        )

    def environment(self) -> Mapping[str, Any]:
        """What the numbers depend on where the nodes train."""
        return identity.environment(self._engine.device())

    def _walk(
        self,
        pending: dict[str, Node],
        attempt: Callable[[Node], bool | None],
        report_waiting: Callable[[list[str], float], None],
    ) -> Outcome:
        """Attempts nodes, one at a time, until none is left.

        Args:
          pending: by name, every parent before its children.
          attempt: runs a node; returns False if it was finished, None if it must wait.
          report_waiting: called at each poll with the names of waiting nodes and the seconds since
            a node last ran.
        """
        moved_at = time.monotonic()
        while pending:
            waiting: list[str] = []
            moved = False
            for name, node in list(pending.items()):
                if node.parent in pending:
                    continue
                if self._settle(name, pending, functools.partial(attempt, node)):
                    moved = True
                else:
                    waiting.append(name)
            if moved:
                moved_at = time.monotonic()
            else:
                report_waiting(waiting, time.monotonic() - moved_at)
                time.sleep(POLL_SECONDS)
        return self._ended()

    def _settle(
        self, name: str, pending: dict[str, Node], result: Callable[[], bool | None]
    ) -> bool:
        """Takes a node whose attempt ended out of the pending ones; False if it must wait.

        Args:
          name: of a pending node whose parent is not pending.
          pending: by name.
          result: the attempt's; raises what the attempt raised. Not called below one that diverged.
        """
        outcome = self._outcome
        parent = pending[name].parent
        try:
            if self._is_blocked(pending[name]):
                outcome["blocked"].append(name)
            elif (worked := result()) is None:
                return False
            else:
                outcome["ran" if worked else "skipped"].append(name)
        except Diverged as error:
            self._display.print(f"{name} diverged: {error}")
            outcome["diverged"].append(name)
        except DamagedCheckpoint as error:
            if parent is None or parent in self._reopened:
                raise
            self._reopened.add(parent)
            pending[parent] = self._reopen(parent, error)
            return True
        del pending[name]
        return True

    def _is_blocked(self, node: Node) -> bool:
        return node.parent in (*self._outcome["diverged"], *self._outcome["blocked"])

    def take_set_aside(self) -> list[str]:
        """Removes the names of nodes that were set aside from the outcome, and returns them."""
        return self._outcome.pop("set_aside", [])

    def _ended(self) -> Outcome:
        return Outcome(**{field: tuple(names) for field, names in self._outcome.items()})

    def _prepare(self) -> tuple[PreparedData, Mapping[str, identity.Identity]]:
        profile = self._tree.profile
        data = self._engine.prepare(profile, self._display.print)
        environment = folders.claim_environment(self._runs, profile.name, self.environment)
        return data, identity.identities(self._tree, data.files, environment)

    def _require_finished(self, parent: str, known: identity.Identity, child: str) -> None:
        condition = inspect(self._folder(parent), known.inputs).condition
        if condition != "finished":
            raise UserError(
                f"{child} starts from {parent}, which is {DESCRIPTIONS[condition]}: "
                f"run that first, with --node {parent}"
            )

    def skip(self, node: Node, known: identity.Identity, data: PreparedData) -> bool:
        """Counts a node that is finished and scored; False if it is not."""
        folder = self._folder(node.name)
        finished = inspect(folder, known.inputs).condition == "finished"
        if finished and not self._needs_scores(node, data, folder):
            self._display.skip(node.name)
            return True
        return False

    def attempt(self, node: Node, known: identity.Identity, data: PreparedData) -> bool | None:
        """Runs a node unless it is finished; False if it was, None if another process has it."""
        if self.skip(node, known, data):
            return False
        folder = self._folder(node.name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folders.lock_path(folder))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return None
        try:
            state = inspect(folder, known.inputs)
            if state.condition == "finished":
                if self._needs_scores(node, data, folder):
                    scoring.score_missing(folder, node, data, self._engine)
                self._display.skip(node.name)
                return False
            if state.divergence is not None:
                raise state.divergence
            if changes := _changes_on_disk(node, known, data):
                raise UserError(
                    f"{node.name} was not begun: since this command began, {changes[0]}; "
                    "run the same command again"
                )
            folders.require_own(self._runs, folder)
            folders.require_environment(self._runs, self._tree.profile.name, self.environment())
            if state.condition == "stale":
                self._set_aside(node.name, state)
            self._run(node, known, data, folder)
            return True
        finally:
            lock.release()

    def _run(self, node: Node, known: identity.Identity, data: PreparedData, folder: Path) -> None:
        """Trains a node from its last checkpoint to its end, and writes the files about it."""
        folder.mkdir(parents=True, exist_ok=True)
        written = {"name": node.name, "inputs": dict(known.inputs)}
        ended = {"format": 1, "fingerprint": known.fingerprint}
        folders.write_json(folder / folders.NODE, ended | written)
        holder = folder / folders.HOLDER
        mine = Holder(process=os.getpid(), machine=provenance.machine())
        since = {"since": provenance.now(), "run_id": self._run_id}
        folders.write_json(holder, {**mine, **since})
        work = self._work_of(node, data)
        record = provenance.describe(work, known, self._engine)
        folders.read_or_set_aside(folder / folders.DONE)
        path = folder / folders.PROVENANCE
        attempts = folders.read_or_set_aside(path, TrainedNode).get("attempts", [])
        attempt: dict[str, Any] = {"started": provenance.now()}
        folders.write_json(path, record | {"attempts": [*attempts, attempt]})
        if isinstance(node, Finetuning) and self._engine.can_score():
            scoring.discard_outdated(folder, node, data.files)
        began = time.monotonic()
        try:
            self._train(work)
        except Diverged as error:
            divergence = {"divergence": dataclasses.asdict(error)}
            folders.write_json(folder / folders.DIVERGED, ended | divergence)
            holder.unlink(missing_ok=True)
            raise
        if changes := _changes_on_disk(node, known, data):
            # Which steps were trained with which version cannot be known any more.
            home = folders.set_aside(
                self._runs, self._tree.profile.name, node.name, known.fingerprint
            )
            raise UserError(
                f"{node.name} does not count: while it ran, {changes[0]}; it was moved to {home}; "
                "run the same command again"
            )
        if self._needs_scores(node, data, folder):
            scoring.score_missing(folder, node, data, self._engine)
        attempt |= {"ended": provenance.now(), "seconds": round(time.monotonic() - began, 3)}
        folders.write_json(path, record | {"attempts": [*attempts, attempt]})
        folders.write_json(folder / folders.DONE, ended)
        holder.unlink(missing_ok=True)
        self._display.finish(node.name)

    def _work_of(self, node: Node, data: PreparedData) -> Work:
        return Work(
            profile=self._tree.profile,
            node=node,
            data=data,
            folder=self._folder(node.name),
            parent=self._folder(node.parent) if node.parent else None,
        )

    def _train(self, work: Work) -> None:
        self._engine.run(work, self._display.start(work.node.name))

    def _needs_scores(self, node: Node, data: PreparedData, folder: Path) -> TypeGuard[Finetuning]:
        return isinstance(node, Finetuning) and scoring.needs_scoring(
            folder, node, data.files, self._engine
        )

    def _folder(self, name: str) -> Path:
        return folders.node_folder(self._runs, self._tree.profile.name, name)

    def _reopen(self, name: str, damage: DamagedCheckpoint) -> Node:
        """Makes a node with a damaged last checkpoint run again, from the checkpoint before."""
        folder = self._folder(name)
        with FileLock(folders.lock_path(folder)):
            (folder / folders.DONE).unlink(missing_ok=True)
        self._display.print(f"{name} continues from the checkpoint before its last: {damage}")
        return self._tree.nodes[name]

    def _set_aside(self, name: str, state: NodeState) -> None:
        old = (state.recorded or {}).get("fingerprint", "unknown")
        home = folders.set_aside(self._runs, self._tree.profile.name, name, old)
        self._outcome["set_aside"].append(name)
        more = f" (and {len(state.reasons) - 1} more)" if len(state.reasons) > 1 else ""
        self._display.print(
            f"{name} runs again, because {state.reasons[0]}{more}; the old run was moved to {home}"
        )

    def _report_holders(self, names: list[str]) -> None:
        """Prints, once for each waiting node, which process holds it."""
        for name in names:
            holder = read_holder(self._folder(name))
            who = "process {process} on {machine}".format(**holder) if holder else "another process"
            self._print_once(f"waiting for {name}: {who} is running it")

    def _print_once(self, line: str) -> None:
        if line not in self._printed:
            self._printed.add(line)
            self._display.print(line)


def _changes_on_disk(node: Node, known: identity.Identity, data: PreparedData) -> list[str]:
    """Inputs of a node that differ on disk, by now, from its identity: code, versions, data."""
    damage = data.damage(known.inputs["data"])
    return identity.changes_since(known, node) + ([damage] if damage else [])


def read_holder(folder: Path) -> Mapping[str, Any]:
    """The process that runs a node; empty if there is none, or before it wrote its file."""
    try:
        return folders.read_json(folder / folders.HOLDER, Holder)
    except UserError:
        # Written after the lock is taken and removed before it is released.
        return {}
