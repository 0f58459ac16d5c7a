"""What a data stream says of itself in a checkpoint of T5X, beside TensorFlow's state of it.

One JSON file per process, written and read by `stream.TrainStream`, and read by `restore`.
"""

from __future__ import annotations

from typing import Any, TypedDict

from etils import epath

from spactor import strict_json
from spactor.errors import UserError


class Record(TypedDict):
    """One file.

    Attributes:
      facts: what the data depend on.
      step: of the checkpoint.
      origin: at which the stream began.
      ahead: batches that were read beyond the step, 0 or 1.
    """

    facts: dict[str, Any]
    step: int
    origin: int
    ahead: int


def damaged(path: epath.Path, error: object) -> UserError:
    """Says what to do about a data state that can't be read."""
    return UserError(
        f"{path}: damaged ({error}): move its checkpoint away, and run again from the one before"
    )


def read(path: epath.Path) -> Record:
    """Reads one.

    Raises:
      UserError: it is damaged.
    """
    try:
        record = strict_json.loads(path.read_bytes().decode())
        steps = [record[name] for name in ("step", "origin", "ahead")]
        if not isinstance(record["facts"], dict) or any(type(step) is not int for step in steps):
            raise ValueError("no facts and steps")
        if not 0 <= record["origin"] <= record["step"] or record["ahead"] not in (0, 1):
            raise ValueError("steps out of order")
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(path, error) from None
    return record
