"""Options of commands that train experiments or read records, and the objects they select."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro import advice
from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from spactor.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.compute as pc

    from analysis.schema.nodes import Nodes
    from repro import specs
    from repro.plan import Tree

Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="smoke, micro, mini or paper; one of the studies lambda, mlm, generator, means, "
        "curriculum and scratch; or the path of a TOML file.",
    ),
]


def local_path(given: str | Path) -> Path:
    """Converts the argument of an option to a path of this machine.

    Raises:
      UserError: the argument is an address such as gs://bucket, or not valid UTF-8.

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
    typer.Option("--engine", metavar="NAME", help="local or t5x; by default that of the profile."),
]
Source = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="SOURCE",
        help="Source of the numbers: a file or folder of records, a folder of runs (by default "
        "that of --runs) or, for commands that need only the paper's numbers, 'published'.",
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
Details = Annotated[
    bool, typer.Option("--details", help="Also prints the numbers and tests of each line.")
]
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
        help="Your folder with C4, T5's vocabulary and the benchmarks; mini and paper read it.",
    ),
]
NodeNames = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        metavar="NODE",
        help="Only this node, if its parent is finished, or the nodes that match a pattern such as "
        "'base/s0/sc/1M/*'; may be repeated.",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        metavar="N",
        min=0,
        show_default="all cores",
        help="Number of nodes that train at the same time on a CPU, each in a process with one "
        "thread. Results do not depend on it.",
    ),
]
Host = Annotated[
    int,
    typer.Option(
        "--host",
        metavar="N",
        min=0,
        envvar="TPU_WORKER_ID",
        help="Number of this host, if all hosts of a slice run this command; host 0 writes the "
        "files of each node.",
    ),
]
HostCount = Annotated[
    int, typer.Option("--hosts", min=1, metavar="N", help="Number of hosts of the slice.")
]
Coordinator = Annotated[
    str,
    typer.Option(
        "--coordinator",
        metavar="HOST:PORT",
        help="Address on host 0 that all hosts connect to; not needed if JAX finds it itself, "
        "such as on a TPU slice.",
    ),
]


@dataclass(frozen=True)
class Experiments:
    """Options that select experiments of a profile."""

    profile: Profile = DEFAULT_PROFILE
    size: Sizes = None
    tau: Taus = None
    seed: Seeds = None
    variant: Variants = None

    def tree(self, engine: str = "") -> Tree:
        """Builds the tree of the experiments.

        Args:
          engine: engine that trains the tree; "" for the profile's.

        Raises:
          UserError: the profile, the engine or an experiment does not exist.
        """
        from repro import plan
        from repro.engines.factory import with_engine
        from repro.specs import load_profile

        profile = with_engine(load_profile(self.profile), engine)
        specs = profile.select(self.size or (), self.tau or (), self.seed or (), self.variant or ())
        return plan.build(profile, specs)

    def tree_in(self, runs: Path) -> Tree:
        """Builds the tree of the experiments for the engine that trained a folder of runs.

        Raises:
          UserError: the folder does not exist, or see :meth:`tree`.
        """
        from repro import folders
        from repro.specs import load_profile

        folders.open_runs(runs, create=False, profile=self.profile)
        return self.tree(folders.engine_of(runs, load_profile(self.profile).name) or "")


@dataclass(frozen=True)
class Records:
    """Options that select records: of a folder of runs, of a file, or the published ones."""

    profile: Profile = DEFAULT_PROFILE
    runs: Runs = DEFAULT_RUNS
    source: Source = ""

    def __post_init__(self) -> None:
        """Checks that the profile exists, even if ``--from`` names a file of records."""
        if self.profile != DEFAULT_PROFILE:
            self.load_profile()

    def load_profile(self) -> specs.Profile:
        """Loads the selected profile."""
        from repro.specs import load_profile

        return load_profile(self.profile)

    @property
    def are_published(self) -> bool:
        """Whether the published numbers are selected."""
        return self.source == "published"

    def measured_if_any(self, reads: pc.Expression | None = None) -> Measured | None:
        """The records of our runs, for commands that judge the paper's numbers without any.

        Returns:
          As ``measured``; None if the published numbers are chosen, or if no source is and the
          default folder has no runs of the profile.
        """
        from repro import folders

        if self.are_published:
            return None
        if not self.source and self.runs == DEFAULT_RUNS:
            name = self.load_profile().name
            if not folders.profile_folder(self.runs, name).exists():
                return None
        return self.measured(reads)

    def measured(self, reads: pc.Expression | None = None) -> Measured:
        """Reads the selected measured records.

        Args:
          reads: a row filter, see ``analysis.schema.rows``; by default all records are read.

        Raises:
          UserError: there are no records, the published ones are selected, or a file can't be read.
        """
        from analysis.schema import records
        from analysis.schema.nodes import Nodes
        from repro import collect, folders

        if self.are_published:
            raise UserError(
                "this command needs measured records, not the published numbers: leave --from out, "
                "or name a file"
            )
        path = local_path(self.source) if self.source else self.runs
        if self.source and (path / collect.METRICS).is_file():
            path /= collect.METRICS
        if path.is_file():
            metrics, output = path, path.parent / "output"
        elif self.source and not path.exists():
            raise UserError(
                f"--from {self.source}: no such file or folder; give 'published', a file or a "
                "folder of runs"
            )
        else:
            name = self.load_profile().name
            if not path.exists():
                train = advice.command("run", self.profile, path)
                raise UserError(
                    f"there is no runs folder {path}: train with `{train}`, or see the results "
                    "that come with the checkout by --from results/study, or the paper's tables by "
                    "--from published"
                )
            folders.open_runs(path, create=False, profile=self.profile)
            metrics = folders.records_folder(path, name) / collect.METRICS
            output = folders.profile_folder(path, name) / "output"
            if not metrics.is_file():
                raise UserError(
                    f"nothing of profile {name} is collected in {path}: "
                    f"run `{advice.command('collect', self.profile, path)}` first"
                )
        timing = metrics.with_name(collect.TIMING)
        provenance = metrics.with_name(collect.PROVENANCE)
        found = _published_experiments(records.read(metrics, reads))
        timed = None
        if timing.is_file() and timing != metrics:
            timed = _published_experiments(records.read(timing, reads))
            others = set(timed["profile"]) - set(found["profile"])
            if others and len(found):
                raise UserError(
                    f"{timing}, beside {metrics.name}, has records of another profile "
                    f"({', '.join(sorted(others))}): give each its own folder"
                )
        return Measured(
            metrics=found,
            timing=timed,
            provenance=collect.read_provenance(provenance) if provenance.is_file() else Nodes.of(),
            output=output,
        )


@dataclass(frozen=True)
class Measured:
    """Measured records with their provenance.

    Attributes:
      metrics, timing: validated records; ``timing`` is None if there is no such file.
      provenance: provenance of every finished node.
      output: default folder for outputs computed from the records.
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


def _published_experiments(frame: pd.DataFrame) -> pd.DataFrame:
    """Removes records of variants, which are in no published table or figure."""
    return frame[frame["variant"] == ""].reset_index(drop=True)
