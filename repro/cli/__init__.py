"""Entry point of the ``repro`` command, with its exit codes and error messages."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn

import typer

# These imports register the commands.
from repro.cli import (  # noqa: F401
    comparing,
    data,
    evidence,
    outputs,
    paper,
    rebuilding,
    run,
    tpu,
    training,
)
from repro.cli.app import app
from spactor import files
from spactor.errors import DamageWarning, UserError

_TRAINING_MODULES = {
    *("jax", "jaxlib", "flax", "optax", "orbax", "clu", "t5", "seqio", "tensorflow"),
    *("tensorflow_text", "tensorboard", "sentencepiece", "rouge_score", "sklearn"),
    *("safetensors", "tokenizers"),
}


_INTERRUPTED = 130


def entry() -> NoReturn:
    """Runs ``main``, and ends the process at once after an interrupt (ctrl-C or SIGTERM).

    Threads of JAX and TensorFlow may still run then, and a regular exit of the interpreter could
    crash. Files are written atomically, so none is left incomplete.
    """
    if sys.getfilesystemencoding() != "utf-8":
        # JAX and TensorFlow use UTF-8 in every locale: with another encoding in Python, the same
        # path would name different files.
        os.execve(
            sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONUTF8": "1"}
        )
    for stream in (sys.stdout, sys.stderr):
        # Characters that the encoding of a terminal or file lacks are printed as "?".
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, _interrupt)
    warnings.showwarning = _one_line(warnings.showwarning)
    try:
        main()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_INTERRUPTED)
        raise


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _one_line(show: Callable[..., None]) -> Callable[..., None]:
    """Returns a function that prints warnings of damage in one line, and others by ``show``."""

    def shown(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, DamageWarning):
            print(f"repro: {message}", file=sys.stderr)
        else:
            show(message, category, *rest, **more)

    return shown


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line; exits with 0, with 2 after a user's error, with 130 if interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(given, prog_name="repro", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except UserError as error:
        _exit(str(error), 2)
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in _TRAINING_MODULES:
            raise
        _exit(
            f"this command needs {missing}, which the extra 'train' installs: "
            "python -m pip install -c constraints.txt -e '.[train]' in the checkout",
            2,
        )
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # Click's class, or a copy in Typer.
            main([*given, "--help"])
        line = _usage_mistake(error)
        if line is None and (fault := files.system_fault(error)):
            line = f"{fault}: fix that, then run the same command again"
        if line is None:
            raise
        _exit(line, 2)
    # Some versions of Typer convert the interrupt to its exit code.
    if code == _INTERRUPTED:
        _exit(f"interrupted; to continue: {shlex.join(['repro', *given])}", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _exit(line: str, code: int) -> NoReturn:
    # UserError shortens the text, which may quote long arguments, to one printable line.
    print(f"repro: {UserError(line)}", file=sys.stderr)
    sys.exit(code)


def _usage_mistake(error: Exception) -> str | None:
    """Formats an error of Typer or Click about arguments; None for other errors."""
    text = getattr(error, "format_message", None)
    return f"{text()} See `repro --help`." if callable(text) else None
