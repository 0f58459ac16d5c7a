"""The command line as a target: bytes become a command with its real options and odd values.

Commands that train, prepare or compile stop before they do: their engine refuses. Most inputs stop
at the parse, which is where any text arrives; one in sixteen goes on to the command itself. Which
do is a matter of the bytes' checksum, lest a fuzzer that seeks coverage has all of them go on.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from repro import cli
from spactor.errors import UserError

WORDS = (
    *("", "0", "1", "2", "17", "18", "-1", "1e9", "9" * 30, "0x1", "nan", "inf", "٣", "1_0", "two"),
    *("smoke", "micro", "own.toml", "nowhere.toml", "a b.toml", "CON.toml", "../x", "x/y", "."),
    *("base", "large", "60K", "250K", "999K", "1000K", "500K", "1M", "τ", "\udcff", "\x1b[31m"),
    *("local", "t5x", "lambda", "mlm", "scratch", "published", "records.csv", "bad.csv", "runs"),
    *("text", "markdown", "latex", "html", "csv", "json", "docx", "holds", "not testable", "slurm"),
    *(
        "skypilot",
        "xmanager",
        "gs://b",
        "v4",
        "v5e",
        "2x2x1",
        "4x4x4",
        "120K 500K",
        "SQuAD",
        "a\nb",
    ),
    *("base/s0/sc/*", "base/s0/hybrid/0-60K", "[", "*", "glue", "mmlu", "a" * 300, "--", "-", "-h"),
    *("--help", "--profile", "--diff=1", "%s", "{}", "{0}", "💾", "\u202ex", "~", "$HOME", "`id`"),
)
TOO_LONG_TO_RUN = frozenset(
    {"figure", "report", "claims", "audit", "power", "savings", "trend", "rebuild"}
)
"""Commands that take seconds when they work; these stop at the parse always."""


@functools.cache
def commands() -> dict[tuple[str, ...], tuple[str, ...]]:
    """Every command with its options, as Typer has them."""
    found = {}

    def walk(command: Any, names: tuple[str, ...]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, (*names, name))
        options = [option for one in command.params for option in one.opts if option[0] == "-"]
        found[names] = tuple(options)

    walk(_built(), ())
    return found


def arguments(data: bytes) -> list[str]:
    """A command line: each byte is a choice, and what is left over at the end is text."""
    names = sorted(commands())
    choices = iter(data)
    chosen = names[next(choices, 0) % len(names)]
    options = (*commands()[chosen], "--colour")
    found = list(chosen)
    for choice in choices:
        if choice < 128:
            found.append(options[choice % len(options)])
        elif choice < 250:
            found.append(
                WORDS[choice % len(WORDS)] if choice % 2 else WORDS[(choice * 7) % len(WORDS)]
            )
        else:
            found.append(bytes(choices).decode("utf-8", "surrogateescape").replace("\0", ""))
    return found


def place(data: bytes, folder: Path) -> None:
    (folder / "input").write_bytes(data)
    if not (folder / "own.toml").is_file():
        (folder / "own.toml").write_text('extends = "smoke"\n')
        (folder / "bad.csv").write_text("a,b\n1\n")
        head = "source,profile,size,tau,seed,finetune_seed,checkpoint,step,paper_step,suite,task"
        row = "measured,smoke,base,0,0,0,500000,10,,glue,cola,matthews_corrcoef,55.5,"
        (folder / "records.csv").write_text(f"{head},metric,value,selection\n{row}\n")


def read(folder: Path) -> None:
    """Runs the command line in the folder.

    Raises:
      UserError: what it said, where it exits with 2.
      AssertionError: it exits otherwise, says more than a line, or left something behind.
    """
    data = (folder / "input").read_bytes()
    before = sorted(os.listdir(folder))
    given = arguments(data)
    only_parsed = zlib.crc32(data) % 16 or TOO_LONG_TO_RUN & set(given)
    out, err = io.StringIO(), io.StringIO()
    home = os.getcwd()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_parsed_only() if only_parsed else _nothing_trains())
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        os.chdir(folder)
        try:
            cli.main(given)
        except SystemExit as stop:
            code = stop.code
        finally:
            os.chdir(home)
    said = err.getvalue()
    assert code in (0, 2), f"exits with {code}: {given}"
    out.getvalue().encode("utf-8", "surrogateescape")
    if code == 2:
        assert said.startswith("repro: ") and said.count("\n") == 1, f"{given}: {said!r}"
        assert sorted(os.listdir(folder)) == before, f"{given} left something behind"
        raise UserError(said)


@contextlib.contextmanager
def _nothing_trains() -> Iterator[None]:
    import repro.engines
    from analysis import compiled, compiled_t5x

    def refuses(*_: Any, **__: Any) -> Any:
        raise UserError("nothing is trained, prepared or compiled here")

    with (
        mock.patch.object(cli, "app", _built()),
        mock.patch.object(repro.engines, "engine_for", refuses),
        mock.patch.object(compiled, "update", refuses),
        mock.patch.object(compiled_t5x, "update", refuses),
    ):
        yield


@functools.cache
def _built() -> Any:
    """The commands, which Typer otherwise builds anew for each command line."""
    import typer

    return typer.main.get_command(cli.app)


@contextlib.contextmanager
def _parsed_only() -> Iterator[None]:
    with mock.patch.object(cli, "app", _stubbed()):
        yield


@functools.cache
def _stubbed() -> Any:
    """The same commands and options, whose commands do nothing."""
    import typer

    def stub(command: Any) -> Any:
        for inner in getattr(command, "commands", {}).values():
            stub(inner)
        if command.callback is not None and not hasattr(command, "commands"):
            command.callback = lambda **_: None
        return command

    return stub(typer.main.get_command(cli.app))


def seeds() -> list[bytes]:
    """One input for each command."""
    return [bytes([number]) for number in range(len(commands()))]
