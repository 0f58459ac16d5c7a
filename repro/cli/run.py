"""The command ``repro run``, which trains a profile's experiments.

Modules in reading order: `repro.specs` (experiments), `repro.plan` (tree of nodes), `repro.runner`
(order of nodes), `repro.engines.local` (one node), `spactor.pretraining` and `spactor.trainer` (the
training loop), `spactor.step` (one step). See docs/architecture.md.
"""

from __future__ import annotations

import dataclasses

from repro.advice import DEFAULT_RUNS
from repro.cli.app import app, command
from repro.cli.options import (
    Coordinator,
    Data,
    DataDir,
    Engine,
    Experiments,
    Host,
    HostCount,
    Jobs,
    NodeNames,
    Runs,
)
from spactor.errors import UserError


@command(app)
def run(
    chosen: Experiments,
    runs: Runs = DEFAULT_RUNS,
    engine: Engine = "",
    node: NodeNames = None,
    jobs: Jobs = 0,
    host: Host = 0,
    hosts: HostCount = 1,
    coordinator: Coordinator = "",
    data: Data = None,
    data_dir: DataDir = None,
) -> None:
    """Trains unfinished nodes; continues those that were interrupted."""
    from rich.console import Console

    from repro import advice, costs, folders
    from repro.engines.contract import Hosts
    from repro.engines.factory import engine_for
    from repro.engines.local import LocalEngine
    from repro.progress import Display
    from repro.runner import Runner
    from repro.slice_runner import SliceRunner
    from repro.workers import available_cores

    tree = chosen.tree(engine)
    only = tree.named(node) if node else tuple(tree.nodes)
    machines = Hosts(count=hosts, number=host, coordinator=coordinator)
    trainer = engine_for(tree.profile, folders.cache_folder(runs), data, data_dir, machines)
    trainer.check(tree)
    if machines.first:
        folders.open_runs(runs, create=True)
    flops = {name: costs.node_flops(tree.nodes[name]) for name in only}
    shown = dataclasses.replace(tree, nodes={name: tree.nodes[name] for name in only})
    earlier = costs.measured_seconds(shown, runs)
    with Display(shown, flops, Console(highlight=False), earlier) as display:
        if machines.first:
            # T5X starts a process of its own for each node.
            workers = jobs or available_cores() if isinstance(trainer, LocalEngine) else 0
            runner = Runner(tree, runs, trainer, display, workers)
        else:
            runner = SliceRunner(tree, runs, trainer, display)
        outcome = runner.run(only)
        display.print(
            f"{len(outcome.ran)} nodes ran in {costs.duration(display.elapsed)}, "
            f"{len(outcome.skipped)} were finished already; "
            f"next: {advice.command('collect', chosen.profile, runs)}"
        )
    if machines.first and outcome.diverged:
        raise UserError(
            f"{len(outcome.diverged)} nodes diverged ({', '.join(outcome.diverged)}), and "
            f"{len(outcome.blocked)} that depend on them did not run: they run again when their "
            "settings change, or their folders are moved away"
        )
