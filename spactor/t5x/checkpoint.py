"""Parts of a checkpoint of T5X: shapes of its arrays, and the record of its data stream.

Beside TensorFlow's own state of the stream, `stream.TrainStream` writes one JSON file per process
with the settings that determine the data, the run's first step, and ``state``, a digest of
TensorFlow's files, of which there are none at that step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from etils import epath
from flax import traverse_util

from spactor import provenance, strict_json
from spactor.errors import UserError

Shapes = dict[tuple[str, ...], tuple[int, ...]]
_RECORD = ".json"


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
    digests = {part.name: sha256(part.read_bytes()).hexdigest() for part in state_files(path)}
    return provenance.fingerprint(digests)


def require_same_state(path: epath.Path, record: Mapping[str, Any]) -> None:
    """Checks that the files of the state are those that were saved.

    TensorFlow reads its own unchecked, and damage may crash the process.

    Raises:
      UserError: they have changed.
    """
    if _state_digest(path) != record.get("state"):
        raise _damaged(path, "its files are not those that were saved")


def _damaged(path: epath.Path, error: object) -> UserError:
    """Returns the error for a data state that can't be read."""
    return UserError(
        f"{path}: damaged ({error}): move its checkpoint away, and run again from the one before"
    )


def write_record(path: epath.Path, facts: dict[str, Any]) -> None:
    """Writes the record of a stream whose state is saved."""
    record = facts | {"state": _state_digest(path)}
    path.with_suffix(_RECORD).write_text(json.dumps(record, indent=1, sort_keys=True))


def read_record(path: epath.Path) -> dict[str, Any] | None:
    """Reads the record of a stream; None if there is none.

    Raises:
      UserError: the file is damaged.
    """
    file = path.with_suffix(_RECORD)
    if not file.exists():
        return None
    try:
        return dict(strict_json.loads(file.read_bytes().decode()))
    except (TypeError, ValueError):
        raise _damaged(file, "not the record of a data stream") from None
