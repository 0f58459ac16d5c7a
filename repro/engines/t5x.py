"""The T5X engine: one process of stock ``python -m t5x.train`` per node, watched from here.

The process trains, validates and, in fine-tuning, scores through seqio's Evaluator, all in one
start, since starting is slow. It writes into the node's folder, which `repro.t5x_folder` reads.
This process never starts JAX, which would take the accelerator away from T5X.

On several hosts each runs its process of T5X, with a log and a lock of its own. Host 0 writes the
gin files, removes checkpoints and reads what T5X logs; T5X begins when all hosts are there.
"""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import spactor
from repro import identity, scoring, step_lines, t5x_folder, validation
from repro.engines import t5x_command
from repro.engines.contract import ALONE, Engine, Hosts, Work
from repro.engines.data import EMBEDDED, DataSource
from repro.plan import Finetuning, Node, Tree
from repro.step_lines import Steps
from spactor import files, numerics
from spactor.errors import DamagedCheckpoint, Diverged, UserError
from spactor.progress import Observer

LOG, LOCK = "t5x.log", "t5x.lock"
POLL_SECONDS = 0.5
BARRIER_SECONDS = 600
"""How long the hosts of a slice wait for each other; host 0 prepares the data first."""
ROOT = Path(spactor.__file__).parent.parent
# Every host runs it, and they agree on a random number, which hosts of an earlier start don't have.
_DEVICES = """
import json, secrets, sys
import jax, numpy
from jax.experimental import multihost_utils
run_id = secrets.randbits(31)
if len(sys.argv) > 1:
    jax.distributed.initialize(**json.loads(sys.argv[1]))
    run_id = multihost_utils.broadcast_one_to_all(numpy.uint32(run_id))
first = jax.devices()[0]
device = f"{len(jax.devices())} × {first.platform} {first.device_kind}"
print(json.dumps([device, jax.process_count(), f"{run_id:08x}"]))
"""


def require_installed() -> None:
    """Checks that T5X and the two libraries it comes with are installed.

    Raises:
      UserError: one is missing.
    """
    missing = [name for name in identity.T5X_SOURCES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"--engine t5x needs {' and '.join(missing)}, not installed and on no registry: with "
            "access to the sources, python -m pip install --no-deps -r t5x-sources.txt "
            "(docs/installation.md)"
        )


def _own(name: str, hosts: Hosts) -> str:
    """Returns a file name that no other host uses.

    >>> _own("t5x.log", Hosts()), _own("t5x.log", Hosts(count=16, number=3))
    ('t5x.log', 't5x-host3.log')
    """
    stem, _, ending = name.partition(".")
    return name if hosts.first else f"{stem}-host{hosts.number}.{ending}"


