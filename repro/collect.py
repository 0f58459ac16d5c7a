"""Turns the files of a tree's finished nodes into records.

Series and scores belong to a node, records to an experiment. A segment's numbers are therefore
repeated for every experiment whose path contains it. Nodes that are not finished, or whose settings
are no longer the profile's, are left out.
"""

from __future__ import annotations

import dataclasses
import decimal
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import scores
from analysis.flops import pretraining_flops, step_flops
from analysis.schema import records
from analysis.schema.facts import FLAN_SUITES
from analysis.schema.nodes import Nodes
from analysis.schema.quantities import VOCABULARY_SIZE
from repro import advice, folders, provenance, scoring, step_lines, t5x_folder, validation
from repro.node_state import state_of
from repro.plan import Finetuning, Node, Segment, Tree
from repro.specs import Profile
from spactor.config import STAGES, FinetuneConfig
from spactor.errors import UserError

RTD_ACTIVATION = "GELU"
"""Of the RTD head; not a setting, ``spactor.network`` has it built in."""
EXAMPLE_FILE = "example.json"
"""Figure 1's example, in a segment that ends hybrid pre-training; ``spactor.example`` writes it."""
_UNFINISHED = {"new": "not run", "partial": "not finished"}
_ADVICE = "correct that, or move the folder away and run again"
METRICS, TIMING, PROVENANCE = "metrics.parquet", "timing.parquet", "provenance.json"


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The records of one profile's runs.

    Attributes:
      metrics, timing: records; timings, which differ between equal runs, have a file of their own.
      provenance: of the finished nodes, in the tree's order.
      unfinished: reasons by the names of nodes that are left out.
      remarks: about nodes that are not left out, line by line.
    """

    metrics: pd.DataFrame
    timing: pd.DataFrame
    provenance: tuple[Mapping[str, Any], ...]
    unfinished: Mapping[str, str]
    remarks: tuple[str, ...]


def collect(tree: Tree, runs: Path) -> Collected:
    """Collects a tree's finished nodes, its costs, and facts about its settings and data.

    Evaluations that a selection rule chooses are copied with the rule's name.

    Args:
      tree: usually of the whole profile.
      runs: an opened runs folder.

    Raises:
      UserError: a file is damaged (names it and the line), or nothing is finished.
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
    rows += _cost_rows(tree)
    rows += _setting_rows(tree.profile)
    rows += _data_rows(tree, runs, nodes)
    shared = {"source": "measured", "profile": tree.profile.name}
    timing = [row | shared for row in rows if row["metric"].startswith(step_lines.TIMING)]
    metrics = [row | shared for row in rows if not row["metric"].startswith(step_lines.TIMING)]
    evaluations = records.from_rows(metrics, "collected metrics")
    return Collected(
        metrics=records.combine(evaluations, scores.marked(evaluations)),
        timing=records.from_rows(timing, "collected timing"),
        provenance=tuple(nodes),
        unfinished=unfinished,
        remarks=remarks,
    )


