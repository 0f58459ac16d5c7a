"""Kills a run at random moments until it ends, and compares the end with that of an unbroken run.

``python tests/soak/soak.py --kills 100 --seed 0``: one process pre-trains, branches at τ,
fine-tunes, scores, collects and writes the report. As each phase begins, a seeded draw decides
whether to kill the process (SIGKILL), and at which moment of the phase. It is started again until
it ends, and again from nothing until all kills are spent. Each end is compared with an unbroken
run: parameters, optimizer slots, predictions, metrics.parquet and the report, byte for byte.
"""

from __future__ import annotations

import argparse
import collections
import functools
import multiprocessing
import os
import pkgutil
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).with_name("soak.toml")
PROFILE_OPTION = ("--profile", str(PROFILE))
PHASES = {
    "beginning or ending a node": "repro.folders:write_json",
    "training": "spactor.pretraining:pretrain",
    "writing a checkpoint": "spactor.checkpoints:Checkpoints.save",
    "switching at τ": "spactor.pretraining:restore_parent",
    "fine-tuning": "spactor.finetuning:finetune",
    "decoding": "spactor.predictions:predict",
    "scoring": "spactor.scoring:score",
    "collecting": "repro.collect:collect",
    "writing records": "repro.collect:write",
    "reporting": "repro.report:write_report",
}
BETWEEN = "between these"
KILLS_PER_PHASE = 2
"""Expected in one tree; but a process gets past a phase at least every other time."""
SHORTEST_SECONDS, LONGEST_SECONDS = 0.2, 5.0
"""Moments are drawn up to here at least, since a checkpoint is on disk a while after ``save``
ends, and at most, since the unbroken run compiles and the others need not."""
SILENCE_SECONDS = 1800
PRELOADED = ("repro.cli", "repro.report", "orbax.checkpoint", "seqio", "spactor.finetuning")

# Each process is forked from one that has imported everything, so that a kill costs no import.
processes = multiprocessing.get_context("forkserver")
Listener = Callable[[Any, str, bool], None]
"""Called with the process, a phase, and whether the phase begins or ends."""


@dataclass
class Phases:
    """How often an unbroken run enters each phase, and the longest time that it takes."""

    entries: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    def draw_kill(self, phase: str, draw: random.Random) -> float | None:
        """Seconds into the phase at which to kill the process; None if it is to live."""
        chance = min(0.5, KILLS_PER_PHASE / self.entries[phase])
        longest = min(max(self.seconds[phase], SHORTEST_SECONDS), LONGEST_SECONDS)
        moment = draw.uniform(0, longest)
        return moment if draw.random() < chance else None


def work(runs: Path, events: Connection) -> None:
    """The process that is killed: everything from nothing to the report."""
    from repro import workers

    with (runs.parent / f"{runs.name}.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    for phase, target in PHASES.items():
        _report_phase(phase, target, events)
    # In this process, which is the one that is killed: a worker does the same.
    workers.Workers = lambda make, display, jobs: workers.ThisProcess(make, display)  # type: ignore
    where = ("--runs", str(runs))
    _repro("run", *PROFILE_OPTION, *where)
    _repro("collect", *PROFILE_OPTION, *where)
    # Without clock and provenance, which differ from run to run, equal records give equal pages.
    alone = runs / "soak" / "alone" / "metrics.parquet"
    alone.parent.mkdir(exist_ok=True)
    shutil.copy(runs / "soak" / "records" / "metrics.parquet", alone)
    # The page has the paths of its command, so they are relative.
    os.chdir(runs)
    _repro("report", "--from", str(alone.relative_to(runs)), *PROFILE_OPTION)


def _repro(*arguments: str) -> None:
    from repro import cli

    try:
        cli.main(arguments)
    except SystemExit as end:
        if end.code:
            raise


def _report_phase(phase: str, target: str, events: Connection) -> None:
    """Wraps a function so that it reports its begin and its end."""
    function = pkgutil.resolve_name(target)
    owner, _, name = target.replace(":", ".").rpartition(".")

    @functools.wraps(function)
    def reporting(*args: Any, **kwargs: Any) -> Any:
        events.send((phase, True))
        result = function(*args, **kwargs)
        events.send((phase, False))
        return result

    setattr(pkgutil.resolve_name(owner), name, reporting)


def attempt(runs: Path, listener: Listener) -> bool:
    """Starts the process and passes on its events; False if it was killed before its end."""
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=work, args=(runs, sender))
    process.start()
    sender.close()
    try:
        while receiver.poll(SILENCE_SECONDS):
            listener(process, *receiver.recv())
        raise SystemExit(f"{runs}: no phase began or ended for {SILENCE_SECONDS} s")
    except (EOFError, ConnectionError):
        process.join()
    finally:
        process.kill()
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{runs}: it ended by itself; see {runs}.log")
    return process.exitcode == 0


