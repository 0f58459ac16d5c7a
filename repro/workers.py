"""Runs a tree in processes of this machine, each with one thread of XLA on a CPU.

XLA's sums depend on its number of threads, so with one thread a node's numbers are the same on any
number of cores; several processes fill the cores. This process plans and shows; a worker takes a
node's lock and trains it, as `repro.runner` does without workers. The numbers are the same for any
number of workers. A worker that is killed costs the steps since its node's last checkpoint.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from repro import runner
from repro.engines.contract import Engine
from repro.engines.data import PreparedData
from repro.identity import Identity
from repro.plan import Finetuning, Node, Tree
from repro.progress import Display
from repro.runner import Outcome, Runner
from repro.spent import FINETUNING, PRETRAINING, Spent, peak_bytes
from spactor import files, numerics
from spactor.errors import DamageWarning, UserError

_processes = get_context("spawn")
_ACCELERATOR_JOBS = 1


def available_cores() -> int:
    """Cores that this process may use; all of the machine's where the system does not say."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerRunner(Runner):
    """Runs a tree in worker processes; arguments as for ``Runner``, and:

    Args:
      jobs: number of workers on a CPU; an accelerator has one.
    """

    def __init__(self, tree: Tree, runs: Path, engine: Engine, display: Display, jobs: int) -> None:
        super().__init__(tree, runs, engine, display)
        self._jobs = jobs
        self._one_thread = True
        self._workers: list[_Worker] = []
        self._killed: set[str] = set()
        self._spent = Spent()

    def run(self, only: Sequence[str] = ()) -> Outcome:
        """Runs every node that is not finished; arguments and errors as for ``Runner``."""
        try:
            return super().run(only)
        finally:
            for worker in self._workers:
                worker.end()

    def environment(self) -> Mapping[str, Any]:
        """What the numbers depend on in a worker, which alone starts JAX."""
        worker = self._free_worker()
        assert worker is not None
        worker.begin("environment")
        while worker in self._busy():
            self._receive(None)
        found: Mapping[str, Any] = worker.result()
        self._fit(found)
        return found

    def _fit(self, environment: Mapping[str, Any]) -> None:
        """Limits workers to one thread on a CPU alone, and to one worker elsewhere."""
        self._one_thread = str(environment["device"]).startswith("cpu")
        if not self._one_thread:
            self._jobs = _ACCELERATOR_JOBS
            while self._workers:
                self._workers.pop().end()

    def _run_nodes(
        self, pending: dict[str, Node], identities: Mapping[str, Identity], data: PreparedData
    ) -> Outcome:
        self._fit(next(iter(identities.values())).inputs["environment"])
        if self._jobs > 1:
            pending = _in_order(pending, self._display.weights)
        self._display.jobs = self._jobs
        began = time.monotonic()
        waiting: set[str] = set()  # Held by other processes when last attempted.
        polled_at = time.monotonic()
        while pending:
            for name, node in list(pending.items()):
                if node.parent in pending or name in waiting or name in self._names():
                    continue
                if self._is_blocked(node) or self.skip(node, identities[name], data):
                    self._settle(name, pending, lambda: False)
                elif (worker := self._free_worker()) is None:
                    break
                else:
                    worker.begin("attempt", name, identities[name], data)
            for worker in self._receive(runner.POLL_SECONDS):
                name = worker.name
                if self._settle(name, pending, worker.result):
                    waiting.clear()
                else:
                    waiting.add(name)
            if time.monotonic() - polled_at > runner.POLL_SECONDS:
                polled_at = time.monotonic()
                if not self._busy():
                    self._report_holders(sorted(waiting))
                waiting.clear()
        if self._spent.seconds:
            for line in self._spent.lines(time.monotonic() - began, self._jobs):
                self._display.print(line)
        return self._ended()

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.is_busy]

    def _names(self) -> set[str]:
        return {worker.name for worker in self._busy()}

    def _free_worker(self) -> _Worker | None:
        """An idle worker, if need be a new one; None if there are as many as jobs."""
        for worker in self._workers:
            if not worker.is_busy:
                return worker
        if len(self._workers) == self._jobs:
            return None
        worker = _Worker(self._one_thread, (self._tree, self._runs, self._engine))
        self._workers.append(worker)
        return worker

    def _receive(self, seconds: float | None) -> list[_Worker]:
        """Shows what workers report; returns those whose task ended, or was ended by a kill."""
        busy = {worker.pipe: worker for worker in self._busy()}
        if not busy:
            time.sleep(seconds or 0.0)
        ended = []
        for pipe in connection.wait(busy, seconds) if busy else ():
            worker = busy[pipe]  # type: ignore[index]
            try:
                kind, *values = worker.pipe.recv()
            except (EOFError, ConnectionError):
                self._replace(worker)
                continue
            if kind == "ended":
                worker.take(*values)
                ended.append(worker)
            elif kind == "warn":
                warnings.warn(values[0], DamageWarning, stacklevel=1)
            elif kind == "set_aside":
                self._outcome["set_aside"] += values
            elif kind == "spent":
                self._spent.add(*values)
            else:
                getattr(self._display, kind)(*values)
        for worker in ended:
            self._display.stop(worker.name)
        return ended

    def _replace(self, worker: _Worker) -> None:
        """Removes a worker that was killed; its node stays pending.

        Raises:
          UserError: that happened to the same node before.
        """
        self._workers.remove(worker)
        worker.end()
        how = f"its process ended by itself ({_ending(worker.process.exitcode)})"
        self._display.stop(worker.name)
        if worker.name in self._killed or not worker.name:
            raise UserError(
                f"{worker.name or 'a worker'}: {how}, again: look at what the system has logged, "
                "free some memory or give fewer --jobs, then run the same command"
            )
        self._killed.add(worker.name)
        self._display.print(f"{worker.name}: {how}; another continues from its last checkpoint")


