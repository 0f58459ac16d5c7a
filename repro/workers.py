"""Worker processes, each of which holds an object and calls its methods.

On a CPU a worker has one thread of XLA. XLA's sums depend on its number of threads, so with one
thread a node's numbers are the same on any number of cores, and for any number of workers; several
workers fill the cores. This process shows what they report. A worker that is killed is replaced; it
costs the steps since its node's last checkpoint.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any

from repro.progress import Display
from repro.spent import Spent, peak_bytes
from spactor import files, numerics
from spactor.errors import DamageWarning, UserError

_processes = get_context("spawn")
_ACCELERATOR_JOBS = 1

Make = Callable[[Any], Any]
"""Makes a worker's object from the display, or what stands for it. Its ``take_spent`` returns the
seconds since the last call by activity."""
Ended = tuple[str, Callable[[], Any]]
"""The name of a task that ended, and what returns its value or raises its exception."""


def available_cores() -> int:
    """Cores that this process may use; where that is unknown, all cores of the machine."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ThisProcess:
    """Does tasks in this process, one after the other; has the methods of ``Workers``.

    Args:
      make: makes the object whose methods are the tasks.
      display: shows what the tasks report.
    """

    jobs = 1

    def __init__(self, make: Make, display: Display) -> None:
        self._held = make(display)
        self._begun: list[Ended] = []

    def call(self, task: str) -> Any:
        """Returns the value of a task without arguments."""
        return getattr(self._held, task)()

    def fit(self, device: str) -> None:
        """Does nothing: this process uses its device as it is."""

    def busy(self) -> set[str]:
        """Name of the task that is begun, if one is."""
        return {name for name, _ in self._begun}

    def begin(self, name: str, task: str, *arguments: Any) -> bool:
        """Takes a task, which is done when its value is asked for; False if it has one already."""
        if self._begun:
            return False
        self._begun.append((name, functools.partial(getattr(self._held, task), *arguments)))
        return True

    def receive(self, seconds: float | None) -> Sequence[Ended]:
        """Returns the task that is begun; waits so many seconds if there is none."""
        if not self._begun:
            time.sleep(seconds or 0.0)
        ended, self._begun = self._begun, []
        return ended

    def spent(self) -> Sequence[str]:
        """No lines: the time of this process is not measured."""
        return ()

    def end(self) -> None:
        """Does nothing: no process was started."""


class Workers:
    """Processes of this machine that do tasks, which are methods of an object that each makes.

    Args:
      make: the object of a worker; can be sent to another process.
      display: shows what the workers report.
      jobs: number of workers on a CPU; an accelerator has one.
    """

    def __init__(self, make: Make, display: Display, jobs: int) -> None:
        self.jobs = jobs
        self._make = make
        self._display = display
        self._one_thread = True
        self._workers: list[_Worker] = []
        self._killed: set[str] = set()
        self._spent = Spent()
        self._began = time.monotonic()

    def call(self, task: str) -> Any:
        """Waits for the value of a task without arguments."""
        self.begin("", task)
        while not (ended := self.receive(None)):
            pass
        return ended[0][1]()

    def fit(self, device: str) -> None:
        """Limits workers to one thread on a CPU alone, and to one worker elsewhere."""
        self._spent, self._began = Spent(), time.monotonic()
        self._one_thread = device.startswith("cpu")
        if not self._one_thread:
            self.jobs = _ACCELERATOR_JOBS
            self.end()

    def busy(self) -> set[str]:
        """Names of the tasks that are begun."""
        return {worker.name for worker in self._workers if worker.is_busy}

    def begin(self, name: str, task: str, *arguments: Any) -> bool:
        """Starts a task; False if all workers are busy.

        Args:
          name: what the workers' reports call it.
          task: a method of the workers' object.
          arguments: of the method.
        """
        worker = self._free_worker()
        if worker is not None:
            worker.begin(name, task, *arguments)
        return worker is not None

    def _free_worker(self) -> _Worker | None:
        """An idle worker, if need be a new one; None if there are as many as jobs."""
        for worker in self._workers:
            if not worker.is_busy:
                return worker
        if len(self._workers) == self.jobs:
            return None
        self._workers.append(_Worker(self._make, self._one_thread))
        return self._workers[-1]

    def receive(self, seconds: float | None) -> Sequence[Ended]:
        """Shows what workers report; returns the tasks that ended.

        The task of a worker that was killed has not ended: it is to begin again.

        Args:
          seconds: to wait for at most; None without limit.
        """
        busy = {worker.pipe: worker for worker in self._workers if worker.is_busy}
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
                worker.is_busy = False
                ended.append((worker.name, functools.partial(_result, *values)))
            elif kind == "warn":
                warnings.warn(values[0], DamageWarning, stacklevel=1)
            elif kind == "spent":
                self._spent.add(*values)
            else:
                getattr(self._display, kind)(*values)
        for name, _ in ended:
            self._display.stop(name)
        return ended

    def _replace(self, worker: _Worker) -> None:
        """Removes a worker that was killed, so that its task can begin again.

        Raises:
          UserError: that happened to the same task before.
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

    def spent(self) -> Sequence[str]:
        """Lines on where the workers' time and memory went since ``fit``; none if idle."""
        if not any(self._spent.seconds.values()):
            return ()
        return self._spent.lines(time.monotonic() - self._began, self.jobs)

    def end(self) -> None:
        """Kills the workers, at whatever step: a node continues from its last checkpoint."""
        while self._workers:
            self._workers.pop().end()


def _result(value: Any) -> Any:
    """Returns a task's value, or raises its exception."""
    if isinstance(value, BaseException):
        raise value
    return value


def _ending(code: int | None) -> str:
    """How a process ended, from its exit code.

    >>> _ending(-9), _ending(1)
    ('SIGKILL', 'exit code 1')
    """
    return signal.Signals(-code).name if code and code < 0 else f"exit code {code}"


class _Worker:
    """A process that does tasks, one after the other."""

    def __init__(self, make: Make, one_thread: bool) -> None:
        self.pipe, theirs = _processes.Pipe()
        self.process = _processes.Process(target=_work, args=(theirs, one_thread), daemon=True)
        with _interrupts_ignored():
            self.process.start()
        theirs.close()
        self.name = ""
        self.is_busy = False
        self.pipe.send(make)

    def begin(self, name: str, task: str, *arguments: Any) -> None:
        """Starts a task."""
        self.name, self.is_busy = name, True
        self.pipe.send((task, *arguments))

    def end(self) -> None:
        """Kills the process."""
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
    """The worker's process: does tasks until it is killed, or the process that started it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pinned = numerics.environment(os.environ) | dict(numerics.ONE_THREAD if one_thread else {})
    os.environ.clear()
    os.environ.update(pinned)
    reporter = _Reporter(pipe)
    warnings.showwarning = reporter.warn  # type: ignore[assignment]
    held = pipe.recv()(reporter)
    while True:
        try:
            task, *arguments = pipe.recv()
        except EOFError:
            os._exit(0)
        value: Any
        try:
            value = getattr(held, task)(*arguments)
        except Exception as error:
            value = _portable(error)
        reporter.report("spent", held.take_spent(), os.getpid(), peak_bytes())
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

    def start(self, name: str) -> Callable[..., None]:
        """Sends that a node begins; returns what sends its logged steps."""
        self.report("start", name)
        return functools.partial(self.report, "observe", name)

    def __getattr__(self, kind: str) -> Callable[..., None]:
        """A method that sends the name and the arguments of one of the display's."""
        return functools.partial(self.report, kind)