class T5XEngine(Engine):
    """Stock T5X on the devices of this machine, or of the slice it is a host of.

    Args:
      cache: folder for prepared data and compiled programs.
      source: of the data.
      hosts: of the slice.
    """

    def __init__(self, cache: Path, source: DataSource = EMBEDDED, hosts: Hosts = ALONE) -> None:
        super().__init__(cache, source)
        self._hosts = hosts

    def check(self, tree: Tree) -> None:
        """Refuses a tree that T5X can't train, and a machine without T5X."""
        t5x_command.require_runnable(tree)
        super().check(tree)
        require_installed()

    def barrier(self, report: Callable[[str], None]) -> str:
        """Waits for the other hosts: a process of JAX on each connects to the others.

        Raises:
          UserError: not all hosts came in time, or there are more or fewer than ``--hosts``.
        """
        if self._hosts.count == 1:
            return ""
        report(f"host {self._hosts.number} of {self._hosts.count}: waiting for the others")
        return self._device_and_run_id[1]

    def device(self) -> str:
        """Returns the number and kind of JAX's devices, as another process finds them."""
        return self._device_and_run_id[0]

    @functools.cached_property
    def _device_and_run_id(self) -> tuple[str, str]:
        count, number, coordinator = dataclasses.astuple(self._hosts)
        arguments: dict[str, Any] = {"initialization_timeout": BARRIER_SECONDS}
        if coordinator:
            arguments |= {"coordinator_address": coordinator}
            arguments |= {"num_processes": count, "process_id": number}
        done = self._python("-c", _DEVICES, *([json.dumps(arguments)] if count > 1 else []))
        if done.returncode:
            reason = _reason(done.stderr.splitlines())
            raise UserError(
                f"JAX finds no device: {reason}"
                if count == 1
                else f"the {count} hosts did not connect ({reason}): start the same command on all "
                f"of them, with --host 0 to {count - 1}, within {BARRIER_SECONDS} seconds"
            )
        device, found, run_id = json.loads(done.stdout.strip().rpartition("\n")[2])
        if found != count:
            raise UserError(
                f"--hosts {count}, and JAX finds {found} processes: give --hosts {found}, and "
                "--coordinator where JAX does not find the slice itself"
            )
        return device if count == 1 else f"{device} on {count} hosts", run_id

    def run(self, work: Work, observer: Observer) -> None:
        """Trains a node in one process of T5X per host, from its newest undamaged checkpoint.

        Raises:
          DamagedCheckpoint: T5X failed, and the parent's last checkpoint is damaged.
          Diverged: T5X logged a value that is not finite, now or in an earlier start.
          UserError: T5X failed, or still trains in the folder for another runner.
        """
        first = self._hosts.first
        folder = work.folder
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(folder / _own(LOCK, self._hosts)) as lock:
            if first:
                _write_gin(work)
                remove_unmeasured(work)
            if _is_complete(work) and not (first and self._set_aside(folder)):
                return  # T5X had ended when an earlier run of this command was stopped.
            command = t5x_command.arguments(work, self._source.released, self._hosts)
            watch = _Watch(work, observer) if first else None
            while True:
                try:
                    self._train(command, work, lock, watch)
                    break
                except Diverged:
                    raise
                except UserError:
                    # On several hosts the others have failed too, and each needs a new start.
                    may_restart = first and self._find_damage(work)
                    if not may_restart or self._hosts.count > 1:
                        raise
        if first and not _is_complete(work):
            raise UserError(
                f"T5X ended without the last numbers or checkpoint of {work.node.name}: "
                f"see {folder / LOG}, then run the same command"
            )

    def _find_damage(self, work: Work) -> bool:
        """Sets a damaged newest checkpoint aside; returns whether there was one.

        Raises:
          DamagedCheckpoint: the node has none yet, and its parent's last is damaged.
        """
        if _saved(work.folder):
            return self._set_aside(work.folder)
        if work.parent is not None:
            first, _ = t5x_command.first_and_last_step(work.node)
            path = t5x_command.checkpoint(work.parent, first)
            if reason := self._damage(path):
                raise DamagedCheckpoint(
                    f"checkpoint {path} is damaged ({reason}): move its segment's folder away and "
                    "run again"
                )
        return False

    def _set_aside(self, folder: Path) -> bool:
        path = t5x_command.checkpoint(folder, _saved(folder)[-1])
        reason = self._damage(path)
        if reason:
            files.set_aside(path, reason)
        return bool(reason)

    def _damage(self, path: Path) -> str | None:
        """Returns why a checkpoint can't be read; None if it can, or if the check itself fails."""
        done = self._python("-m", "repro.engines.t5x_damage", str(path), JAX_PLATFORMS="cpu")
        return None if done.returncode else json.loads(done.stdout.splitlines()[-1])

    def restore(self, node: Node, folder: Path) -> Any:
        """Reads the node's last checkpoint, without generator and RTD head."""
        from absl import logging as absl_logging

        from spactor.step import HYBRID_ONLY
        from spactor.t5x import convert

        # Orbax warns of a file that T5X's manager doesn't write.
        absl_logging.set_verbosity(absl_logging.ERROR)
        _, last = t5x_command.first_and_last_step(node)
        target = convert.read(t5x_command.checkpoint(folder, last))["target"]
        return {name: part for name, part in target.items() if name not in HYBRID_ONLY}

    def _train(self, command: list[str], work: Work, lock: IO[str], watch: _Watch | None) -> None:
        path = work.folder / _own(LOG, self._hosts)
        with path.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            began = log.tell()
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment() | dict(self._threads()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # T5X holds the lock as well, as long as it lives.
                pass_fds=(lock.fileno(),),
            )
        lock.truncate(0)
        lock.write(str(process.pid))
        lock.flush()
        try:
            while process.returncode is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                if watch:
                    watch.poll()
        finally:
            # At whatever step: a killed run resumes bit for bit.
            process.kill()
            process.wait()
        if process.returncode:
            raise _failure(work.node, path, began, process.returncode, self._hosts)

    def _python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self._environment() | variables,
            capture_output=True,
            text=True,
        )

    def _threads(self) -> Mapping[str, str]:
        """Variables for one thread on one CPU device; several need as many to add up gradients."""
        return numerics.ONE_THREAD if self.device().startswith("1 × cpu ") else {}

    def _environment(self) -> dict[str, str]:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return (
            {"TF_CPP_MIN_LOG_LEVEL": "2"}
            | numerics.environment(os.environ)
            | {
                "PYTHONPATH": os.pathsep.join(paths),
                "JAX_COMPILATION_CACHE_DIR": str((self._cache / "xla").absolute()),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
            }
        )


def _write_gin(work: Work) -> None:
    home = work.folder / "gin"
    home.mkdir(parents=True, exist_ok=True)
    for name, text in t5x_command.gin_texts(work.node).items():
        (home / name).write_text(text, encoding="utf-8")


