"""The ``repro`` command. Heavy libraries are imported by the commands that need them."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from spactor.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from repro.plan import Tree

app = typer.Typer(
    name="repro",
    help="Reproduces SPACTOR-T5: plan, run, collect, and print what came out.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Profile = Annotated[
    str, typer.Option("--profile", help="smoke, micro, mini, paper, or a .toml file of yours.")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of runs, caches and outputs.")]
Sizes = Annotated[list[str] | None, typer.Option("--size", help="Only this size; may be repeated.")]
Taus = Annotated[list[str] | None, typer.Option("--tau", help="Only this τ; may be repeated.")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="Only this seed; may be repeated.")]
Variants = Annotated[
    list[str] | None, typer.Option("--variant", help="Only this variant; may be repeated.")
]
Study = Annotated[
    str,
    typer.Option("--study", help="A study instead: lambda, mlm, generator, means or curriculum."),
]
Source = Annotated[
    str,
    typer.Option(
        "--from",
        help="Where the numbers come from: 'published', a file of records, or a folder of runs "
        "(by default that of --runs).",
    ),
]
DEFAULT_PROFILE = "micro"
DEFAULT_RUNS = Path("runs")


@app.command()
def plan(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    size: Sizes = None,
    tau: Taus = None,
    seed: Seeds = None,
    variant: Variants = None,
    study: Study = "",
    as_json: Annotated[bool, typer.Option("--json", help="Plain data, node by node.")] = False,
) -> None:
    """Shows what would run, what is shared, and what it costs."""
    from analysis.flops import step_flops
    from repro import costs, show

    tree = _tree(profile, size, tau, seed, variant, study)
    flops = costs.tree_flops(tree, step_flops)
    estimate = costs.estimate(tree, flops, runs)
    if as_json:
        print(json.dumps(show.plan_data(tree, flops, estimate), indent=1, ensure_ascii=False))
        return
    from rich.console import Console

    # Wide enough for any line of the tree, which Rich would cut off at the terminal's width.
    console = Console(highlight=False, markup=False, width=160)
    console.print(show.plan_tree(tree, flops, estimate), soft_wrap=True)
    for line in show.plan_summary(tree, flops, estimate):
        console.print(line, soft_wrap=True)


@app.command()
def prepare(profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS) -> None:
    """Prepares the corpus, the vocabulary and the suites; quick when they are there."""
    from repro import folders
    from repro.engines import engine_for
    from repro.specs import load_profile

    chosen = load_profile(profile)
    cache = folders.cache_folder(runs)
    engine = engine_for(chosen, cache)
    folders.open_runs(runs, create=True)
    print(f"prepared data: {engine.prepare(chosen, cache, print).folder}")


@app.command()
def run(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    size: Sizes = None,
    tau: Taus = None,
    seed: Seeds = None,
    variant: Variants = None,
    study: Study = "",
) -> None:
    """Trains what is not trained yet; goes on where it was stopped."""
    from rich.console import Console

    from analysis.flops import step_flops
    from repro import costs, folders
    from repro.engines import engine_for
    from repro.progress import Display, duration
    from repro.runner import Runner

    tree = _tree(profile, size, tau, seed, variant, study)
    engine = engine_for(tree.profile, folders.cache_folder(runs))
    folders.open_runs(runs, create=True)
    with Display(tree, costs.tree_flops(tree, step_flops), Console(highlight=False)) as display:
        outcome = Runner(tree, runs, engine, display).run()
        display.say(
            f"{len(outcome.ran)} nodes ran in {duration(display.elapsed)}, "
            f"{len(outcome.skipped)} were finished already; "
            f"next: repro collect{_options(profile, runs, study)}"
        )


@app.command()
def collect(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, study: Study = ""
) -> None:
    """Turns what the finished runs wrote into files of records; prints a study's results."""
    from analysis.flops import pretraining_flops, step_flops
    from repro import collect as collecting
    from repro import folders

    tree = _tree(profile, study=study)
    folders.open_runs(runs, create=False)
    collected = collecting.collect(
        tree, runs, step_flops=step_flops, pretraining_flops=pretraining_flops
    )
    paths = collecting.write(collected, _records_folder(runs, tree.profile.name, study))
    waiting = [name for name, reason in collected.unfinished.items() if reason == "not run"]
    for name, reason in collected.unfinished.items():
        if name not in waiting:
            print(f"left out: {name} ({reason})", file=sys.stderr)
    if waiting:
        print(f"left out: {len(waiting)} nodes that were not run", file=sys.stderr)
    print(
        f"{len(collected.metrics):,} numbers of {len(collected.provenance)} finished nodes "
        f"(of {len(tree.nodes)}) in {paths[0]}"
    )
    if study:
        from analysis import variants
        from repro.studies import END

        print(variants.run(collected.metrics, tree.specs, END).text())


