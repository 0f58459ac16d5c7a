"""Conversion of finished nodes' files to records.

Series and scores belong to a node, records to an experiment. A segment's numbers are therefore
repeated for every experiment that includes it. Nodes that are not finished, or have other settings
than the profile, are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import scores
from analysis.schema import records
from analysis.schema.nodes import Nodes
from repro import (
    advice,
    folders,
    profile_records,
    provenance,
    scoring,
    step_lines,
    t5x_folder,
    validation,
)
from repro.node_state import state_of
from repro.plan import Finetuning, Node, Segment, Tree
from spactor.errors import UserError

EXAMPLE_FILE = "example.json"
"""File with Figure 1's example, which ``spactor.example`` writes at the end of hybrid training."""
_UNFINISHED = {"new": "not run", "partial": "not finished"}
_ADVICE = "correct that, or move the folder away and run again"
METRICS, TIMING, PROVENANCE = "metrics.parquet", "timing.parquet", "provenance.json"


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Records of one profile's runs.

    Attributes:
      metrics, timing: records; timings, which differ between equal runs, are separate.
      provenance: provenance of the finished nodes, in the tree's order.
      unfinished: reasons for leaving nodes out, by name.
      remarks: remarks on nodes that are not left out, one line each.
    """

    metrics: pd.DataFrame
    timing: pd.DataFrame
    provenance: tuple[Mapping[str, Any], ...]
    unfinished: Mapping[str, str]
    remarks: tuple[str, ...]


def collect(tree: Tree, runs: Path) -> Collected:
    """Collects records of a tree's finished nodes, its costs, settings and data.

    Evaluations that a selection rule chooses are repeated with the rule's name.

    Args:
      tree: the tree, usually of the whole profile.
      runs: an opened folder of runs.

    Raises:
      UserError: a file is damaged (the message names file and line), or no node is finished.
    """
    finished, unfinished, remarks = finished_nodes(tree, runs)
    if not finished:
        for name, reason in unfinished.items():
            if reason not in _UNFINISHED.values():
                raise UserError(
                    f"nothing of profile {tree.profile.name} can be collected: {name}: {reason}"
                )
        raise UserError(
            f"nothing of profile {tree.profile.name} is finished in {runs}: "
            f"run `{advice.command('run', tree.profile, runs)}` first"
        )
    rows: list[dict[str, Any]] = []
    nodes: list[dict[str, Any]] = []
    for name, fingerprint in finished.items():
        folder = folders.node_folder(runs, tree.profile.name, name)
        facts = {"node": name, "fingerprint": fingerprint}
        rows += [row | facts for row in _node_rows(tree, tree.nodes[name], folder)]
        nodes.append(provenance.read(folder / folders.PROVENANCE))
        if t5x_folder.is_one(folder):
            nodes[-1]["config_gin"] = t5x_folder.config_text(folder)
    rows += _divergence_rows(tree, runs)
    rows += profile_records.cost_rows(tree)
    rows += profile_records.setting_rows(tree.profile)
    rows += profile_records.data_rows(tree, runs, nodes)
    shared = {"source": "measured", "profile": tree.profile.name}
    timing = [row | shared for row in rows if row["metric"].startswith(step_lines.TIMING)]
    metrics = [row | shared for row in rows if not row["metric"].startswith(step_lines.TIMING)]
    evaluations = records.from_rows(metrics, "collected metrics")
    return Collected(
        metrics=records.combine(evaluations, scores.select_by_all_rules(evaluations)),
        timing=records.from_rows(timing, "collected timing"),
        provenance=tuple(nodes),
        unfinished=unfinished,
        remarks=remarks,
    )


def read_provenance(path: Path) -> Nodes:
    """Reads the file of provenance that `write` wrote.

    Raises:
      UserError: the file is damaged.
    """
    return Nodes.of(folders.read_json(path, Nodes)["nodes"])


def write(collected: Collected, folder: Path) -> tuple[Path, ...]:
    """Writes records, timing and provenance; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    records.write(collected.metrics, folder / METRICS)
    records.write(collected.timing, folder / TIMING)
    folders.write_json(folder / PROVENANCE, {"nodes": list(collected.provenance)})
    return folder / METRICS, folder / TIMING, folder / PROVENANCE