def _ending(code: int | None) -> str:
    """How a process ended, from its exit code.

    >>> _ending(-9), _ending(1)
    ('SIGKILL', 'exit code 1')
    """
    return signal.Signals(-code).name if code and code < 0 else f"exit code {code}"


def _in_order(nodes: Mapping[str, Node], weights: Mapping[str, float]) -> dict[str, Node]:
    """Seed by seed, so that a study that is cut short has whole seeds; the longest chain first."""
    chains = _chains(nodes, weights)
    return dict(sorted(nodes.items(), key=lambda item: (item[1].seed, -chains[item[0]])))


def _chains(nodes: Mapping[str, Node], weights: Mapping[str, float]) -> dict[str, float]:
    """The work of the longest chain of nodes that begins with each, the node's own included."""
    below: dict[str | None, float] = {}
    chains: dict[str, float] = {}
    for name, node in reversed(list(nodes.items())):
        chains[name] = weights[name] + below.get(name, 0.0)
        below[node.parent] = max(below.get(node.parent, 0.0), chains[name])
    return chains


class _Worker:
    """A process that runs nodes, one after the other."""

    def __init__(self, one_thread: bool, study: tuple[Tree, Path, Engine]) -> None:
        self.pipe, theirs = _processes.Pipe()
        self.process = _processes.Process(target=_work, args=(theirs, one_thread), daemon=True)
        with _interrupts_ignored():
            self.process.start()
        theirs.close()
        self.name = ""
        self.is_busy = False
        self._value: Any = None
        self.pipe.send(study)

    def begin(self, task: str, name: str = "", *arguments: Any) -> None:
        """Starts a task of ``_Tasks``, on the node of a name."""
        self.name, self.is_busy = name, True
        self.pipe.send((task, *([name] if name else []), *arguments))

    def take(self, value: Any) -> None:
        """Takes the task's value, or the exception that it raised."""
        self._value, self.is_busy = value, False

    def result(self) -> Any:
        """Returns the last task's value, or raises its exception."""
        if isinstance(self._value, BaseException):
            raise self._value
        return self._value

    def end(self) -> None:
        """Kills the process, at whatever step: the node continues from its last checkpoint."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process started meanwhile ignores ctrl-C, which a terminal sends to all processes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(pipe: Connection, one_thread: bool) -> None:
    """The worker's process: runs tasks until it is killed, or the process that started it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pinned = numerics.environment(os.environ) | dict(numerics.ONE_THREAD if one_thread else {})
    os.environ.clear()
    os.environ.update(pinned)
    reporter = _Reporter(pipe)
    warnings.showwarning = reporter.warn  # type: ignore[assignment]
    tree, runs, engine = pipe.recv()
    worked = Runner(tree, runs, engine, reporter)  # type: ignore[arg-type]
    while True:
        try:
            task, *arguments = pipe.recv()
        except EOFError:
            os._exit(0)
        value: Any
        began = time.monotonic()
        try:
            if task == "environment":
                value = worked.environment()
            else:
                name, known, data = arguments
                value = worked.attempt(tree.nodes[name], known, data)
        except Exception as error:
            value = _portable(error)
        for name in worked.take_set_aside():
            reporter.report("set_aside", name)
        within = engine.take_spent()
        if task != "environment":
            activity = FINETUNING if isinstance(tree.nodes[name], Finetuning) else PRETRAINING
            seconds = time.monotonic() - began
            reporter.report("spent", activity, seconds, within, os.getpid(), peak_bytes())
        reporter.report("ended", value)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """An exception that can be sent to another process; a bug's with its traceback as text."""
    if isinstance(error, UserError | ImportError):
        return error
    if fault := files.system_fault(error):
        return UserError(f"{fault}: fix that, then run the same command again")
    # Not every exception survives being sent.
    return RuntimeError(f"in a worker:\n{traceback.format_exc()}")


class _Reporter:
    """Stands for the display in a worker, and sends what it is given."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def report(self, kind: str, *values: Any) -> None:
        """Sends a message; threads of a worker may warn at the same time."""
        with self._lock:
            self._pipe.send((kind, *values))

    def warn(self, message: Warning | str, category: type[Warning], *rest: Any) -> None:
        """Sends a warning of damage; other warnings are for developers."""
        if issubclass(category, DamageWarning):
            self.report("warn", str(message))

    def print(self, line: str) -> None:
        """As the display's."""
        self.report("print", line)

    def skip(self, name: str) -> None:
        """As the display's."""
        self.report("skip", name)

    def start(self, name: str) -> Callable[..., None]:
        """As the display's."""
        self.report("start", name)
        return functools.partial(self.report, "observe", name)

    def finish(self, name: str) -> None:
        """As the display's."""
        self.report("finish", name)
