"""Several runs of stock T5X's scripts in one process, to save start-ups; prints how each ended.

``python many_runs.py RUNS.json [FOLDER]``, started by `t5x_process.many`. A run is
``{"script": "train", "files": [gin files], "macros": {name: value}}``; what is printed last is a
JSON list with ``null`` for a run that ended well, or the error's type and its message. With FOLDER,
epath reads and writes what is below it as it does a bucket: through TensorFlow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gin

Scripts = Mapping[str, Callable[..., Any]]


def scripts() -> Scripts:
    """T5X's functions, by the name __main__, under which T5X's gin files bind them."""
    from t5x.eval import evaluate
    from t5x.infer import infer
    from t5x.train import train

    found = {"train": train, "eval": evaluate, "infer": infer}
    for function in found.values():
        function.__module__ = "__main__"
        # Where gin looks for a name that a file has from its ``import __main__``.
        setattr(sys.modules["__main__"], function.__name__, function)
        gin.external_configurable(function, module="__main__")
    return found


def ended(run: Mapping[str, Any], known: Scripts) -> list[str] | None:
    """The error's type and message, or none."""
    gin.clear_config()
    macros = [f"{name} = {value!r}" for name, value in run["macros"].items()]
    try:
        # Then gin is locked, as by T5X's own start.
        gin.parse_config_files_and_bindings(run["files"], macros)
        gin.get_configurable(known[run["script"]])()
    # The result is whatever a run raises.
    except Exception as error:
        # gin raises a copy of the error's class, with a remark below the message.
        return [type(error).__name__, str(error).split("\n  In call to configurable")[0]]
    return None


def as_bucket(folder: str) -> None:
    """Uses TensorFlow's backend of epath below a folder."""
    from etils.epath import backend, gpath

    usual = gpath._GPath._backend.fget
    gpath._GPath._backend = property(
        lambda path: backend.tf_backend if path._path_str.startswith(folder) else usual(path)
    )


def main(path: str, *bucket: str) -> None:
    for folder in bucket:
        as_bucket(folder)
    known = scripts()
    import t5x

    gin.add_config_file_search_path(str(Path(t5x.__file__).parent.parent))
    ends = [ended(run, known) for run in json.loads(Path(path).read_text("utf-8"))]
    print(json.dumps(ends))


if __name__ == "__main__":
    main(*sys.argv[1:])
