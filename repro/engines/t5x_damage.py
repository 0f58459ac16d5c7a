"""Reads a checkpoint of T5X to find damage: ``python -m repro.engines.t5x_damage PATH``.

Prints a line of JSON: the reason why the checkpoint can't be read, or null. Reading starts JAX, and
so the engine runs this as a process.
"""

from __future__ import annotations

import json
import sys

from etils import epath

from spactor import files
from spactor.errors import UserError, first_line


def damage(path: epath.Path) -> str | None:
    """Returns why a checkpoint can't be read; None if every array and data state can be read.

    T5X's own errors for a truncated file may not name the file.

    Raises:
      OSError: the machine failed, not the file.
    """
    from spactor.t5x import checkpoint, convert  # They bring JAX.

    try:
        convert.read(path)
        for file in checkpoint.record_files(path):
            state = file.with_suffix("")
            if record := checkpoint.read_record(state):
                checkpoint.require_same_state(state, record)
    # Orbax and TensorStore each have errors of their own for a file cut short.
    except Exception as error:
        if files.system_fault(error):
            raise
        return str(error) if isinstance(error, UserError) else first_line(error)
    return None


if __name__ == "__main__":
    print(json.dumps(damage(epath.Path(sys.argv[1]))))
