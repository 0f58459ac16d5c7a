"""The ``repro`` command: its start, its exit codes and its error messages."""

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

# Importing the commands registers them.
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
    """The command itself: ``main``, but an interrupt ends the process at once.

    Threads of JAX and TensorFlow may be at work then, and taking the interpreter down under them
    can crash. Every file is written whole or not at all, so nothing is lost. SIGTERM interrupts as
    ctrl-C does.
    """
    if sys.getfilesystemencoding() != "utf-8":
        # JAX, TensorFlow and our files use UTF-8 whatever the locale: with another encoding they
        # and Python would name different files.
        os.execve(
            sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONUTF8": "1"}
        )
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a file with another encoding gets "?" for signs that it does not have.
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
    """Prints a warning of damage as one line, and any other warning as Python does."""

    def shown(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, DamageWarning):
            print(f"repro: {message}", file=sys.stderr)
        else:
            show(message, category, *rest, **more)

    return shown


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line; exits with 0, 2 for a user's mistake, 130 when interrupted."""
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
            f"this command needs {missing}, which the extra 'train' brings: "
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
    # Some versions of Typer turn the interrupt into its exit code themselves.
    if code == _INTERRUPTED:
        _exit(f"interrupted; to continue: {shlex.join(['repro', *given])}", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _exit(line: str, code: int) -> NoReturn:
    # UserError makes it one printable line; the text may quote arguments of any length.
    print(f"repro: {UserError(line)}", file=sys.stderr)
    sys.exit(code)


def _usage_mistake(error: Exception) -> str | None:
    """Typer's complaint about arguments, which may be a class of Click's or of its own."""
    text = getattr(error, "format_message", None)
    return f"{text()} See `repro --help`." if callable(text) else None
