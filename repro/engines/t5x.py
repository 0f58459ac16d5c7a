"""The T5X engine: one process of stock ``python -m t5x.train`` per node, watched from here.

The process trains, validates and, in fine-tuning, scores through seqio's Evaluator, all in one
start, which is what costs. It writes into the node's folder; `repro.t5x_folder` reads that.
This process never starts JAX, which would take the accelerator away from T5X.

On several hosts each runs its process of T5X, with a log and a lock of its own. The first writes
the gin files, removes checkpoints and reads what T5X logs; T5X begins when all are there.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import spactor
from repro import digest_lines, identity, series, t5x_folder
from repro.engines import t5x_command
from repro.engines.contract import ALONE, Hosts, Observer
from repro.engines.data import EMBEDDED, DataSource, PreparedData
from repro.plan import Finetuning, Node, Tree
from repro.specs import Profile
from repro.step_lines import read_steps
from spactor import files, numerics
from spactor.errors import DamagedCheckpoint, Diverged, UserError

LOG, LOCK = "t5x.log", "t5x.lock"
POLL_SECONDS = 0.5
BARRIER_SECONDS = 600
"""How long the hosts of a slice wait for each other; host 0 prepares the data first."""
ROOT = Path(spactor.__file__).parent.parent
# Of several hosts each runs it; they agree on a number, and so does nobody who started before.
_DEVICES = """
import json, secrets, sys
import jax, numpy
from jax.experimental import multihost_utils
start = secrets.randbits(31)
if len(sys.argv) > 1:
    jax.distributed.initialize(**json.loads(sys.argv[1]))
    start = multihost_utils.broadcast_one_to_all(numpy.uint32(start))
