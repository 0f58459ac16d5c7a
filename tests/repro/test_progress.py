"""The live display and the remaining time, on a clock of the test's own."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console
from untrained import FIRST

from repro import costs, folders, provenance
from repro.costs import makespan
from repro.plan import Finetuning, Tree
from repro.progress import Display
from repro.spent import COMPILING, FINETUNING, SCORING, Stopwatch


@dataclass
class Clock:
    """Returns the time that the test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def make(
    tree: Tree, clock: Clock, *, terminal: bool = False, earlier: Mapping[str, float] | None = None
) -> tuple[Display, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=terminal, legacy_windows=False)
    return Display(tree, dict.fromkeys(tree.nodes, 1.0), console, earlier, clock), out


def test_the_remaining_time_is_of_rates_by_kind(tree: Tree) -> None:
    """Two further hybrid segments are left, of 5 and 10 steps, four of span corruption, six leaves.

    Nodes of the measured kind begin in 10 s and take 2 s a step. Each other takes as long as the
    kind's last node, of 10 steps and the same weight; the first of each other kind compiles.
    """
    clock = Clock()
    display, _ = make(tree, clock)
    assert display.remaining() is None
    display.start(FIRST)
    clock.now = 10.0  # compiles for 10 s, then takes 2 s a step
    display.observe(FIRST, 1, 5, {}, math.nan)
    clock.now = 18.0
    display.observe(FIRST, 5, 5, {}, 3.0)
    display.finish(FIRST)
    assert display.remaining() == pytest.approx((10 + 10) + (10 + 20) + (4 + 6) * 20 + 2 * 10)
    display.jobs = 100
    # The longest chains: both hybrid segments and a leaf; both of τ = 0, compiling, and a leaf.
    assert display.remaining() == pytest.approx(20 + 30 + 20)


def test_a_plan_and_a_run_state_the_same_time(tree: Tree, tmp_path: Path) -> None:
    """Of nodes that finished on this machine before, kind by kind."""
    seconds = {name: 3.0 + number for number, name in enumerate(list(tree.nodes)[:4])}
    for name, took in seconds.items():
        folder = folders.node_folder(tmp_path, tree.profile.name, name)
        folder.mkdir(parents=True)
        (folder / folders.DONE).write_text("{}")
        record = {"machine": provenance.machine(), "attempts": [{"seconds": took}]}
        folders.write_json(folder / folders.PROVENANCE, record)
    flops = {name: 1.0 + number for number, name in enumerate(tree.nodes)}
    planned = costs.estimate(tree, flops, tmp_path, 2)
    display = Display(
        tree, flops, Console(file=io.StringIO()), costs.measured_seconds(tree, tmp_path)
    )
    display.jobs = 2
    for name in seconds:
        display.skip(name)
    left = {name: took for name, took in planned.seconds.items() if name not in seconds}
    assert planned.measured == len(seconds)
    assert display.remaining() == pytest.approx(makespan(left, tree, 2))


def test_a_running_node_has_its_own_pace(tree: Tree) -> None:
    clock = Clock()
    earlier = {name: 7.0 for name in tree.nodes}
    display, _ = make(tree, clock, earlier=earlier)
    for name in tree.nodes:
        if name != FIRST:
            display.skip(name)
    # Times of earlier runs count until this run has measured a step.
    assert display.remaining() == pytest.approx(7.0)
    display.start(FIRST)
    clock.now = 3.0
    assert display.remaining() == pytest.approx(4.0)
    display.observe(FIRST, 1, 5, {}, math.nan)
    clock.now = 4.0
    display.observe(FIRST, 2, 5, {}, 1.0)
    assert display.remaining() == pytest.approx(3.0)


def test_the_least_time_is_a_share_or_the_longest_chain(tree: Tree) -> None:
    seconds = dict.fromkeys(tree.nodes, 1.0)
    depth = {}
    for name, node in tree.nodes.items():
        depth[name] = 1 + depth.get(node.parent, 0)
    assert makespan(seconds, tree, 1) == len(tree.nodes)
    assert makespan(seconds, tree, 1000) == max(depth.values())
    assert makespan({}, tree, 2) == 0.0


@pytest.mark.parametrize("terminal", [False, True])
def test_lines_fit_80_columns(tree: Tree, terminal: bool) -> None:
    clock = Clock()
    display, out = make(tree, clock, terminal=terminal)
    leaf = next(name for name, node in tree.nodes.items() if isinstance(node, Finetuning))
    with display:
        display.start(FIRST)
        display.start(leaf)
        for clock.now, step in ((1.0, 1), (100.0, 2)):
            display.observe(FIRST, step, 5, {"train/sc_loss": 3.7141, "train/loss": 9.0}, 650.0)
            display.observe(leaf, step, 5, {"train/loss": 0.5}, 10.0)
        lines = display.lines(80)
        assert all(len(line) <= 80 for line in lines) and len(lines) == 3
        assert FIRST in lines[0] and "2/5" in lines[0] and "3.714 nats/token" in lines[0]
        assert "0.500 nats/token" in lines[1] and "tokens/s" in lines[1]
        assert f"0 of {len(tree.nodes)} nodes finished, about " in lines[2]
    printed = out.getvalue()
    assert ("\x1b[" in printed) == terminal
    if not terminal:
        # Once in PLAIN_PERIOD_SECONDS; the second node was not logged yet when it was due.
        assert printed.count("nodes finished") == 1
        assert all(len(line) <= 80 for line in printed.splitlines())


def test_what_happens_inside_something_else_counts_once() -> None:
    watch = Stopwatch()
    with watch.measure(FINETUNING), watch.measure(SCORING):
        watch.compiled("/jax/core/compile/jaxpr_trace_duration", 0.25)
        watch.compiled("/jax/core/compile/jaxpr_trace_duration", 2.0)
        watch.compiled("/jax/core/compile/backend_compile_duration", 0.0)
        watch.compiled("/jax/another", 100.0)
    found = watch.take()
    assert found[COMPILING] == pytest.approx(2.0, abs=0.01)
    assert found[SCORING] == pytest.approx(-2.0, abs=0.01)  # No time went by in the block.
    assert found[FINETUNING] == pytest.approx(0.0, abs=0.01)
    assert watch.take() == {COMPILING: 0.0}
