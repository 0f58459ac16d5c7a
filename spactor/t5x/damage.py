"""Checks a checkpoint of T5X: ``python -m spactor.t5x.damage checkpoint_<step>``.

It prints one line of JSON: the reason why the checkpoint can't be read, or null. The engine runs it
in a process of its own, because reading starts JAX, which the process that starts T5X must not do.
T5X's own errors for a truncated file may not name the file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from etils import epath

from spactor import files
from spactor.errors import UserError, first_line
from spactor.t5x import convert, stream_record


def reason(path: Path) -> str | None:
    """Why a checkpoint can't be read; None if every array and data state can be read.

    Raises:
      OSError: the machine failed, not the file.
    """
    try:
        convert.read(path)
        for record in path.glob("dataset/**/*.json"):
            state = epath.Path(record.with_suffix(""))
            stream_record.require_same_state(state, stream_record.read(epath.Path(record)))
    # Orbax and TensorStore each have errors of their own for a file cut short.
    except Exception as error:
        if files.system_fault(error):
            raise
        return str(error) if isinstance(error, UserError) else first_line(error)
    return None


if __name__ == "__main__":
    print(json.dumps(reason(Path(sys.argv[1]))))
