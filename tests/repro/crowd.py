"""Several runners on one folder, each a process, with an engine that only writes a journal.

``python tests/repro/crowd.py RUNS NUMBER NODE``: the first process to reach NODE gets SIGKILL
in the midst of it; "" lets all live. Exits with the number of processes that failed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from untrained import FakeEngine, make_display, tiny_profile

from repro import folders, plan, runner

JOURNAL = "journal.txt"
"""In a node's folder: "begin PID" and "end PID", a line each, in the order of writing."""


class JournalEngine(FakeEngine):
    """Takes a moment for each node and writes down when it begins and ends."""

    def run(self, *args: Any, folder: Path, **rest: Any) -> None:
        is_first = not (folder / JOURNAL).exists()
        _note(folder, "begin")
        time.sleep(0.02)
        if is_first and folder.as_posix().endswith(sys.argv[3] or "none"):
            os.kill(os.getpid(), signal.SIGKILL)
        super().run(*args, folder=folder, **rest)
        _note(folder, "end")


def _note(folder: Path, event: str) -> None:
    with (folder / JOURNAL).open("a") as file:
        file.write(f"{event} {os.getpid()}\n")


def main() -> None:
    runs, number = Path(sys.argv[1]), int(sys.argv[2])
    runner.POLL_SECONDS = 0.02
    tree = plan.build(tiny_profile())
    folders.open_runs(runs, create=True)
    children = []
    for _ in range(number):
        child = os.fork()
        if not child:
            runner.Runner(tree, runs, JournalEngine(), make_display(tree)).run()
            os._exit(0)
        children.append(child)
    sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))


if __name__ == "__main__":
    main()
