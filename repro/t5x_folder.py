"""What T5X wrote into a run's folder: series from its event files, scores from seqio's.

T5X writes one event file per start of the run under ``train/`` and ``training_eval/<task>/``,
scalars as tensors. Its scores are ``inference_eval/<task>-metrics.jsonl``, which the local engine
writes too (`repro.step_lines.read_steps` reads both), with the answers beside them,
``<task>-<step>.jsonl``. Neither T5X nor TensorFlow is needed to read them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from repro.step_lines import TIMING, Series, overlaid
from spactor import strict_json
from spactor.errors import UserError

CONFIG = "config.gin"
SPEED = "timing/seqs_per_second"


class NotFinite(UserError):
    """A number that T5X logged is NaN or infinite.

    Attributes:
      metric: its name.
      value: that it has.
      step: at which T5X logged it.
    """

    def __init__(self, path: Path, metric: str, value: float, step: int) -> None:
        super().__init__(f"{path}: {metric} is {value} at step {step}")
        self.metric = metric
        self.value = value
        self.step = step


def is_one(folder: Path) -> bool:
    """Whether T5X, not the local engine, wrote this folder."""
    return (folder / CONFIG).is_file()


def config_text(folder: Path) -> str:
    """The gin configuration the run had, for its provenance.

    Raises:
      UserError: it can't be read.
    """
    return _text(folder / CONFIG)


def read_attempts(folder: Path) -> Series:
    """One series of all starts of the run, named as the local engine names it.

    ``train/…`` and ``validation/…``, and of T5X's many clocks ``timing/seqs_per_second``. Of a
    step that several files hold, as after a restart, the newest file's values count. The first
    speed of each file is left out: the clock of its period also runs while programs are loaded and
    the first batch is awaited, so it is often a tenth of the others.

    Raises:
      NotFinite: a value is not finite.
      UserError: there are no event files, or one can't be read.
    """
    homes = [overlaid(map(_training, _event_files(folder / "train")))]
    for task in sorted((folder / "training_eval").glob("*")):
        homes.append(overlaid(map(_validation, _event_files(task))))
    steps: dict[int, dict[str, float]] = {}
    for home in homes:
        for step, values in home.steps.items():
            steps.setdefault(step, {}).update(values)
    replayed = tuple(each for home in homes for each in home.replayed)
    return Series(steps=dict(sorted(steps.items())), replayed=replayed)


def read_series(folder: Path) -> Mapping[int, Mapping[str, float]]:
    """Values by step, as `read_attempts` finds them."""
    return read_attempts(folder).steps


def _training(path: Path) -> dict[int, dict[str, float]]:
    steps: dict[int, dict[str, float]] = {}
    starting = True
    for step, tag, value in _scalars(path):
        if tag == SPEED:
            if not starting:
                steps.setdefault(step, {})[tag] = value
            starting = False
        elif not tag.startswith((TIMING, "learning_rate/")):
            steps.setdefault(step, {})[f"train/{tag}"] = _finite(path, f"train/{tag}", value, step)
    return steps


def _validation(path: Path) -> dict[int, dict[str, float]]:
    steps: dict[int, dict[str, float]] = {}
    for step, tag, value in _scalars(path):
        # T5X's "loss" of an evaluation is that of one of the others.
        if not tag.startswith(TIMING) and tag != "loss":
            name = f"validation/{tag}"
            steps.setdefault(step, {})[name] = _finite(path, name, value, step)
    return steps


def strange_configs(folder: Path) -> Iterator[str]:
    """Event files whose run had another configuration than this folder's, one line each.

    T5X writes its configuration at every start, into `CONFIG` and as text into the event file.
    Paths may change between two starts of one run.
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
    """Bindings of a gin configuration, paths apart.

    >>> _settings("RANDOM_SEED = 0\\nMODEL_DIR = '/tmp/x'\\n# Macros:")
    {'RANDOM_SEED': '0'}
    """
    pairs = (line.strip().split(" = ", 1) for line in text.splitlines() if " = " in line)
    return {name: value for name, value in pairs if "/" not in value}


def read_answers(path: Path) -> list[dict[str, Any]]:
    """Question, target and prediction of each example, from seqio's ``<task>-<step>.jsonl``.

    Raises:
      UserError: naming file and line.
    """
    answers = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        try:
            record = strict_json.loads(line)
            answers.append(
                {
                    "inputs": record["input"]["inputs_pretokenized"],
                    "target": record["target"],
                    "prediction": record["prediction"],
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}, line {number}: no answer of seqio's ({error}); move the file away"
            ) from None
    return answers


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error}); move its folder away") from None


def _event_files(folder: Path) -> list[Path]:
    # The time of the start, in seconds, is in the name: oldest first, whatever the host's name.
    found = sorted(
        folder.glob("events.out.tfevents.[0-9]*"), key=lambda path: int(path.name.split(".")[3])
    )
    if not found:
        raise UserError(f"{folder} holds no event files of T5X: run the segment again")
    return found


def _events(path: Path) -> Iterator[Any]:
    try:
        from google.protobuf.message import DecodeError
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
        except errors.OutOfRangeError:
            return
        except errors.DataLossError as error:
            # What a kill left half-written is the file's last record; T5X goes on in another file.
            if "truncated" in str(error).lower():
                return
            raise UserError(f"{path}: damaged ({error}); move the folder away") from error
        except Exception as error:
            # A length that no file has, which the reader takes at its word.
            raise UserError(f"{path}: damaged ({error}); move the folder away") from error
        try:
            event = event_pb2.Event.FromString(reader.record())
        except DecodeError as error:
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
                    f"{path}: {value.tag} at step {event.step} is no number ({error}); move the "
                    "folder away"
                ) from error
            if math.isnan(number) and value.tag.endswith(("_precision", "_recall")):
                continue  # Nothing was judged replaced, or was: the local engine logs nothing.
            yield event.step, value.tag, number


def _finite(path: Path, metric: str, value: float, step: int) -> float:
    if not math.isfinite(value):
        raise NotFinite(path, metric, value, step)
    return value
