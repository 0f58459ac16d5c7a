"""Worker processes, each of which creates an object and calls its methods.

On a CPU a worker has one thread of XLA. XLA's sums depend on its number of threads, so with one
thread a node's numbers do not depend on the number of cores or workers; several workers use several
cores. This process displays the workers' reports. A killed worker is replaced, and its node
continues from the last checkpoint.
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
from repro.spent import Memory, Spent
from spactor import files, numerics
from spactor.errors import DamageWarning, UserError

_processes = get_context("spawn")
_TUNABLES = "GLIBC_TUNABLES"
RETAIN_MEMORY = ":".join(
    (
        *("glibc.malloc.mmap_threshold=1073741824", "glibc.malloc.trim_threshold=1073741824"),
        *("glibc.malloc.top_pad=67108864", "glibc.malloc.arena_max=1", "glibc.malloc.hugetlb=1"),
    )
)
"""Settings of glibc's allocator for workers. XLA allocates the temporary memory of each step anew;
by default glibc returns blocks of 32 MB and more to the kernel, which fills them with zeros again
page by page. Read when a process starts; numbers do not depend on them."""
_ACCELERATOR_JOBS = 1

Make = Callable[[Any], Any]
"""Function that creates a worker's object from a display or a proxy of it. The object's method
``take_spent`` returns the seconds since the last call, by activity."""
Ended = tuple[str, Callable[[], Any]]
"""Name of a task that ended, and function that returns its value or raises its exception."""


def available_cores() -> int:
    """Returns the number of cores that this process may use; if unknown, all of the machine."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ThisProcess:
    """Runs tasks in this process, one after another; has the interface of ``Workers``.

    Args:
      make: function that creates the object with the tasks as methods.
      display: display of the tasks' reports.
    """

    jobs = 1

    def __init__(self, make: Make, display: Display) -> None:
        self._held = make(display)
        self._begun: list[Ended] = []

    def call(self, task: str) -> Any:
        """Returns the value of a task without arguments."""
        return getattr(self._held, task)()

    def fit(self, device: str) -> None:
        """Does nothing, since this process uses any device as it is."""

    def busy(self) -> set[str]:
        """Returns the name of the begun task, if there is one."""
        return {name for name, _ in self._begun}

    def begin(self, name: str, task: str, *arguments: Any) -> bool:
        """Stores a task, which ``receive``'s caller runs; returns False if there already is one."""
        if self._begun:
            return False
        self._begun.append((name, functools.partial(getattr(self._held, task), *arguments)))
        return True

    def receive(self, seconds: float | None) -> Sequence[Ended]:
        """Returns the begun task; waits some seconds if there is none."""
        if not self._begun:
            time.sleep(seconds or 0.0)
        ended, self._begun = self._begun, []
        return ended

    def spent(self) -> Sequence[str]:
        """Returns no lines, since the time of this process is not measured."""
        return ()

    def end(self) -> None:
        """Does nothing, since no process was started."""