@app.command()
def table(
    number: Annotated[int, typer.Argument(help="Number of the paper's table: 2, 3 or 4.")],
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
    format: Annotated[
        str, typer.Option("--format", help="text, markdown, latex, html or csv.")
    ] = "text",
) -> None:
    """Prints one of the paper's tables, from our numbers or from the published ones."""
    import tables

    module = tables.get(number)
    if format not in tables.FORMATS:
        raise UserError(f"unknown format {format!r}: give one of {', '.join(tables.FORMATS)}")
    if source == "published":
        from repro import published

        frame = published.load(number)
    else:
        frame = _measured(source, profile, runs).records
    print(module.render(module.compute(frame), format).rstrip("\n"))


@app.command()
def figure(
    number: Annotated[int, typer.Argument(help="Number of the paper's figure: 2 or 4.")],
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    source: Source = "",
) -> None:
    """Draws one of the paper's figures as SVG, PDF and PNG."""
    import figures

    module = figures.get(number)
    if source == "published":
        raise UserError(
            "the paper prints no numbers for its figures: leave --from out, or name a file"
        )
    measured = _measured(source, profile, runs)
    for path in module.render(module.compute(measured.records), measured.output / "figures"):
        print(path)


@app.command()
def trend(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Tests whether the gap between validation losses drifts (Appendix B)."""
    from analysis import trend as trends

    print(trends.run(_measured(source, profile, runs).records).text().rstrip("\n"))


@app.command()
def learned(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Holds what the models learned against predictors that know nothing."""
    from analysis import learning

    print(learning.run(_measured(source, profile, runs).records).text().rstrip("\n"))


@app.command()
def report(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, source: Source = ""
) -> None:
    """Writes one self-contained HTML page with everything on it."""
    from repro.report import write_report

    measured = _measured(source, profile, runs)
    measured.output.mkdir(parents=True, exist_ok=True)
    print(
        write_report(
            measured.metrics,
            measured.timing,
            measured.provenance,
            measured.output / "report.html",
        )
    )


@app.command()
def status(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, study: Study = ""
) -> None:
    """Says what is finished, begun, stale or to come."""
    from repro import folders, show

    tree = _tree(profile, study=study)
    folders.open_runs(runs, create=False)
    for line in show.status_lines(tree, runs):
        print(line)


@dataclass(frozen=True)
class _Measured:
    metrics: pd.DataFrame
    timing: pd.DataFrame | None
    provenance: Sequence[Mapping[str, object]]
    output: Path

    @property
    def records(self) -> pd.DataFrame:
        """Metrics and timing together."""
        from repro import records

        return self.metrics if self.timing is None else records.combine(self.metrics, self.timing)


def _measured(source: str, profile: str, runs: Path) -> _Measured:
    """Records of our runs: of a folder of runs, or of a file, with what lies beside it."""
    from repro import collect, folders, records
    from repro.specs import load_profile

    if source == "published":
        raise UserError("the paper prints no series of numbers: leave --from out, or name a file")
    path = Path(source) if source else runs
    if path.is_file():
        metrics, output = path, path.parent / "output"
    elif source and not path.exists():
        raise UserError(
            f"--from {source}: no such file or folder; give 'published', a file or a folder of runs"
        )
    else:
        name = load_profile(profile).name
        folders.open_runs(path, create=False)
        metrics = _records_folder(path, name) / collect.METRICS
        output = folders.profile_folder(path, name) / "output"
        if not metrics.is_file():
            raise UserError(
                f"nothing of profile {name} is collected in {path}: "
                f"run `repro collect{_options(profile, path)}` first"
            )
    timing = metrics.with_name(collect.TIMING)
    provenance = metrics.with_name(collect.PROVENANCE)
    return _Measured(
        metrics=_published_experiments(records.read(metrics)),
        timing=_published_experiments(records.read(timing))
        if timing.is_file() and timing != metrics
        else None,
        provenance=folders.read_json(provenance)["nodes"] if provenance.is_file() else (),
        output=output,
    )


def _published_experiments(frame: pd.DataFrame) -> pd.DataFrame:
    """Records without those of variants, which no published table or figure has a place for."""
    return frame[frame["variant"] == ""].reset_index(drop=True)


def _tree(
    profile: str,
    sizes: Sequence[str] | None = None,
    taus: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    variants: Sequence[str] | None = None,
    study: str = "",
) -> Tree:
    from repro import plan as planning
    from repro import studies
    from repro.specs import load_profile

    chosen = load_profile(profile)
    if study:
        if sizes or taus:
            raise UserError(f"study {study} fixes size and τ: leave --size and --tau out")
        return studies.tree(chosen, study, seeds or (), variants or ())
    specs = chosen.select(sizes or (), taus or (), seeds or (), variants or ())
    return planning.build(chosen, specs)


def _records_folder(runs: Path, profile: str, study: str = "") -> Path:
    from repro import folders

    home = folders.profile_folder(runs, profile) / "records"
    return home / f"study-{study}" if study else home


def _options(profile: str, runs: Path, study: str = "") -> str:
    return (
        (f" --profile {profile}" if profile != DEFAULT_PROFILE else "")
        + (f" --runs {runs}" if runs != DEFAULT_RUNS else "")
        + (f" --study {study}" if study else "")
    )


_TRAINING_MODULES = {
    *("jax", "jaxlib", "flax", "optax", "orbax", "clu", "t5", "seqio", "tensorflow"),
    *("tensorflow_text", "tensorboard", "sentencepiece", "rouge_score", "sklearn"),
}


_INTERRUPTED = 130


def entry() -> NoReturn:
    """The command itself: ``main``, but an interrupt ends the process at once.

    Threads of JAX and TensorFlow may be at work then, and taking the interpreter down under them
    can crash. Every file is written whole or not at all, so nothing is lost.
    """
    sys.unraisablehook = _unless_echo
    try:
        main()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_INTERRUPTED)
        raise


