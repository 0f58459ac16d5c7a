"""Commands before and after ``repro run``: plan, prepare, score, collect, export, status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from repro import advice
from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.app import app, command
from repro.cli.formats import Format, emit
from repro.cli.options import Data, DataDir, Engine, Experiments, Profile, Runs, local_path


@command(app)
def plan(
    chosen: Experiments,
    runs: Runs = DEFAULT_RUNS,
    format: Format = "text",
) -> None:
    """Prints the tree of nodes, shared nodes, FLOPs and time."""
    from repro import costs, plan_view, workers

    tree = chosen.tree()
    flops = costs.tree_flops(tree)
    estimate = costs.estimate(tree, flops, runs, workers.available_cores())
    facts, nodes = plan_view.plan_data(tree, flops, estimate)
    emit(format, lambda: plan_view.plan_text(tree, flops, estimate), nodes, **facts)


@command(app)
def prepare(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    engine: Engine = "",
    data_dir: DataDir = None,
) -> None:
    """Prepares the corpus, the vocabulary and the suites."""
    from repro import folders
    from repro.engines.factory import engine_for, with_engine
    from repro.specs import load_profile

    chosen = with_engine(load_profile(profile), engine)
    preparing = engine_for(chosen, folders.cache_folder(runs), data_dir=data_dir)
    preparing.require_data(chosen)
    folders.open_runs(runs, create=True)
    found = preparing.prepare(chosen, print)
    print(f"prepared data: {found.folder}")


@command(app)
def score(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Scores predictions that a machine without TensorFlow made."""
    from repro import folders, scoring
    from repro.engines.factory import engine_for

    tree = Experiments(profile).tree()
    engine = engine_for(tree.profile, folders.cache_folder(runs), data, data_dir)
    folders.open_runs(runs, create=False, profile=profile)
    print(f"{len(scoring.score(tree, runs, engine, print))} nodes scored")


@command(app)
def collect(profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS) -> None:
    """Writes the records of finished nodes, for tables and tests.

    Prints the omitted nodes with the reasons, and the results of variants.
    """
    from repro import collect as collecting
    from repro import folders

    tree = Experiments(profile).tree_in(runs)
    collected = collecting.collect(tree, runs)
    paths = collecting.write(collected, folders.records_folder(runs, tree.profile.name))
    waiting = [name for name, reason in collected.unfinished.items() if reason == "not run"]
    for name, reason in collected.unfinished.items():
        if name not in waiting:
            print(f"left out: {name} ({reason})", file=sys.stderr)
    for remark in collected.remarks:
        print(f"remark: {remark}", file=sys.stderr)
    if waiting:
        print(f"left out: {len(waiting)} nodes that were not run", file=sys.stderr)
    print(
        f"{len(collected.metrics):,} numbers of {len(collected.provenance)} finished nodes "
        f"(of {len(tree.nodes)}) in {paths[0]}"
    )
    if tree.profile.variants:
        from analysis import variants

        end = min(tree.profile.checkpoints_of(spec)[-1] for spec in tree.specs)
        experiments = ((spec.variant, str(spec.tau)) for spec in tree.specs)
        print(variants.run(collected.metrics, experiments, end).text())


@command(app)
def export(
    to: Annotated[
        Path,
        typer.Option("--to", parser=local_path, metavar="PATH", help="New folder for the model."),
    ],
    chosen: Experiments,
    runs: Runs = DEFAULT_RUNS,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="A node, instead of an experiment.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint", metavar="STEP", help="Checkpoint, such as 500K; by default the last."
        ),
    ] = None,
) -> None:
    """Writes a finished model in the Hugging Face format."""
    from repro import export as exporting
    from repro import folders
    from repro.engines.factory import engine_for

    tree = chosen.tree_in(runs)
    model = exporting.choose(tree, node, checkpoint)
    engine = engine_for(tree.profile, folders.cache_folder(runs))
    exporting.export(tree, model, runs, engine, to)
    print(f"{model.name}: {to}")


@command(app)
def status(
    node: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NODE",
            help="Names of nodes, or patterns such as 'base/s0/sc/*'. For each, prints what the "
            "next run does and which changed input is the reason.",
        ),
    ] = None,
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    data: Data = None,
    format: Format = "text",
) -> None:
    """Prints which nodes are begun or stale; for a NODE, what changed."""
    from repro import folders
    from repro import status as statuses
    from repro.engines.data import DataSource

    tree = Experiments(profile).tree_in(runs)
    if not node:
        states = statuses.states(tree, runs)
        emit(format, lambda: statuses.states_text(tree, states), states, profile=tree.profile.name)
        return
    names = tree.named(node)
    found = DataSource.of(tree.profile, data, None).find(tree.profile, folders.cache_folder(runs))
    if found is None:
        print(
            f"the data is not prepared here (run `{advice.command('prepare', profile, runs)}`): "
            "assuming the data that each node recorded",
            file=sys.stderr,
        )
    files = found.files if found else statuses.recorded_files(tree, runs)
    answers = statuses.explain(tree, runs, files, names)
    emit(format, lambda: "\n".join(answer.text() for answer in answers), answers)