class Workers:
    """Runs tasks in processes; a task is a method of an object that each process creates.

    Args:
      make: function that creates a worker's object; it must be picklable.
      display: display of the workers' reports.
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
        """Runs a task without arguments in a worker, and returns its value."""
        self.begin("", task)
        while not (ended := self.receive(None)):
            pass
        return ended[0][1]()

    def fit(self, device: str) -> None:
        """Configures the workers for a device: one thread each on a CPU, else one worker."""
        self._spent, self._began = Spent(), time.monotonic()
        self._one_thread = device.startswith("cpu")
        if not self._one_thread:
            self.jobs = _ACCELERATOR_JOBS
            self.end()

    def busy(self) -> set[str]:
        """Returns the names of the running tasks."""
        return {worker.name for worker in self._workers if worker.is_busy}

    def begin(self, name: str, task: str, *arguments: Any) -> bool:
        """Starts a task; False if all workers are busy.

        Args:
          name: name of the task in reports.
          task: name of a method of the workers' object.
          arguments: arguments of the method.
        """
        worker = self._free_worker()
        if worker is not None:
            worker.begin(name, task, *arguments)
        return worker is not None

    def _free_worker(self) -> _Worker | None:
        """Returns an idle or a new worker; None if all ``jobs`` workers are busy."""
        for worker in self._workers:
            if not worker.is_busy:
                return worker
        if len(self._workers) == self.jobs:
            return None
        self._workers.append(_Worker(self._make, self._one_thread))
        return self._workers[-1]

    def receive(self, seconds: float | None) -> Sequence[Ended]:
        """Displays the workers' reports, and returns the tasks that ended.

        The task of a killed worker has not ended, and can begin again.

        Args:
          seconds: longest time to wait; None for no limit.
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
        """Removes a killed worker, so that its task can begin again.

        Raises:
          UserError: a worker with the same task was killed before.
        """
        self._workers.remove(worker)
        worker.end()
        how = f"its process ended by itself ({_ending(worker.process.exitcode)})"
        self._display.stop(worker.name)
        if worker.name in self._killed or not worker.name:
            raise UserError(
                f"{worker.name or 'a worker'}: {how}, again: look into the system's log, free some "
                "memory or give fewer --jobs, then run the same command"
            )
        self._killed.add(worker.name)
        self._display.print(f"{worker.name}: {how}; another continues from its last checkpoint")

    def spent(self) -> Sequence[str]:
        """Returns lines on the workers' time and memory since ``fit``; () if they were idle."""
        if not any(self._spent.seconds.values()):
            return ()
        return self._spent.lines(time.monotonic() - self._began, self.jobs)

    def end(self) -> None:
        """Kills the workers at any step, since a node continues from its last checkpoint."""
        while self._workers:
            self._workers.pop().end()


def _result(value: Any) -> Any:
    """Returns a task's value, or raises its exception."""
    if isinstance(value, BaseException):
        raise value
    return value


def _ending(code: int | None) -> str:
    """Describes how a process ended, from its exit code.

    >>> _ending(-9), _ending(1)
    ('SIGKILL', 'exit code 1')
    """
    return signal.Signals(-code).name if code and code < 0 else f"exit code {code}"


class _Worker:
    """A process that runs tasks, one after another."""

    def __init__(self, make: Make, one_thread: bool) -> None:
        self.pipe, theirs = _processes.Pipe()
        self.process = _processes.Process(target=_work, args=(theirs, one_thread), daemon=True)
        with _interrupts_ignored(), _memory_retained():
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
    """Lets processes that are started in a ``with`` block ignore ctrl-C.

    A terminal sends ctrl-C to all processes, but only the main process handles it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _memory_retained() -> Iterator[None]:
    """Lets processes started in a ``with`` block retain freed memory, but for a user's settings."""
    if _TUNABLES in os.environ:
        yield
        return
    os.environ[_TUNABLES] = RETAIN_MEMORY
    try:
        yield
    finally:
        os.environ.pop(_TUNABLES, None)


def _work(pipe: Connection, one_thread: bool) -> None:
    """Runs tasks in a worker's process, until it is killed or its parent process ends."""
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
        reporter.report("spent", held.take_spent(), os.getpid(), Memory.of_this_process())
        reporter.report("ended", value)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _portable(error: Exception) -> Exception:
    """Converts an exception to one that can be pickled; a bug's has the traceback as text."""
    if isinstance(error, UserError | ImportError):
        return error
    if fault := files.system_fault(error):
        return UserError(f"{fault}: fix that, then run the same command again")
    # Not every exception can be pickled.
    return RuntimeError(f"in a worker:\n{traceback.format_exc()}")


class _Reporter:
    """Proxy of the display in a worker, which sends calls to the main process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def report(self, kind: str, *values: Any) -> None:
        """Sends a message; the lock is needed because several threads may warn."""
        with self._lock:
            self._pipe.send((kind, *values))

    def warn(self, message: Warning | str, category: type[Warning], *rest: Any) -> None:
        """Sends a warning of damage; other warnings are ignored."""
        if issubclass(category, DamageWarning):
            self.report("warn", str(message))

    def start(self, name: str) -> Callable[..., None]:
        """Sends the start of a node; returns a function that sends its logged steps."""
        self.report("start", name)
        return functools.partial(self.report, "observe", name)

    def __getattr__(self, kind: str) -> Callable[..., None]:
        """Returns a function that sends a call of one of the display's methods."""
        return functools.partial(self.report, kind)