def _unless_echo(unraisable: sys.UnraisableHookArgs) -> None:
    """Reports an exception that had nowhere to go, unless it is the echo of one that had.

    When a checkpoint can't be written, the error is raised and said in one line; TensorStore's
    threads then find Orbax's event loop closed, once for each array.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 well, 2 a mistake the user can mend, 130 stopped."""
    try:
        code = app(arguments, prog_name="repro", standalone_mode=False)
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
        line = _usage_mistake(error) or _machine_trouble(error)
        if line is None:
            raise
        _exit(line, 2)
    # Some versions of Typer turn the interrupt into its exit code themselves.
    if code == _INTERRUPTED:
        _exit("interrupted; run the same command to continue", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _exit(line: str, code: int) -> NoReturn:
    print(f"repro: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(code)


def _usage_mistake(error: Exception) -> str | None:
    """Typer's complaint about arguments, which may be a class of Click's or of its own."""
    text = getattr(error, "format_message", None)
    return f"{text()} See `repro --help`." if callable(text) else None


_TROUBLE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EIO: "the disk reports an error",
}


def _machine_trouble(error: BaseException | None) -> str | None:
    """A disk that is full or shut, wherever in the chain of causes it is."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _TROUBLE:
            where = f" ({error.filename})" if error.filename else ""
            return f"{_TROUBLE[error.errno]}{where}: mend that, then run the same command again"
        # TensorStore and XLA write files too, and raise errors of their own.
        if "No space left on device" in str(error):
            return "the disk is full: make room, then run the same command again"
        error = error.__cause__ or error.__context__
    return None
