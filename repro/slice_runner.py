"""Runner of a tree on hosts other than host 0, if several hosts train each node together.

Host 0 runs ``repro.runner``: it opens the folder, prepares the data, holds the locks and writes the
files of each node. Every other host waits until host 0 begins a node, and then runs the engine.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from repro import folders
from repro.costs import duration
from repro.engines.data import PreparedData
from repro.identity import Identity
from repro.node_state import inspect, read_holder
from repro.plan import Node
from repro.runner import NodeRunner, Outcome, Runner
from spactor.errors import UserError

REPORT_SECONDS = 600.0
"""Period of the reminder that host 0 has not begun a node."""


class _Follower(NodeRunner):
    """Trains nodes that host 0 has begun."""

    def attempt(
        self, node: Node, known: Identity, data: PreparedData, run_id: str
    ) -> tuple[str, ...]:
        """Trains a node that host 0 has begun.

        Args:
          node, known, data, run_id: see ``NodeRunner.attempt``.

        Returns:
          Attributes of `Outcome` that the node belongs to; () if host 0 has not begun it.
        """
        folder = self.folder(node.name)
        # Read before the state, so that a node that had begun and is then unfinished still runs.
        begun = run_id == read_holder(folder).get("run_id")
        state = inspect(folder, known.inputs)
        if state.condition == "finished":
            self._display.skip(node.name)
            return ("skipped",)
        if state.divergence is not None:
            raise state.divergence
        if not begun:
            return ()
        if state.condition == "stale":
            raise UserError(
                f"{node.name} is another node on this host, because {state.reasons[0]}: install "
                "the same versions on all hosts, and name one folder of data with --data"
            )
        self._engine.run(self.work(node, data), self._display.start(node.name))
        self._display.finish(node.name)
        return ("ran",)


class SliceRunner(Runner):
    """Runs nodes of a tree on a host other than host 0; see ``Runner`` for the arguments."""

    _node_runner = _Follower

    def run(self, only: Sequence[str] = ()) -> Outcome:
        """Trains every node that host 0 runs; returns when all are finished.

        Args:
          only: names of nodes, the same as on host 0.

        Raises:
          UserError: a node can't be trained, or this host has other data or versions than host 0.
        """
        run_id = self._engine.barrier(self._display.print)
        folders.open_runs(self._runs, create=False)
        data, identities = self._prepare()
        pending = {name: self._tree.nodes[name] for name in only or self._tree.nodes}
        return self._walk(pending, identities, data, run_id)

    def _report_waiting(self, names: Sequence[str]) -> None:
        """Prints which node host 0 has not begun, and periodically advice."""
        line = f"waiting for host 0 to begin {names[0]}"
        times = int((time.monotonic() - self._moved_at) / REPORT_SECONDS)
        if times:
            line += (
                f", for {duration(times * REPORT_SECONDS)} now: check whether host 0 still runs, "
                "with the same --runs; if not, start all hosts again"
            )
        self._print_once(line)
