"""``repro run``: trains a profile's experiments.

The path of a number, in reading order: `repro.specs` (what to train), `repro.plan` (the tree of
nodes), `repro.runner` (which node next, and the files about it), `repro.engines.local` (one node),
`spactor.pretraining` and `spactor.trainer` (one loop), `spactor.step` (one step).
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from repro.advice import DEFAULT_RUNS
from repro.cli.app import app, command
from repro.cli.options import Data, DataDir, Engine, Experiments, Runs
from spactor.errors import UserError

Nodes = Annotated[
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
        help="Number of this host in a slice whose hosts all run this command; host 0 writes the "
        "files about each node.",
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
        help="Address on host 0 where the hosts join; not needed where JAX finds it itself, as "
        "on a TPU slice.",
    ),
]


@command(app)
def run(
    chosen: Experiments,
    runs: Runs = DEFAULT_RUNS,
    engine: Engine = "",
    node: Nodes = None,
    jobs: Jobs = 0,
    host: Host = 0,
    hosts: HostCount = 1,
    coordinator: Coordinator = "",
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Trains what is not trained yet; continues where it was stopped."""
    from rich.console import Console

    from repro import advice, costs, folders
    from repro.engines.contract import Hosts
    from repro.engines.factory import engine_for
    from repro.engines.local import LocalEngine
    from repro.progress import Display
    from repro.runner import Runner
    from repro.slice_runner import SliceRunner
    from repro.workers import WorkerRunner, available_cores

    tree = chosen.tree(engine)
    only = tree.named(node) if node else tuple(tree.nodes)
    slice_hosts = Hosts(count=hosts, number=host, coordinator=coordinator)
    trainer = engine_for(
        tree.profile, folders.cache_folder(runs), data, data_dir, hosts=slice_hosts
    )
    trainer.check(tree)
    if slice_hosts.first:
        folders.open_runs(runs, create=True)
    flops = {name: costs.node_flops(tree.nodes[name]) for name in only}
    shown = dataclasses.replace(tree, nodes={name: tree.nodes[name] for name in only})
    earlier = costs.measured_seconds(shown, runs)
    with Display(shown, flops, Console(highlight=False), earlier) as display:
        runner: Runner
        if not slice_hosts.first:
            runner = SliceRunner(tree, runs, trainer, display)
        elif isinstance(trainer, LocalEngine):
            runner = WorkerRunner(tree, runs, trainer, display, jobs or available_cores())
        else:
            runner = Runner(tree, runs, trainer, display)
        outcome = runner.run(only)
        display.print(
            f"{len(outcome.ran)} nodes ran in {costs.duration(display.elapsed)}, "
            f"{len(outcome.skipped)} were finished already; "
            f"next: {advice.command('collect', chosen.profile, runs)}"
        )
    if slice_hosts.first and outcome.diverged:
        raise UserError(
            f"{len(outcome.diverged)} nodes diverged ({', '.join(outcome.diverged)}), and "
            f"{len(outcome.blocked)} below them did not run: they run again when their settings "
            "change, or their folders are moved away"
        )
