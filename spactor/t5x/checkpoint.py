"""Parts of a checkpoint of T5X: shapes of its arrays, and the record of its data stream.

Beside TensorFlow's own state of the stream, `stream.TrainStream` writes one JSON file per process.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from etils import epath
from flax import traverse_util

from spactor import plain_data, strict_json
from spactor.errors import UserError

Shapes = dict[tuple[str, ...], tuple[int, ...]]
_RECORD = ".json"


@dataclass(frozen=True)
class Record:
    """The record of a stream.

    Attributes:
      facts: settings that determine the data, and the run's first step.
      step: of the checkpoint.
      state: digest of TensorFlow's files; there are none at the first step.

    Raises:
      ValueError: the steps are out of order.
    """

    facts: dict[str, Any]
    step: int
    state: str

    def __post_init__(self) -> None:
        first = self.facts.get("first_step")
        if type(first) is not int or not 0 <= first <= self.step:
            raise ValueError("steps out of order")


def absolute(path: str | os.PathLike[str]) -> epath.Path:
    """Returns an absolute path; an address such as ``gs://bucket/folder`` is one."""
    # epath's own `absolute` puts the working directory before gs://.
    text = os.fspath(path)
    return epath.Path(text if "://" in text else os.path.abspath(text))


def shapes_of(tree: Mapping[str, Any]) -> Shapes:
    """Returns the shapes of a state dictionary's parameters and slots by name; not the step's.

    In T5X's older format an array is a dictionary with its location. What has no shape is left out.
    """
    shapes = {}
    for keys, leaf in flatten(tree).items():
        is_place = isinstance(leaf, Mapping) and "metadata" in leaf
        shape = leaf["metadata"]["shape"] if is_place else getattr(leaf, "shape", None)
        if shape is not None and keys != ("state", "step"):
            shapes[keys] = tuple(shape)
    return shapes


def flatten(tree: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Returns the leaves of a state dictionary, or of its structure, by name."""
    return traverse_util.flatten_dict(
        tree, keep_empty_nodes=True, is_leaf=lambda _, node: "driver" in node
    )


def require_same_shapes(found: Shapes, wanted: Shapes, path: object) -> None:
    """Compares a checkpoint's shapes with a model's.

    Raises:
      UserError: they differ; the message names the checkpoint's path and an array.
    """
    for keys in sorted({*found, *wanted}, reverse=True):
        theirs, ours = found.get(keys, "missing"), wanted.get(keys, "missing")
        if theirs != ours:
            raise UserError(
                f"{path}: {'/'.join(keys)} is {theirs} there and {ours} in this configuration: use "
                "the size, vocabulary and stage it was made with"
            )


def record_files(folder: epath.Path) -> list[epath.Path]:
    """Returns the records of a checkpoint, one per process, in folders of their own if many."""
    # epath has no recursive pattern.
    return [*folder.glob("dataset/*.json"), *folder.glob("dataset/*/*.json")]


def state_files(path: epath.Path) -> list[epath.Path]:
    """Returns the files of a stream's state: those named ``path.*``, without the record."""
    return sorted(part for part in path.parent.glob(f"{path.name}.*") if part.suffix != _RECORD)


def _state_digest(path: epath.Path) -> str:
    digest = hashlib.sha256()
    for part in state_files(path):
        content = part.read_bytes()
        digest.update(f"{part.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def require_same_state(path: epath.Path, record: Record) -> None:
    """Checks that the files of the state are those that were saved.

    TensorFlow reads its own unchecked, and damage may crash the process.

    Raises:
      UserError: they have changed.
    """
    if _state_digest(path) != record.state:
        raise damaged(path, "its files are not those that were saved")


def damaged(path: epath.Path, error: object) -> UserError:
    """Returns the error for a data state that can't be read."""
    return UserError(
        f"{path}: damaged ({error}): move its checkpoint away, and run again from the one before"
    )


def write_record(path: epath.Path, facts: dict[str, Any], step: int) -> None:
    """Writes the record of a stream whose state is saved."""
    record = Record(facts=facts, step=step, state=_state_digest(path))
    text = json.dumps(asdict(record), indent=1, sort_keys=True)
    path.with_suffix(_RECORD).write_text(text)


def read_record(path: epath.Path) -> Record | None:
    """Reads the record of a stream; None if there is none.

    Raises:
      UserError: the file is damaged.
    """
    file = path.with_suffix(_RECORD)
    if not file.exists():
        return None
    try:
        values = strict_json.loads(file.read_bytes().decode())
        return plain_data.from_mapping(Record, values, str(file))
    except (UserError, ValueError):
        raise damaged(file, "not the record of a data stream") from None