def unbroken(runs: Path) -> Phases:
    """Runs the tree without a kill."""
    phases, began = Phases(), {}

    def listen(process: Any, phase: str, begins: bool) -> None:
        if begins:
            phases.entries[phase] += 1
            began[phase] = time.monotonic()
        else:
            seconds = time.monotonic() - began[phase]
            phases.seconds[phase] = max(phases.seconds.get(phase, 0.0), seconds)

    if not attempt(runs, listen):
        raise SystemExit(f"{runs}: killed by another")
    if missing := PHASES.keys() - phases.seconds.keys():
        raise SystemExit(f"phases that were never entered: {', '.join(sorted(missing))}")
    return phases


def broken(runs: Path, phases: Phases, kills: int, draw: random.Random) -> list[str]:
    """Runs the tree to its end through at most ``kills`` kills; returns the phases they hit."""
    killed: list[str] = []
    inside: list[str] = []
    is_killed = False

    def listen(process: Any, phase: str, begins: bool) -> None:
        nonlocal is_killed
        if not begins:
            inside.remove(phase)
            return
        inside.append(phase)
        if not is_killed and len(killed) < kills:
            moment = phases.draw_kill(phase, draw)
            if moment is not None:
                is_killed = True
                time.sleep(moment)
                process.kill()

    while not attempt(runs, listen):
        killed.append(inside[-1] if inside else BETWEEN)
        inside.clear()
        is_killed = False
    return killed


def differences(first: Path, second: Path) -> list[str]:
    """What differs in two folders of runs, and nodes whose batches or parameters were not compared.

    Parameters and slots, batches, losses, predictions and scores are compared as by
    ``repro verify``; records and the report byte for byte.
    """
    from repro import comparison

    homes = [folder / "soak" for folder in (first, second)]
    found = comparison.compare_runs(*homes)
    written = [
        {path.relative_to(home): path.read_bytes() for path in home.rglob(name)}
        for home in homes
        for name in ("metrics.parquet", "report.html")
    ]
    assert all(written), "records and a report on both sides"
    unequal = [] if written[:2] == written[2:] else ["records or report"]
    return [*found.missing, *(each.line() for each in found.differences), *found.notes, *unequal]


def soak(folder: Path, kills: int, seed: int, cache: Path | None) -> None:
    """Spends the kills; ends the process with a line if anything differs."""
    from repro import folders

    start = time.monotonic()
    quiet = folders.open_runs(folder / "unbroken", create=True)
    if cache:
        shutil.copytree(cache, folders.cache_folder(quiet))
    phases = unbroken(quiet)
    draw, hits, trees = random.Random(seed), collections.Counter[str](), 0
    while hits.total() < kills:
        trees += 1
        runs = folder / f"broken-{trees}"
        runs.mkdir()
        # Preparing and compiling once more would prove nothing and take most of the time.
        shutil.copy(quiet / "spactor-runs.json", runs)
        shutil.copytree(quiet / "cache", runs / "cache")
        hits.update(broken(runs, phases, kills - hits.total(), draw))
        if found := differences(quiet, runs):
            raise SystemExit(f"seed {seed}, {runs} and {quiet}: {'; '.join(found)}")
        print(f"tree {trees}: {hits.total()} kills so far, all equal", flush=True)
        shutil.rmtree(runs)
    for phase in (*PHASES, BETWEEN):
        print(f"{hits[phase]:6} kills while {phase}")
    print(
        f"{hits.total()} kills, {trees} trees, {time.monotonic() - start:.0f} s, seed {seed}: all "
        "parameters, slots, predictions, records and reports equal"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="for the runs; by default a temporary one")
    parser.add_argument(
        "--cache", type=Path, help="with prepared data; by default they are prepared"
    )
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    processes.set_forkserver_preload([*PRELOADED])
    with tempfile.TemporaryDirectory(prefix="spactor-soak-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        soak(folder.absolute(), given.kills, given.seed, given.cache)


if __name__ == "__main__":
    sys.exit(main())
