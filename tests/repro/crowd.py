"""Several runners on one folder, each a process, with an engine that only keeps a journal.

``python tests/repro/crowd.py RUNS NUMBER NODE``: the first process to reach NODE gets SIGKILL in
the midst of it; "" lets all live. Exits with the number of processes that did not end well.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from untrained import FakeEngine, make_display, tiny_profile

from repro import folders, plan, runner
from repro.engines.data import PreparedData
from repro.plan import Node
from repro.specs import Profile

JOURNAL = "journal.txt"
"""In a node's folder: "begin PID" and "end PID", a line each, in the order of writing."""


class JournalEngine(FakeEngine):
    """Takes a moment for each node and writes down when it begins and ends."""

    def __init__(self, victim: str) -> None:
        super().__init__()
        self._victim = victim

    def run(
        self,
        profile: Profile,
        node: Node,
        *,
        data: PreparedData,
        folder: Path,
        parent: Path | None,
        observer: Callable[..., None],
    ) -> None:
        journal = folder / JOURNAL
        first = not journal.exists()
        _note(journal, "begin")
        time.sleep(0.02)
        if first and node.name == self._victim:
            os.kill(os.getpid(), signal.SIGKILL)
        super().run(profile, node, data=data, folder=folder, parent=parent, observer=observer)
        _note(journal, "end")


def _note(path: Path, what: str) -> None:
    with path.open("a") as file:
        file.write(f"{what} {os.getpid()}\n")


def main() -> None:
    runs, number, victim = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    runner.POLL_SECONDS = 0.02
    tree = plan.build(tiny_profile())
    folders.open_runs(runs, create=True)
    children = []
    for _ in range(number):
        child = os.fork()
        if not child:
            runner.Runner(tree, runs, JournalEngine(victim), make_display(tree)).run()
            os._exit(0)
        children.append(child)
    sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))


if __name__ == "__main__":
    main()
