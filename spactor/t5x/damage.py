"""Why a checkpoint of T5X can't be read: ``python -m spactor.t5x.damage checkpoint_<step>``.

A process of its own, since who starts T5X must not start JAX. It prints one line of JSON: a reason,
or null. T5X itself, given a file cut short, may end in words that have nothing to do with it.
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
    """What is wrong with a checkpoint; None where every array and data state can be read.

    Raises:
      OSError: the machine is at fault, not the file.
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