def read_provenance(path: Path) -> Nodes:
    """Reads the nodes' provenance as `write` wrote it.

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
      UserError: a file is damaged; names it and the line.
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
        for station, pieces in folders.read_json(path).items():
            text = json.dumps(pieces, ensure_ascii=False)
            metric = f"{records.EXAMPLE}{station}"
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
    """Yields a row in place of the scores of every fine-tuning that a divergence prevented."""
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


def _cost_rows(tree: Tree) -> Iterator[dict[str, Any]]:
    profile = tree.profile
    # Costs do not depend on the seed.
    seedless = {dataclasses.replace(spec, seed=0): spec for spec in reversed(tree.specs)}
    configs = {(spec.size, spec.variant): profile.config_of(spec) for spec in seedless.values()}
    for (size, variant), config in configs.items():
        of = {"size": size, "variant": variant}
        for stage in STAGES:
            yield of | {
                "metric": f"cost/step_flops/{stage}",
                "value": step_flops(config, stage),
            }
        lengths = config.lengths
        yield of | {
            "metric": "data/target_text_fraction",
            "value": lengths.noise_tokens / lengths.target_tokens,
        }
        yield of | {"metric": VOCABULARY_SIZE, "value": config.model.vocab_size}
    for spec in seedless.values():
        tau_steps = math.inf if str(spec.tau) == "inf" else profile.step_of(spec.tau.end)
        for checkpoint in filter(None, profile.finetuned_at(spec)):  # no cost from scratch
            if spec.variant:
                # A curriculum's steps differ in cost.
                value = sum(
                    node.steps * step_flops(node.config, node.stage)
                    for node in tree.path(spec)
                    if node.end_paper <= checkpoint
                )
            else:
                value = pretraining_flops(
                    profile.sizes[spec.size], tau_steps, profile.step_of(checkpoint)
                )
            yield {
                "size": spec.size,
                "tau": str(spec.tau),
                "variant": spec.variant,
                "checkpoint": checkpoint,
                "metric": "cost/pretraining_flops",
                "value": value,
            }


def _setting_rows(profile: Profile) -> Iterator[dict[str, Any]]:
    """Yields the profile's settings that Table 5 and Appendix A.2 list, named as published."""
    for size, config in profile.sizes.items():
        model, corruption, optimizer = config.model, config.corruption, config.optimizer
        encoder, decoder = model.num_encoder_layers, model.num_decoder_layers
        settings: dict[str, float | str] = {
            # The paper prints one number; its encoder and decoder are equally deep.
            "discriminator_layers": encoder if encoder == decoder else f"{encoder} and {decoder}",
            "discriminator_heads": model.num_heads,
            "discriminator_emb_dim": model.emb_dim,
            "discriminator_mlp_dim": model.mlp_dim,
            "rtd_mlp_dim": model.rtd_mlp_dim,
            "rtd_activation": RTD_ACTIVATION,
            "generator_layers": model.generator_num_layers,
            "generator_mlp_dim": model.generator_mlp_dim,
            "input_length": config.input_length,
            "batch_size": config.batch_size,
            "noise_density": corruption.noise_density,
            "mean_noise_span_length": corruption.mean_noise_span_length,
            "mlm_ratio": corruption.mlm_ratio,
            "warmup_steps": optimizer.warmup_steps,
            "learning_rate_schedule": f"{optimizer.learning_rate_factor}/√max(n, κ)",
            "lambda_rtd": config.objective.lambda_rtd,
            "lambda_sc": config.objective.lambda_sc,
        }
        for name, value in settings.items():
            yield {"size": size, "metric": f"setting/{name}"} | _setting(value)
    groups: dict[str, list[FinetuneConfig]] = {}
    for suite, finetuning in profile.finetuning.items():
        group = "flan" if suite in FLAN_SUITES else "default"
        (first, *_) = groups.get(group, [finetuning])
        length = {name: getattr(first, name) for name in ("total_steps", "evaluation_period_steps")}
        # A suite with further settings of its own has records of its own.
        alone = dataclasses.replace(finetuning, **length) != first
        groups.setdefault(suite if alone else group, []).append(finetuning)
    for group, configs in groups.items():
        first = configs[0]
        settings = {
            "learning_rate": first.learning_rate,
            "dropout_rate": first.dropout_rate,
            "batch_size": first.batch_size,
            "reset_optimizer": int(first.reset_optimizer),
            "least_steps": min(config.total_steps for config in configs),
            "most_steps": max(config.total_steps for config in configs),
        }
        for name, value in settings.items():
            yield {"metric": f"finetuning/{group}/{name}"} | _setting(value)


def _setting(value: float | str) -> dict[str, Any]:
    """Returns a setting's columns; a number gets the decimals needed to read it back unchanged.

    >>> _setting(0.0005)["decimals"], _setting(10.0)["decimals"], _setting(2048)["decimals"]
    (4, 1, 0)
    """
    if isinstance(value, str):
        return {"value": None, "text": value}
    digits = format(decimal.Decimal(repr(value)), "f").partition(".")[2]
    return {"value": float(value), "decimals": len(digits)}


def _data_rows(
    tree: Tree, runs: Path, nodes: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    facts = [record.get("data", {}) for record in nodes]
    for name in ("unigram_entropy_nats", "most_frequent_token_rate"):
        values = {fact[name] for fact in facts if name in fact}
        if len(values) > 1:
            raise UserError(
                f"profile {tree.profile.name} was run on different data ({name} is "
                f"{' and '.join(map(str, sorted(values)))}): "
                f"run `{advice.command('run', tree.profile, runs)}` again"
            )
        for value in values:
            yield {"metric": f"data/{name}", "value": value}
