"""Reader of the series in a folder that T5X wrote, which needs neither T5X nor TensorFlow.

T5X writes an event file for each start of a run in ``train/`` and ``training_eval/<task>/``, with
scalars as tensors. Its scores, ``inference_eval/<task>-metrics.jsonl``, have the local engine's
format and are read by `repro.step_lines.read_steps`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.step_lines import TIMING, Replayed, Series, Steps, overlaid
from spactor.errors import UserError

CONFIG = "config.gin"
SPEED = "timing/seqs_per_second"
_STOCK = (
    *("accuracy", "z_loss", "cross_ent_loss", "loss_per_", "non_padding_fraction/"),
    "effective_batch_size/",
)
"""Prefixes of T5X's own metrics, which the local engine does not have."""


class NotFinite(UserError):
    """Error for a number that T5X logged and that is NaN or infinite.

    Attributes:
      metric: name of the number.
      value: NaN or an infinity.
      step: step at which T5X logged it.
    """

    def __init__(self, path: Path, metric: str, value: float, step: int) -> None:
        super().__init__(f"{path}: {metric} is {value} at step {step}")
        self.metric = metric
        self.value = value
        self.step = step


def is_one(folder: Path) -> bool:
    """Whether T5X wrote a folder, not the local engine."""
    return (folder / CONFIG).is_file()


def config_text(folder: Path) -> str:
    """Returns the run's gin configuration.

    Raises:
      UserError: the file can't be read.
    """
    try:
        return (folder / CONFIG).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{folder / CONFIG}: can't be read ({error}); move its folder away"
        ) from None


def read_series(folder: Path) -> Series:
    """Reads the event files of all starts of a run, with the local engine's metric names.

    Names are ``train/…``, ``validation/…`` and, the only timing, ``timing/seqs_per_second``. T5X's
    own metrics, such as ``accuracy``, are left out, since some are in units of the loss. If several
    files have a step, as after a restart, the newest file is used. The first speed of each file is
    left out, since its period includes loading programs and waiting for the first batch.

    Raises:
      NotFinite: a value is not finite.
      UserError: there are no event files, or one can't be read.
    """
    homes = [(folder / "train", "train/")]
    homes += [(home, "validation/") for home in sorted((folder / "training_eval").glob("*"))]
    steps: dict[int, dict[str, float]] = {}
    replayed: list[Replayed] = []
    for home, prefix in homes:
        series = overlaid(_attempt(path, prefix) for path in _event_files(home))
        replayed += series.replayed
        for step, values in series.steps.items():
            steps.setdefault(step, {}).update(values)
    return Series(steps=dict(sorted(steps.items())), replayed=tuple(replayed))


def read_steps(folder: Path) -> Steps:
    """Returns the values of `read_series` by step."""
    return read_series(folder).steps


def _attempt(path: Path, prefix: str) -> dict[int, dict[str, float]]:
    """Returns the values in one event file, by step and the local engine's metric name."""
    steps: dict[int, dict[str, float]] = {}
    first_speed = True
    for step, tag, value in _scalars(path):
        name = prefix + tag
        if tag == SPEED and prefix == "train/":
            if first_speed:
                first_speed = False
                continue
            name = tag
        # The "loss" of T5X's evaluation is the objective, which the local engine does not validate.
        elif tag.startswith((TIMING, "learning_rate/", *_STOCK)) or name == "validation/loss":
            continue
        elif not math.isfinite(value):
            raise NotFinite(path, name, value, step)
        steps.setdefault(step, {})[name] = value
    return steps


def foreign_configs(folder: Path) -> Iterator[str]:
    """Describes event files with another configuration than the folder's.

    At every start T5X writes its configuration to `CONFIG` and, as text, to the event file. Paths
    are not compared, since they may change between two starts of a run.
    """
    ours = _settings(config_text(folder))
    for path in _event_files(folder / "train"):
        for event in _events(path):
            for value in event.summary.value:
                if value.tag != "config" or value.metadata.plugin_data.plugin_name != "text":
                    continue
                theirs = _settings(b"".join(value.tensor.string_val).decode("utf-8", "replace"))
                name = next(
                    (key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)), None
                )
                if name is not None:
                    yield (
                        f"{path} is of another run: its {name} is {theirs.get(name, 'not set')}, "
                        f"and this run's {ours.get(name, 'not set')}"
                    )


def _settings(text: str) -> dict[str, str]:
    """Parses the bindings of a gin configuration, without paths.

    >>> _settings("RANDOM_SEED = 0\\nMODEL_DIR = '/tmp/x'\\n# Macros:")
    {'RANDOM_SEED': '0'}
    """
    pairs = (line.strip().split(" = ", 1) for line in text.splitlines() if " = " in line)
    return {name: value for name, value in pairs if "/" not in value}


def _event_files(folder: Path) -> list[Path]:
    # Sorted by the time in seconds in their names, the oldest first.
    found = sorted(
        folder.glob("events.out.tfevents.[0-9]*"), key=lambda path: int(path.name.split(".")[3])
    )
    if not found:
        raise UserError(f"{folder} has no event files of T5X: run the segment again")
    return found


def _events(path: Path) -> Iterator[Any]:
    # TensorBoard's own loader stops at damage without an error, so records are read one by one.
    try:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.compat.tensorflow_stub import errors
        from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed and {path} needs it: install the extra 'train'"
        ) from error
    reader = PyRecordReader_New(str(path))
    while True:
        try:
            reader.GetNext()
            event = event_pb2.Event.FromString(reader.record())
        except errors.OutOfRangeError:
            return
        except Exception as error:
            # A killed T5X may leave an incomplete last record; it continues in another file.
            if isinstance(error, errors.DataLossError) and "truncated" in str(error).lower():
                return
            # The reader does not check a record's length, so any error may be due to damage.
            raise UserError(f"{path}: damaged ({error}); move the folder away") from error
        yield event


def _scalars(path: Path) -> Iterator[tuple[int, str, float]]:
    for event in _events(path):
        from tensorboard.util import tensor_util

        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name != "scalars":
                continue
            try:
                if value.tensor.tensor_shape.dim:
                    raise ValueError("an array")
                number = float(tensor_util.make_ndarray(value.tensor))
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path}: {value.tag} at step {event.step} is not a number ({error}); move "
                    "the folder away"
                ) from error
            if math.isnan(number) and value.tag.endswith(("_precision", "_recall")):
                continue  # undefined without positives; the local engine does not log these
            yield event.step, value.tag, number