first = jax.devices()[0]
device = f"{len(jax.devices())} × {first.platform} {first.device_kind}"
print(json.dumps([device, jax.process_count(), f"{start:08x}"]))
"""


def require_installed() -> None:
    """Refuses to go on without T5X and the two libraries that come with it.

    Raises:
      UserError: one is missing.
    """
    missing = [name for name in identity.T5X_SOURCES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} not installed, which --engine t5x runs: on no registry; with "
            "access to the sources, python -m pip install --no-deps -r t5x-sources.txt "
            '(README.md, "Installation in tiers")'
        )


def _own(name: str, hosts: Hosts) -> str:
    """A file's name that no other host uses.

    >>> _own("t5x.log", Hosts()), _own("t5x.log", Hosts(count=16, number=3))
    ('t5x.log', 't5x-host3.log')
    """
    stem, _, ending = name.partition(".")
    return name if hosts.first else f"{stem}-host{hosts.number}.{ending}"


class T5XEngine:
    """Stock T5X on the devices of this machine, or of the slice it is a host of.

    Args:
      cache: where compiled programs are kept, so that nodes of one size and stage compile once.
      source: where the data come from.
      hosts: of the slice.
    """

    def __init__(self, cache: Path, source: DataSource = EMBEDDED, hosts: Hosts = ALONE) -> None:
        self._cache = cache
        self._source = source
        self._hosts = hosts
        self._joined: tuple[str, str] | None = None

    def check(self, tree: Tree) -> None:
        """Refuses what T5X can't train, and a machine without T5X."""
        t5x_command.require_runnable(tree)
        self._source.require_here(tree.profile)
        require_installed()

    def prepare(self, profile: Profile, cache: Path, report: Callable[[str], None]) -> PreparedData:
        """Builds or finds the profile's data under the cache folder, unless they were named."""
        return self._source.prepare(profile, cache, report)

    def barrier(self, report: Callable[[str], None]) -> str:
        """Waits until JAX's processes on all hosts have joined; returns their shared run id.

        Raises:
          UserError: a host did not join in time, or their number is not ``--hosts``.
        """
        if self._hosts.count == 1:
            return ""
        report(f"host {self._hosts.number} of {self._hosts.count}: waiting for the others")
        return self._query_jax()[1]

    def device(self) -> str:
        """JAX's first device and how many there are, as another process sees them."""
        return self._query_jax()[0]

    def _query_jax(self) -> tuple[str, str]:
        """The devices, and the run id."""
        if self._joined:
            return self._joined
        count, number, coordinator = dataclasses.astuple(self._hosts)
        options: dict[str, Any] = {"initialization_timeout": BARRIER_SECONDS}
        if coordinator:
            options |= {"coordinator_address": coordinator}
            options |= {"num_processes": count, "process_id": number}
        asked = subprocess.run(
            [sys.executable, "-c", _DEVICES, *([json.dumps(options)] if count > 1 else [])],
            env=self._environment(),
            capture_output=True,
            text=True,
        )
        if asked.returncode:
            reason = _reason(asked.stderr.splitlines())
            raise UserError(
                f"JAX finds no device: {reason}"
                if count == 1
                else f"the {count} hosts did not join ({reason}): start the same command on all of "
                f"them, with --host 0 to {count - 1}, within {BARRIER_SECONDS} seconds"
            )
        device, found, run_id = json.loads(asked.stdout.strip().rpartition("\n")[2])
        if found != count:
            raise UserError(
                f"--hosts {count}, and JAX finds {found} processes: give --hosts {found}, and "
                "--coordinator where JAX does not find the slice itself"
            )
        self._joined = device if count == 1 else f"{device} on {count} hosts", run_id
        return self._joined

    def metric_versions(self, node: Node) -> Mapping[str, Any]:
        """Versions from the suite's own table."""
        if not isinstance(node, Finetuning):
            return {}
        return self._source.metric_versions(node.suite)

    def run(
        self,
        profile: Profile,
        node: Node,
        *,
        data: PreparedData,
        folder: Path,
        parent: Path | None,
        observer: Observer,
    ) -> None:
        """Trains a node to its end in one process of T5X a host, from its newest whole checkpoint.

        Raises:
          DamagedCheckpoint: the parent's last, on which T5X failed.
          Diverged: T5X logged what is not finite, now or before.
          UserError: T5X failed, in its own words; or another one still trains in the folder.
        """
        first = self._hosts.first
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / _own(LOCK, self._hosts)) as lock:
            if first:
                _write_gin(node, folder)
                forget_unmeasured(profile, node, folder)
            if _is_whole(profile, node, folder) and not (first and self._set_aside(folder)):
                return  # Stopped between T5X's end and ours.
            command = t5x_command.arguments(
                profile,
                node,
                data=data,
                released=self._source.released,
                folder=folder,
                parent=parent,
                hosts=self._hosts,
            )
            watch = _Watch(node, folder, observer) if first else None
            while True:
                try:
                    self._train(command, node, folder, lock, watch)
                    break
                except UserError as failure:
                    known = not first or isinstance(failure, Diverged)
                    mended = not known and self._found_damage(node, folder, parent)
                    # Other hosts have ended with it: all are started again by who started them.
                    if not mended or self._hosts.count > 1:
                        raise
        if first and not _is_whole(profile, node, folder):
            raise UserError(
                f"T5X ended without the last numbers or checkpoint of {node.name}: "
                f"see {folder / LOG}, then run the same command"
            )

    def _found_damage(self, node: Node, folder: Path, parent: Path | None) -> bool:
        """Whether T5X failed on a damaged checkpoint of its own, which is then set aside.

        Raises:
          DamagedCheckpoint: on its parent's.
        """
        if _saved(folder):
            return self._set_aside(folder)
        if parent is not None:
            path = t5x_command.checkpoint(parent, t5x_command.first_and_last_step(node)[0])
            if reason := self._damage(path):
                raise DamagedCheckpoint(
                    f"checkpoint {path} is damaged ({reason}): move its segment's folder away and "
                    "run again"
                )
        return False

    def _set_aside(self, folder: Path) -> bool:
        """Sets the newest checkpoint aside if it is damaged; the one before it becomes newest."""
        path = t5x_command.checkpoint(folder, _saved(folder)[-1])
        reason = self._damage(path)
        if reason:
            files.set_aside(path, reason)
        return bool(reason)

    def _damage(self, path: Path) -> str | None:
        asked = subprocess.run(
            [sys.executable, "-m", "spactor.t5x.damage", str(path)],
            cwd=ROOT,
            env=self._environment() | {"JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
        # Where it fails itself nothing is known, and T5X's own words are said.
        return None if asked.returncode else json.loads(asked.stdout.splitlines()[-1])

    def can_score(self) -> bool:
        """T5X scores while it trains, and keeps no predictions to score later."""
        return False

    def score(self, node: Finetuning, *, data: PreparedData, folder: Path, step: int) -> None:
        """Never asked of it."""
        raise NotImplementedError(f"T5X has scored {node.name} itself")

    def restore(self, node: Node, folder: Path) -> Any:
        """From the node's last checkpoint, without generator and RTD head."""
        from absl import logging as absl_logging

        from spactor.step import HYBRID_ONLY
        from spactor.t5x import convert

        # Orbax misses a file that T5X's manager doesn't write, and says so.
        absl_logging.set_verbosity(absl_logging.ERROR)
        _, last = t5x_command.first_and_last_step(node)
        target = convert.read(t5x_command.checkpoint(folder, last))["target"]
        return {name: part for name, part in target.items() if name not in HYBRID_ONLY}

    def _train(
        self, command: list[str], node: Node, folder: Path, lock: IO[str], watch: _Watch | None
    ) -> None:
        path = folder / _own(LOG, self._hosts)
        with path.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            began = log.tell()
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # It holds the lock as well, so long as it lives.
                pass_fds=(lock.fileno(),),
            )
        lock.truncate(0)
        lock.write(str(process.pid))
        lock.flush()
        try:
            while True:
                ended = _wait(process)
                if watch:
                    watch.look()
                if ended:
                    break
        finally:
            # Whatever it was doing: a run that was killed goes on bit for bit.
            process.kill()
            process.wait()
        if process.returncode:
            raise _failure(node, path, began, process.returncode, self._hosts)

    def _environment(self) -> dict[str, str]:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return (
            {"TF_CPP_MIN_LOG_LEVEL": "2"}
            | os.environ
            | {name.upper(): str(value) for name, value in numerics.SETTINGS.items()}
            | {
                "PYTHONPATH": os.pathsep.join(paths),
                "JAX_COMPILATION_CACHE_DIR": str((self._cache / "xla").absolute()),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
            }
        )


def _wait(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _write_gin(node: Node, folder: Path) -> None:
    home = folder / "gin"
    home.mkdir(parents=True, exist_ok=True)
    for name, text in t5x_command.gin_texts(node).items():
        (home / name).write_text(text, encoding="utf-8")


@contextmanager
def _alone(path: Path) -> Iterator[IO[str]]:
    """Holds a lock that T5X inherits: it outlives this process if T5X does.

    Raises:
      UserError: T5X still trains here, left by a runner that was killed.
    """
    import fcntl

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
    """Tells the observer of every step that T5X has logged."""

    def __init__(self, node: Node, folder: Path, observer: Observer) -> None:
        self._node = node
        self._folder = folder
        self._observer = observer
        self._size = -1
        # What earlier starts logged was told then.
        self._told = max(_series(folder), default=-1)

    def look(self) -> None:
        """Reads what is new.

        Raises:
          Diverged: a value is not finite.
        """
        size = sum(path.stat().st_size for path in (self._folder / "train").glob("events.*"))
        if size == self._size:
            return
        self._size = size
        first, last = t5x_command.first_and_last_step(self._node)
        offset = first if isinstance(self._node, Finetuning) else 0
        for step, values in _series(self._folder).items():
            if step > self._told and "train/loss" in values:
                self._told = step
                speed = values.get(t5x_folder.SPEED, float("nan"))
                self._observer(step - offset, last - offset, values, speed)


def _series(folder: Path) -> Mapping[int, Mapping[str, float]]:
    """What T5X has logged; nothing while it has not begun all of its event files.

    Raises:
      Diverged: a value is not finite. T5X logs means over a period, at the period's last step.
    """
    homes = [folder / "train", *(folder / "training_eval").glob("*")]
    begun = all(any(home.glob("events.*")) for home in homes)
    try:
        return t5x_folder.read_series(folder) if begun else {}
    except t5x_folder.NotFinite as bad:
        digests = folder / digest_lines.FILE
        read = digest_lines.last(digests).get(bad.step, {}) if digests.is_file() else {}
        before = [step for step in _saved(folder) if step < bad.step]
        raise Diverged(
            metric=bad.metric,
            value=str(bad.value),
            step=bad.step,
            batch_digest=read.get("batch", "unknown"),
            checkpoint_step=max(before, default=None),
        ) from None


def _saved(folder: Path) -> list[int]:
    found = (re.fullmatch(r"checkpoint_(\d+)", path.name) for path in folder.glob("checkpoint_*"))
    return sorted(int(match[1]) for match in found if match)


def first_unmeasured(profile: Profile, node: Node, folder: Path) -> int | None:
    """First step of T5X's whose numbers are due and not in the folder; None if all are there."""
    first, last = t5x_command.first_and_last_step(node)
    if isinstance(node, Finetuning):
        home, period = folder / "inference_eval", node.config.evaluation_period_steps
        paths = [
            home / f"{name}-metrics.jsonl"
            for name in t5x_command.scored_tasks(profile.data.corpus, node.suite)
        ]
        scored = [set(read_steps(path)) if path.is_file() else set() for path in paths]
        due = [*range(first + period, last, period), last]
        return next((step for step in due if not all(step in steps for steps in scored)), None)
    absent = series.missing(profile, node, _series(folder), by_name=True)
    return min((step for each in absent for step in each.steps), default=None)


def forget_unmeasured(profile: Profile, node: Node, folder: Path) -> None:
    """Removes checkpoints that would make T5X skip an evaluation it was killed before.

    T5X's ``train.py`` at cc342d4 saves first, then evaluates, and goes on behind the newest
    checkpoint. From an older one it makes the same steps again, bit for bit.
    """
    first, _ = t5x_command.first_and_last_step(node)
    unmeasured = first_unmeasured(profile, node, folder)
    for step in _saved(folder):
        if unmeasured is not None and step >= unmeasured and step > first:
            shutil.rmtree(t5x_command.checkpoint(folder, step))


def _is_whole(profile: Profile, node: Node, folder: Path) -> bool:
    _, last = t5x_command.first_and_last_step(node)
    return last in _saved(folder) and first_unmeasured(profile, node, folder) is None


def _failure(node: Node, path: Path, began: int, code: int, hosts: Hosts) -> UserError:
    with path.open("rb") as file:
        file.seek(began)
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    for line in reversed(lines):
        ours = re.match(r"(?:\w+\.)*UserError: (.*)", line)
        if ours:
            return UserError(ours[1])
    if code < 0:
        said = f" ({_reason(lines)})" if code == -signal.SIGABRT else ""
        where = " on every host" if hosts.count > 1 else ""
        return UserError(
            f"T5X was ended by signal {-code} in {node.name}{said}: run the same command{where} to "
            "go on"
        )
    return UserError(f"T5X failed in {node.name}: {_reason(lines)} (all of it in {path})")


def _reason(lines: Sequence[str]) -> str:
    """What a process said last, before a stack trace of JAX's that ends it."""
    for line in reversed(lines):
        fatal = re.search(r"absl::Status: (.*)", line)
        if fatal:
            return fatal[1]
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
