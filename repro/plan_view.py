"""Output of ``repro plan``: the tree, the steps and FLOPs saved by sharing, and the time."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.tree import Tree as Branches

from repro.costs import Estimate, duration
from repro.plan import Finetuning, Node, Segment, Tree
from spactor.text_table import WIDTH, paragraphs


def totals(tree: Tree, flops: Mapping[str, float]) -> dict[str, float]:
    """Counts the steps and FLOPs of a tree's pre-training, and the share that sharing saves.

    Args:
      tree: the tree.
      flops: FLOPs of each node, by name.

    Returns:
      ``steps`` and ``flops`` of the tree; the same if every experiment were trained from step 0 by
      itself (``_alone``); and the saved fraction of the latter (``_saved_fraction``).
    """
    segments = tree.segments()
    found: dict[str, float] = {
        "steps": sum(node.steps for node in segments),
        "flops": sum(flops[node.name] for node in segments),
        "steps_alone": sum(node.steps * len(node.specs) for node in segments),
        "flops_alone": sum(flops[node.name] * len(node.specs) for node in segments),
    }
    saved = {
        f"{name}_saved_fraction": 1.0 - found[name] / found[f"{name}_alone"]
        for name in ("steps", "flops")
    }
    return found | saved


def number(value: float) -> str:
    """Formats a large number.

    >>> number(3035), number(1.234e15)
    ('3,035', '1.23e+15')
    """
    return f"{value:,.0f}" if value < 1e7 else f"{value:.2e}"


def plan_tree(tree: Tree, flops: Mapping[str, float], estimate: Estimate) -> Branches:
    """Draws the tree; seeds with the same nodes are drawn once."""
    root = Branches(tree.profile.name)
    # Seeds of a size may have different nodes, depending on the selected experiments.
    alike: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for size, seed in dict.fromkeys((spec.size, spec.seed) for spec in tree.specs):
        prefix = f"{size}/s{seed}/"
        names = (name for name in tree.nodes if name.startswith(prefix))
        alike[size, tuple(name.removeprefix(prefix) for name in names)].append(seed)
    for (size, _), seeds in alike.items():
        listed = ", ".join(map(str, seeds))
        many = f"seeds {listed}, each" if len(seeds) > 1 else f"seed {listed}"
        branch = root.add(f"{size}, {many}")
        _add_children(tree, None, f"{size}/s{seeds[0]}/", branch, flops, estimate)
    return root


def _add_children(
    tree: Tree,
    parent: str | None,
    prefix: str,
    branch: Branches,
    flops: Mapping[str, float],
    estimate: Estimate,
) -> None:
    children = [node for node in tree.children(parent) if node.name.startswith(prefix)]
    leaves = [node for node in children if isinstance(node, Finetuning)]
    if leaves:
        suites = _suites(leaves)
        which = (
            f"{len(suites)} suites" if suites == _suites(tree.finetunings()) else ", ".join(suites)
        )
        runs = len({node.finetune_seed for node in leaves})
        times = f", {runs} runs each" if runs > 1 else ""
        start = " from scratch" if parent is None else ""
        work = sum(flops[node.name] for node in leaves)
        seconds = sum(estimate.seconds[node.name] for node in leaves)
        steps = number(sum(node.steps for node in leaves))
        branch.add(
            f"fine-tune {which}{start}{times}: {steps} steps, {number(work)} FLOPs"
            f"{_time(estimate, seconds)}"
        )
    for node in children:
        if not isinstance(node, Segment):
            continue
        what = "experiments" if any(spec.variant for spec in node.specs) else "τ"
        shared = f", for {len(node.specs)} {what}" if len(node.specs) > 1 else ""
        line = (
            f"{node.name.removeprefix(prefix)}: "
            f"{number(node.steps)} steps, {number(flops[node.name])} FLOPs"
            f"{_time(estimate, estimate.seconds[node.name])}{shared}"
        )
        _add_children(tree, node.name, prefix, branch.add(line), flops, estimate)


def _time(estimate: Estimate, seconds: float) -> str:
    """Formats a node's time; "" if it is only guessed."""
    return f", ~{duration(seconds)}" if estimate.measured else ""


def _suites(leaves: Iterable[Finetuning]) -> list[str]:
    return list(dict.fromkeys(node.suite for node in leaves))


def plan_text(tree: Tree, flops: Mapping[str, float], estimate: Estimate) -> str:
    """Formats totals of a plan and savings by sharing, then the tree."""
    work = totals(tree, flops)
    segments, leaves = tree.segments(), tree.finetunings()
    leaf_flops = sum(flops[node.name] for node in leaves)
    lines = [
        f"{tree.profile.name}: {tree.profile.purpose}",
        f"time: {estimate.sentence}",
        f"experiments: {len(tree.specs)}; nodes: {len(tree.nodes)} "
        f"({len(segments)} pre-training, {len(leaves)} fine-tuning)",
        f"pre-training: {number(work['steps'])} steps, {number(work['flops'])} FLOPs; "
        f"fine-tuning: {number(sum(node.steps for node in leaves))} steps, "
        f"{number(leaf_flops)} FLOPs (decoding not counted)",
        f"each experiment alone: {number(work['steps_alone'])} steps, "
        f"{number(work['flops_alone'])} FLOPs; sharing saves "
        f"{work['steps_saved_fraction']:.1%} of the steps and "
        f"{work['flops_saved_fraction']:.1%} of the FLOPs",
        f"suites: {', '.join(_suites(leaves))}",
        "nodes: hybrid/ is trained on both objectives, sc/ and tau…/ on span corruption alone; "
        "steps in names are on the paper's scale; a full name begins with size and seed, such as "
        "base/s0/hybrid/0-60K",
        "",
    ]
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, highlight=False, markup=False, color_system=None)
    console.print(plan_tree(tree, flops, estimate))
    return f"{paragraphs(lines)}\n{out.getvalue().rstrip()}"


def plan_data(
    tree: Tree, flops: Mapping[str, float], estimate: Estimate
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Converts a plan to plain data: totals, and a row for each node."""
    facts = {
        "profile": tree.profile.name,
        "total_steps": tree.profile.total_steps,
        "experiments": [spec.plain_data() for spec in tree.specs],
        "pretraining": totals(tree, flops),
        "estimate": {"seconds": estimate.elapsed, "source": estimate.sentence},
    }
    rows = [
        _node_data(node) | {"flops": flops[name], "estimated_seconds": estimate.seconds[name]}
        for name, node in tree.nodes.items()
    ]
    return facts, rows


def _node_data(node: Node) -> dict[str, Any]:
    shared = {
        "name": node.name,
        "parent": node.parent,
        "size": node.size,
        "seed": node.seed,
        "steps": node.steps,
        "taus": [str(spec.tau) for spec in node.specs],
        "variants": [spec.variant for spec in node.specs],
    }
    if isinstance(node, Finetuning):
        return shared | {
            "kind": "finetuning",
            "suite": node.suite,
            "finetune_seed": node.finetune_seed,
            "checkpoint": node.checkpoint_paper,
            "checkpoint_step": node.checkpoint_step,
        }
    return shared | {
        "kind": "pretraining",
        "stage": node.stage,
        "start_step": node.start_step,
        "end_step": node.end_step,
        "start": node.start_paper,
        "end": node.end_paper,
    }
