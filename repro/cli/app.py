"""The application, its options, and what several commands share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from repro import advice
from spactor.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.compute as pc

    from analysis.schema.nodes import Nodes
    from repro.plan import Tree

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Run": ("plan", "prepare", "run", "status", "score", "collect"),
    "Results": ("summary", "table", "figure", "report", "explain", "rebuild"),
    "Evidence": ("evidence",),
    "The paper": ("claims", "audit"),
    "Tools": ("data", "verify", "export", "forecast", "launch", "compile"),
}
"""Commands by section of the help, in the order in which a study needs them."""


class Sections(TyperGroup):
    """Lists the commands by section."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, in the order of the sections."""
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
    # Rich would take longer to import than everything else that `repro --help` needs.
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
evidence = typer.Typer(
    name="evidence",
    help="Statistical tests: registered, learned, trend, savings, power.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
app.add_typer(evidence)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"repro {metadata.version('spactor')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="The version."),
    ] = False,
) -> None:
    """Options of the program itself; its help is the application's."""


Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="smoke, micro, mini or paper; a study: lambda, mlm, generator, means, curriculum or "
        "scratch; or a .toml file of yours.",
    ),
]


def local_path(given: str | Path) -> Path:
    """The path of an option, which must be one of this machine.

    Raises:
      UserError: it is the address of a store such as gs://bucket, or its name is not UTF-8.

    >>> local_path("my runs")
    PosixPath('my runs')
    """
    try:
        str(given).encode()
    except UnicodeEncodeError:
        raise UserError(f"{given!r}: a path must be valid UTF-8: rename it") from None
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", str(given)):
        raise UserError(
            f"{given} is an address, not a path of this machine: copy it here, or mount it and "
            "give the path where it is mounted"
        )
    return Path(given)


Runs = Annotated[
    Path,
    typer.Option(
        "--runs",
        parser=local_path,
        metavar="PATH",
        help="Folder of runs, caches and outputs.",
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option("--size", metavar="SIZE", help="Only this size; may be repeated."),
]
Taus = Annotated[
    list[str] | None, typer.Option("--tau", metavar="TAU", help="Only this τ; may be repeated.")
]
Seeds = Annotated[
    list[int] | None, typer.Option("--seed", metavar="N", help="Only this seed; may be repeated.")
]
Variants = Annotated[
    list[str] | None,
    typer.Option("--variant", metavar="NAME", help="Only this variant; may be repeated."),
]
Engine = Annotated[
    str,
    typer.Option("--engine", metavar="NAME", help="local or t5x; by default the profile's own."),
]
Source = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="SOURCE",
        help="Where the numbers come from: 'published', a file or folder of records, or a folder "
        "of runs (by default that of --runs).",
    ),
]
To = Annotated[
    Path | None,
    typer.Option(
        "--to",
        parser=local_path,
        metavar="PATH",
        help="Folder to write to; by default beside the records.",
    ),
]
Details = Annotated[bool, typer.Option("--details", help="The numbers and tests behind each line.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        parser=local_path,
        metavar="PATH",
        help="A prepared data folder to read, instead of preparing one on this machine.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        parser=local_path,
        metavar="PATH",
        envvar="SPACTOR_DATA_DIR",
        help="Your folder with C4, T5's vocabulary and the benchmarks, which mini and paper read.",
    ),
]


@dataclass(frozen=True)
class Measured:
    """Records of our runs and what lies beside them.

    Attributes:
      metrics, timing: validated records; ``timing`` is None where there is none.
      provenance: of every finished node.
      output: folder for what is drawn and written from them.
    """

    metrics: pd.DataFrame
    timing: pd.DataFrame | None
    provenance: Nodes
    output: Path

    @property
    def records(self) -> pd.DataFrame:
        """Metrics and timing together."""
        from analysis.schema import records

        return self.metrics if self.timing is None else records.combine(self.metrics, self.timing)


def measured(source: str, profile: str, runs: Path, reads: pc.Expression | None = None) -> Measured:
    """Records of our runs: of a folder of runs, or of records, with what lies beside them.

    Args:
      reads: a row filter, see ``analysis.schema.rows``; all records by default.
    """
    from analysis.schema import records
    from analysis.schema.nodes import Nodes
    from repro import collect, folders
    from repro.specs import load_profile

    if source == "published":
        raise UserError("the paper prints no series of numbers: leave --from out, or name a file")
    path = local_path(source) if source else runs
    if source and (path / collect.METRICS).is_file():
        path /= collect.METRICS
    if path.is_file():
        metrics, output = path, path.parent / "output"
    elif source and not path.exists():
        raise UserError(
            f"--from {source}: no such file or folder; give 'published', a file or a folder of runs"
        )
    else:
        name = load_profile(profile).name
        if not path.exists():
            train = advice.command("run", profile, path)
            raise UserError(
                f"there is no runs folder {path}: train with `{train}`, or see the results that "
                "come with the checkout by --from results/micro, or the paper's tables by --from "
                "published"
            )
        folders.open_runs(path, create=False, profile=profile)
        metrics = records_folder(path, name) / collect.METRICS
        output = folders.profile_folder(path, name) / "output"
        if not metrics.is_file():
            raise UserError(
                f"nothing of profile {name} is collected in {path}: "
                f"run `{advice.command('collect', profile, path)}` first"
            )
    timing = metrics.with_name(collect.TIMING)
    provenance = metrics.with_name(collect.PROVENANCE)
    return Measured(
        metrics=_published_experiments(records.read(metrics, reads)),
        timing=_published_experiments(records.read(timing, reads))
        if timing.is_file() and timing != metrics
        else None,
        provenance=collect.read_provenance(provenance) if provenance.is_file() else Nodes.of(),
        output=output,
    )


def is_collected(profile: str, runs: Path) -> bool:
    """Whether a folder of runs holds collected records of a profile."""
    from repro import collect

    return (records_folder(runs, profile) / collect.METRICS).is_file()


def _published_experiments(frame: pd.DataFrame) -> pd.DataFrame:
    """Records without those of variants, which no published table or figure has a place for."""
    return frame[frame["variant"] == ""].reset_index(drop=True)


def tree_of(
    profile: str,
    sizes: Sequence[str] | None = None,
    taus: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    variants: Sequence[str] | None = None,
    engine: str = "",
) -> Tree:
    """The tree of a profile's experiments, or of some of them."""
    from repro import plan as planning
    from repro.engines.factory import with_engine
    from repro.specs import load_profile

    chosen = load_profile(profile)
    if engine:
        chosen = with_engine(chosen, engine)
    specs = chosen.select(sizes or (), taus or (), seeds or (), variants or ())
    return planning.build(chosen, specs)


def records_folder(runs: Path, profile: str) -> Path:
    """The folder of a profile's collected records."""
    from repro import folders

    return folders.profile_folder(runs, profile) / "records"
