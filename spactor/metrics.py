"""Writes a run's metrics: one JSON line per logged step, and TensorBoard events as T5X does.

Metrics are given as ``Ratio`` pairs and written as means. Event files contain
tensor-valued scalars, as ``tf.summary.scalar`` writes them, but are written by the
``tensorboard`` package, so that pre-training never imports TensorFlow.
"""

from __future__ import annotations

import json
import math
import os
import socket
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from spactor import files, strict_json
from spactor.objective import Metrics

METRICS, DIGESTS = "metrics.jsonl", "digests.jsonl"
"""Names of the JSON-lines files in a run's folder."""


def host_means(steps: Iterable[Metrics], prefix: str) -> dict[str, float]:
    """Returns means over several steps: sums totals and weights in float64, then divides once.

    Omits metrics with weight zero, such as a precision without positives.

    >>> from spactor.objective import Ratio
    >>> steps = [{"loss": Ratio(3.0, 1.0)}, {"loss": Ratio(1.0, 3.0)}]
    >>> host_means(steps, "train/")
    {'train/loss': 1.0}
    """
    totals: dict[str, np.ndarray] = {}
    for metrics in jax.device_get(list(steps)):
        for name, ratio in metrics.items():
            totals[name] = totals.get(name, np.zeros(2)) + np.asarray(ratio, np.float64)
    return {
        prefix + name: float(total / weight)
        for name, (total, weight) in sorted(totals.items())
        if weight
    }


def logged_steps(path: Path) -> list[int]:
    """Returns the steps of a JSON-lines file's readable lines, in the order of the lines."""
    steps = map(_step_of, path.read_bytes().split(b"\n"))
    return [step for step in steps if step is not None]


def _step_of(line: bytes) -> int | None:
    """Returns the step of a line, or None if the line can't be read."""
    try:
        step = strict_json.loads(line.decode())["step"]
    except (ValueError, TypeError, KeyError):
        return None
    return step if isinstance(step, int) else None


class JsonLines:
    """An append-only file of JSON lines; every line is on disk before the next checkpoint is.

    A killed run may leave an incomplete last line, which is removed when the file is opened again.
    With other unreadable lines the file is damaged: it is renamed, and the readable lines are
    copied to a new file. A resumed run appends the steps that it repeats, and readers use the last
    line of a step.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            *lines, torn = path.read_bytes().split(b"\n")
            entries = [line for line in lines if _step_of(line) is not None]
            damaged = len(lines) - len(entries)
            if damaged:
                files.set_aside(path, f"{damaged} lines are not JSON objects")
            if torn or damaged:
                entries += [torn] if _step_of(torn) is not None else []
                files.write_atomically(path, b"".join(line + b"\n" for line in entries))
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, values: Mapping[str, float | str]) -> None:
        """Appends one line and flushes it to disk; raises ValueError for a non-finite number."""
        self._file.write(json.dumps({"step": step, **values}, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class Events:
    """One TensorBoard event file of tensor-valued scalars, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.scalar import metadata
        from tensorboard.summary.writer.record_writer import RecordWriter
        from tensorboard.util import tensor_util

        self._event = event_pb2.Event
        self._summary = summary_pb2.Summary
        self._scalar_metadata = metadata.create_summary_metadata
        self._tensor = tensor_util.make_tensor_proto
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard orders the files of a restarted run by the time in their names.
        name = f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("wb")
        self._records = RecordWriter(self._file)
        self._append(file_version="brain.Event:2")

    def _append(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())
        self._records.flush()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one event per value."""
        for name, value in values.items():
            summary = self._summary()
            summary.value.add(
                tag=name,
                tensor=self._tensor(np.float32(value)),
                metadata=self._scalar_metadata(display_name="", description=""),
            )
            self._append(step=step, summary=summary)

    def close(self) -> None:
        self._records.close()


class RunLog:
    """Writes the JSON lines and the event file of one run folder.

    Without the ``tensorboard`` package it warns and writes the JSON lines alone.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = JsonLines(folder / METRICS)
        self._digests = JsonLines(folder / DIGESTS)
        self._events: Events | None = None
        try:
            self._events = Events(folder / "train")
        except ModuleNotFoundError:
            warnings.warn(
                "the package tensorboard is not installed: only metrics.jsonl is written, no event "
                "files",
                stacklevel=2,
            )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Logs the values of one step; raises ValueError for one that is not finite."""
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value} at step {step}")
        self._lines.write(step, values)
        if self._events is not None:
            self._events.write(step, values)

    def write_digests(self, step: int, digests: Mapping[str, str | int]) -> None:
        """Logs digests of the input of the update that ended at a step, with run id and seed."""
        self._digests.write(step, digests)

    def close(self) -> None:
        self._lines.close()
        self._digests.close()
        if self._events is not None:
            self._events.close()
