"""Commands that plan, train and collect. Heavy libraries are imported where they are needed."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from repro.cli.app import (
    DEFAULT_PROFILE,
    DEFAULT_RUNS,
    Data,
    DataDir,
    Engine,
    Profile,
    Runs,
    Seeds,
    Sizes,
    Study,
    Taus,
    Variants,
    app,
    options,
    records_folder,
    tree_of,
)
from spactor.errors import UserError


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

    tree = tree_of(profile, size, tau, seed, variant, study)
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
def run(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    size: Sizes = None,
    tau: Taus = None,
    seed: Seeds = None,
    variant: Variants = None,
    study: Study = "",
    engine: Engine = "",
    node: Annotated[
        list[str] | None,
        typer.Option(
            "--node",
            help="Only this node, its parent being finished, or those that a pattern such as "
            "'base/s0/sc/1M/*' fits; may be repeated.",
        ),
    ] = None,
    host: Annotated[
        int,
        typer.Option(
            "--host",
            min=0,
            envvar="TPU_WORKER_ID",
            help="Number of this host in a slice whose hosts all run this command; 0 keeps the "
            "books.",
        ),
    ] = 0,
    hosts: Annotated[int, typer.Option("--hosts", min=1, help="How many hosts the slice has.")] = 1,
    coordinator: Annotated[
        str,
        typer.Option(
            "--coordinator",
            help="HOST:PORT on host 0 where the hosts join; needless where JAX finds it itself, as "
            "on a TPU slice.",
        ),
    ] = "",
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Trains what is not trained yet; goes on where it was stopped."""
    from rich.console import Console

    from analysis.flops import step_flops
    from repro import costs, folders
    from repro.engines.contract import Hosts
    from repro.engines.factory import engine_for
    from repro.progress import Display, duration
    from repro.runner import Runner

    tree = tree_of(profile, size, tau, seed, variant, study, engine)
    only = tree.named(node) if node else tuple(tree.nodes)
    slice_hosts = Hosts(count=hosts, number=host, coordinator=coordinator)
    trainer = engine_for(
        tree.profile, folders.cache_folder(runs), data, data_dir, hosts=slice_hosts
    )
    trainer.check(tree)
    if slice_hosts.first:
        folders.open_runs(runs, create=True)
    flops = {name: costs.node_flops(tree.nodes[name], step_flops) for name in only}
    shown = dataclasses.replace(tree, nodes={name: tree.nodes[name] for name in only})
    with Display(shown, flops, Console(highlight=False)) as display:
        runner = Runner(tree, runs, trainer, display)
        outcome = runner.run(only) if slice_hosts.first else runner.join(only)
        display.say(
            f"{len(outcome.ran)} nodes ran in {duration(display.elapsed)}, "
            f"{len(outcome.skipped)} were finished already; "
            f"next: repro collect{options(profile, runs, study)}"
        )
    if host == 0 and outcome.diverged:
        raise UserError(
            f"{len(outcome.diverged)} nodes diverged ({', '.join(outcome.diverged)}), and "
            f"{len(outcome.blocked)} below them did not run: they run again when their settings "
            "change, or their folders are moved away"
        )


@app.command()
def score(
    profile: Profile = DEFAULT_PROFILE,
    runs: Runs = DEFAULT_RUNS,
    study: Study = "",
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Scores what finished runs predicted on a machine that could not score."""
    from repro import folders
    from repro.engines.factory import engine_for
    from repro.runner import score as score_nodes

    tree = tree_of(profile, study=study)
    engine = engine_for(tree.profile, folders.cache_folder(runs), data, data_dir)
    folders.open_runs(runs, create=False)
    print(f"{len(score_nodes(tree, runs, engine, print))} nodes scored")


@app.command()
def collect(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, study: Study = ""
) -> None:
    """Turns what the finished runs wrote into files of records; prints a study's results."""
    from analysis import scores
    from analysis.flops import pretraining_flops, step_flops
    from repro import collect as collecting
    from repro import folders

    tree = tree_of(profile, study=study)
    folders.open_runs(runs, create=False)
    collected = collecting.collect(
        tree,
        runs,
        step_flops=step_flops,
        pretraining_flops=pretraining_flops,
        select=scores.marked,
    )
    paths = collecting.write(collected, records_folder(runs, tree.profile.name, study))
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
    if study:
        from analysis import learning, variants
        from repro.studies import end_of

        print(variants.run(collected.metrics, tree.specs, end_of(study)).text())
        if any(node.parent is None for node in tree.finetunings()):
            print(learning.compare_with_scratch(collected.metrics).text())


@app.command()
def export(
    to: Annotated[Path, typer.Option("--to", help="Folder to make.")],
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
    folders.open_runs(runs, create=False)
    engine = engine_for(tree.profile, folders.cache_folder(runs))
    exporting.export(tree, chosen, runs, engine, to)
    print(f"{chosen.name}: {to}")


@app.command()
def status(
    profile: Profile = DEFAULT_PROFILE, runs: Runs = DEFAULT_RUNS, study: Study = ""
) -> None:
    """Says what is finished, begun, stale or to come."""
    from repro import folders, show

    tree = tree_of(profile, study=study)
    folders.open_runs(runs, create=False)
    for line in show.status_lines(tree, runs):
        print(line)