def finished_nodes(
    tree: Tree, runs: Path
) -> tuple[dict[str, str], dict[str, str], tuple[str, ...]]:
    """Returns fingerprints of finished nodes, reasons to leave out the others, and remarks.

    Raises:
      UserError: a file is damaged; the message names file and line.
    """
    finished: dict[str, str] = {}
    unfinished: dict[str, str] = {}
    remarks: dict[str, list[str]] = {}
    for name, node in tree.nodes.items():
        folder = folders.node_folder(runs, tree.profile.name, name)
        state = state_of(tree, runs, node)
        if state.condition != "finished" or state.recorded is None:
            unfinished[name] = _UNFINISHED.get(state.condition, "; ".join(state.reasons))
        elif node.parent and node.parent not in finished:
            unfinished[name] = f"its parent {node.parent} is left out"
        elif node.parent and state.recorded["inputs"].get("parent") != finished[node.parent]:
            unfinished[name] = f"its parent {node.parent} was trained again since"
        elif isinstance(node, Finetuning) and scoring.unscored(folder, node):
            score = advice.command("score", tree.profile, runs)
            unfinished[name] = f"its predictions are not scored: run `{score}`"
        else:
            fingerprint = state.recorded["fingerprint"]
            found = validation.validate(tree.profile, node, folder, fingerprint)
            for remark in found.remarks:
                remarks.setdefault(remark, []).append(name)
            if found.faults:
                unfinished[name] = f"{'; '.join(found.faults)}; {_ADVICE}"
            else:
                finished[name] = fingerprint
    lines = (
        f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}: {remark}"
        for remark, names in remarks.items()
    )
    return finished, unfinished, tuple(lines)


def _experiment_rows(node: Node, **columns: object) -> Iterator[dict[str, Any]]:
    """Repeats a row for every experiment that the node belongs to."""
    if isinstance(node, Finetuning):
        columns |= {"finetune_seed": node.finetune_seed, "checkpoint": node.checkpoint_paper}
    for spec in node.specs:
        yield {**spec.plain_data(), **columns}


def _node_rows(tree: Tree, node: Node, folder: Path) -> Iterator[dict[str, Any]]:
    """Yields a node's numbers, without the columns that all rows share."""
    if isinstance(node, Finetuning):
        yield from _score_rows(node, folder)
    else:
        yield from _series_rows(tree, node, folder)
        yield from _example_rows(node, folder)


def _series_rows(tree: Tree, node: Segment, folder: Path) -> Iterator[dict[str, Any]]:
    for step, values in validation.read_series(folder).steps.items():
        paper_step = tree.profile.paper_step_of(step)
        for metric, value in values.items():
            name = f"{metric}/{node.stage}" if metric.startswith(step_lines.TIMING) else metric
            yield from _experiment_rows(
                node, step=step, paper_step=paper_step, metric=name, value=value
            )


def _example_rows(node: Segment, folder: Path) -> Iterator[dict[str, Any]]:
    """Yields Figure 1's worked example, if the segment has one."""
    path = folder / EXAMPLE_FILE
    if path.is_file():
        for name, pieces in folders.read_json(path).items():
            text = json.dumps(pieces, ensure_ascii=False)
            metric = f"{records.EXAMPLE}{name}"
            yield from _experiment_rows(node, metric=metric, value=None, text=text)


def _score_rows(node: Finetuning, folder: Path) -> Iterator[dict[str, Any]]:
    first = scoring.first_step(folder, node)
    for path in scoring.score_files(folder):
        shared = {"suite": node.suite, "task": scoring.task_of(path, node.suite)}
        for step, values in step_lines.read_steps(path).items():
            for metric, value in values.items():
                yield from _experiment_rows(
                    node, step=step - first, metric=metric, value=value, **shared
                )


def _divergence_rows(tree: Tree, runs: Path) -> Iterator[dict[str, Any]]:
    """Yields a row for every fine-tuning that has no scores because of a divergence."""
    found: dict[str, str] = {}
    for name, node in tree.nodes.items():
        state = state_of(tree, runs, node)
        if state.divergence is not None:
            found[name] = f"{name}: {state.divergence}"
        elif node.parent in found:
            found[name] = found[node.parent]
        if name in found and isinstance(node, Finetuning):
            metric = f"{records.DIVERGED}{node.suite}"
            yield from _experiment_rows(node, metric=metric, value=None, text=found[name])