@contextmanager
def _exclusive(path: Path) -> Iterator[IO[str]]:
    """Holds a lock that T5X inherits, so that it outlives this process if T5X does.

    Raises:
      UserError: T5X still trains in the folder; a killed runner left it behind.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"T5X still trains in {path.parent} (process {file.read() or 'unknown'}), left by "
                "a run that was killed: end it, or wait for its end, then run the same command"
            ) from None
        yield file


class _Watch:
    """Calls the observer for every step that T5X logs from now on."""

    def __init__(self, work: Work, observer: Observer) -> None:
        self._folder = work.folder
        self._observer = observer
        self._size = -1
        self._newest = max(_series(work.folder), default=-1)
        first, last = t5x_command.first_and_last_step(work.node)
        # Fine-tuning is shown from step 0; T5X counts on from pre-training's.
        self._offset = first if isinstance(work.node, Finetuning) else 0
        self._end = last - self._offset

    def poll(self) -> None:
        """Reads new steps.

        Raises:
          Diverged: a value is not finite.
        """
        size = sum(path.stat().st_size for path in (self._folder / "train").glob("events.*"))
        if size == self._size:
            return
        self._size = size
        for step, values in _series(self._folder).items():
            if step > self._newest and "train/loss" in values:
                self._newest = step
                speed = values.get(t5x_folder.SPEED, float("nan"))
                self._observer(step - self._offset, self._end, values, speed)


def _series(folder: Path) -> Steps:
    """Returns what T5X has logged; nothing until all of its event files exist.

    Raises:
      Diverged: a value is not finite. T5X logs means over a period, at the period's last step.
    """
    homes = [folder / "train", *(folder / "training_eval").glob("*")]
    try:
        if all(any(home.glob("events.*")) for home in homes):
            return t5x_folder.read_steps(folder)
    except t5x_folder.NotFinite as bad:
        path = folder / step_lines.DIGESTS
        read = step_lines.last_digests(path).get(bad.step, {}) if path.is_file() else {}
        raise Diverged(
            metric=bad.metric,
            value=str(bad.value),
            step=bad.step,
            batch_digest=read.get("batch", "unknown"),
            checkpoint_step=max((step for step in _saved(folder) if step < bad.step), default=None),
        ) from None
    return {}


def _saved(folder: Path) -> list[int]:
    """Returns the steps of a folder's checkpoints, in order."""
    found = (re.fullmatch(r"checkpoint_(\d+)", path.name) for path in folder.glob("checkpoint_*"))
    return sorted(int(match[1]) for match in found if match)


def first_unmeasured(work: Work) -> int | None:
    """Returns T5X's first step whose numbers are due and missing; None if all are there."""
    node, folder = work.node, work.folder
    if isinstance(node, Finetuning):
        corpus = work.profile.data.corpus
        names = t5x_command.scored_tasks(corpus, node.suite, work.data.folder)
        paths = [scoring.score_file(folder, name) for name in names]
        scored = {
            path.name: step_lines.read_steps(path) if path.is_file() else {} for path in paths
        }
        gaps = validation.find_gaps(scored, validation.score_steps(node, node.checkpoint_step))
    else:
        gaps = validation.segment_gaps(work.profile, node, _series(folder), by_metric=True)
    return min((step for gap in gaps for step in gap.steps), default=None)


def remove_unmeasured(work: Work) -> None:
    """Removes checkpoints from which T5X would resume past an evaluation that a kill prevented.

    T5X's ``train.py`` at cc342d4 saves first, then evaluates, and resumes from the newest
    checkpoint. From an older one it makes the same steps again, bit for bit.
    """
    first, _ = t5x_command.first_and_last_step(work.node)
    unmeasured = first_unmeasured(work)
    for step in _saved(work.folder):
        if unmeasured is not None and step >= unmeasured and step > first:
            shutil.rmtree(t5x_command.checkpoint(work.folder, step))


def _is_complete(work: Work) -> bool:
    _, last = t5x_command.first_and_last_step(work.node)
    return last in _saved(work.folder) and first_unmeasured(work) is None


def _failure(node: Node, path: Path, began: int, code: int, hosts: Hosts) -> UserError:
    """Returns the error for a process of T5X that failed, from its part of the log."""
    with path.open("rb") as file:
        file.seek(began)
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    for line in reversed(lines):
        ours = re.match(r"(?:\w+\.)*UserError: (.*)", line)
        if ours:
            return UserError(ours[1])
    if code < 0:
        reason = f" ({_reason(lines)})" if code == -signal.SIGABRT else ""
        where = " on every host" if hosts.count > 1 else ""
        return UserError(
            f"T5X was ended by signal {-code} in {node.name}{reason}: run the same command{where} "
            "to go on"
        )
    return UserError(f"T5X failed in {node.name}: {_reason(lines)} (full log in {path})")


def _reason(lines: Sequence[str]) -> str:
    """Returns a process's last line of output, or JAX's error if a stack trace follows it."""
    for line in reversed(lines):
        fatal = re.search(r"absl::Status: (.*)", line)
        if fatal:
            return fatal[1]
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
