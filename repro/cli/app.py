"""The Typer application, and the decorator that registers its commands."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Run": ("plan", "prepare", "run", "status", "score", "collect"),
    "Results": ("summary", "table", "figure", "report", "explain", "rebuild"),
    "Evidence": ("evidence",),
    "The paper": ("claims", "audit"),
    "Tools": ("data", "verify", "export", "forecast", "launch", "compile"),
}
"""Commands by section of the help, in the order in which a study uses them."""


class Sections(TyperGroup):
    """Group of commands whose help lists them by section."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Returns the names of all commands, in the order of the sections."""
        return [name for names in SECTIONS.values() for name in names]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Writes a list of commands for every section."""
        width = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            limit = formatter.width - 6 - width
            shown = [(name, self.commands[name].get_short_help_str(limit)) for name in names]
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in shown])


app = typer.Typer(
    name="repro",
    cls=Sections,
    help="Reproduces SPACTOR-T5: trains the models, and prints the paper's tables, figures and "
    "tests from what was measured.",
    # Importing Rich would take longer than everything else in `repro --help`.
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="A checkout comes with results: repro report --from results/study",
)


class _Command(TyperCommand):
    """Command whose help lists arguments by name, without Typer's braces and Python's types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Returns the parts of the usage line after the command's name."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes the lists of arguments and options."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                kind = parameter.param_type_name
                name = parameter.metavar if kind == "argument" else None
                rows[kind].append((name or record[0], record[1]))
        for kind, listed in rows.items():
            if listed:
                with formatter.section(f"{kind.title()}s"):
                    formatter.write_dl(listed)


Function = Callable[..., None]


def command(group: typer.Typer, name: str | None = None) -> Callable[[Function], Function]:
    """Returns a decorator that registers a function as a command.

    Fields of a dataclass that is the type of a parameter become options, so that commands with the
    same options share their declaration.

    Args:
      group: group of the command.
      name: name of the command; by default the function's.
    """

    def register(function: Function) -> Function:
        parameters: list[inspect.Parameter] = []
        chosen: dict[str, Any] = {}
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            hint = hints[parameter.name]
            if not dataclasses.is_dataclass(hint):
                parameters.append(parameter.replace(annotation=hint))
                continue
            chosen[parameter.name] = hint
            types = get_type_hints(hint, include_extras=True)
            for field in dataclasses.fields(hint):
                option = parameter.replace(name=field.name, default=field.default)
                parameters.append(option.replace(annotation=types[field.name]))

        @functools.wraps(function)
        def called(**given: Any) -> None:
            for parameter, hint in chosen.items():
                fields = {field.name: given.pop(field.name) for field in dataclasses.fields(hint)}
                given[parameter] = hint(**fields)
            function(**given)

        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        group.command(name, cls=_Command)(called)
        return function

    return register


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"repro {metadata.version('spactor')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help="Prints the version and exits.",
        ),
    ] = False,
) -> None:
    """Declares options of the program itself; its help is the application's."""
