"""Commands around a run: plan, prepare, score, collect, export, status."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.advice import DEFAULT_PROFILE, DEFAULT_RUNS
from repro.cli.app import (
    Data,
    DataDir,
    Engine,
    Profile,
    Runs,
    Seeds,
    Sizes,
    Taus,
    Variants,
    app,
    local_path,
    records_folder,
    tree_of,
)


@app.command()
def plan(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    size: Sizes = None,
    tau: Taus = None,
    seed: Seeds = None,
    variant: Variants = None,
    as_json: Annotated[bool, typer.Option("--json", help="Plain data, node by node.")] = False,
) -> None:
    """Shows what would run, what is shared, and what it costs."""
    from analysis.flops import step_flops
    from repro import costs, show, workers

    tree = tree_of(profile, size, tau, seed, variant)
    flops = costs.tree_flops(tree, step_flops)
    estimate = costs.estimate(tree, flops, runs, workers.available_cores())
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
def prepare(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    engine: Engine = "",
    data_dir: DataDir = None,
) -> None:
    """Prepares the corpus, the vocabulary and the suites; quick when they are there."""
    from repro import folders
    from repro.engines.data import DataSource
    from repro.engines.factory import engine_for

    chosen = tree_of(profile, engine=engine).profile
    cache = folders.cache_folder(runs)
    DataSource.of(chosen, None, data_dir).require_here(chosen)
    preparing = engine_for(chosen, cache, data_dir=data_dir)
    folders.open_runs(runs, create=True)
    found = preparing.prepare(chosen, cache, print)
    print(f"prepared data: {found.folder}")


@app.command()
def score(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Scores predictions that finished runs made on a machine that could not score."""
    from repro import folders
    from repro.engines.factory import engine_for
    from repro.rescoring import score as score_nodes

    tree = tree_of(profile)
    engine = engine_for(tree.profile, folders.cache_folder(runs), data, data_dir)
    folders.open_runs(runs, create=False, profile=profile)
    print(f"{len(score_nodes(tree, runs, engine, print))} nodes scored")


@app.command()
def collect(profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS) -> None:
    """Turns what finished runs wrote into files of records; prints the results of variants."""
    from analysis import scores
    from analysis.flops import pretraining_flops, step_flops
    from repro import collect as collecting
    from repro import folders

    tree = tree_of(profile)
    folders.open_runs(runs, create=False, profile=profile)
    collected = collecting.collect(
        tree,
        runs,
        step_flops=step_flops,
        pretraining_flops=pretraining_flops,
        select=scores.marked,
    )
    paths = collecting.write(collected, records_folder(runs, tree.profile.name))
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
        print(variants.run(collected.metrics, tree.specs, end).text())
    if any(node.parent is None for node in tree.finetunings()):
        from analysis import learning

        print(learning.compare_with_scratch(collected.metrics).text())


@app.command()
def export(
    to: Annotated[
        Path,
        typer.Option("--to", parser=local_path, metavar="PATH", help="Folder to make."),
    ],
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    node: Annotated[str | None, typer.Option("--node", help="Name of a node.")] = None,
    size: Sizes = None,
    tau: Taus = None,
    seed: Seeds = None,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Such as 500K; by default the last.")
    ] = None,
) -> None:
    """Writes a finished model in the Hugging Face format."""
    from repro import export as exporting
    from repro import folders
    from repro.engines.factory import engine_for
    from repro.specs import load_profile

    name = load_profile(profile).name
    tree = tree_of(profile, size, tau, seed, engine=folders.engine_of(runs, name) or "")
    chosen = exporting.choose(tree, node, checkpoint)
    folders.open_runs(runs, create=False, profile=profile)
    engine = engine_for(tree.profile, folders.cache_folder(runs))
    exporting.export(tree, chosen, runs, engine, to)
    print(f"{chosen.name}: {to}")


@app.command()
def status(
    node: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of nodes, or patterns such as 'base/s0/sc/*': what the next run does with "
            "each, and the changed input that is the reason."
        ),
    ] = None,
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    data: Data = None,
) -> None:
    """Prints which nodes are finished, begun or stale; of a NODE why."""
    from repro import folders, show
    from repro import why as reasons
    from repro.engines.data import DataSource
    from repro.specs import load_profile

    engine = folders.engine_of(runs, load_profile(profile).name) if node else None
    tree = tree_of(profile, engine=engine or "")
    folders.open_runs(runs, create=False, profile=profile)
    if not node:
        for line in show.status_lines(tree, runs):
            print(line)
        return
    names = tree.named(node)
    found = DataSource.of(tree.profile, data, None).find(tree.profile, folders.cache_folder(runs))
    if found is None:
        print(reasons.data_unknown(tree.profile, runs), file=sys.stderr)
    files = found.files if found else reasons.recorded_files(tree, runs)
    for answer in reasons.explain(tree, runs, files, names):
        print("\n".join(answer.lines()))
