"""Reads what the nodes of a tree wrote and turns it into records.

Series and scores belong to a node; a record belongs to an experiment. What a segment measured is
therefore repeated for every experiment whose path runs through it. Only finished nodes count,
and only those whose settings are still the profile's.
"""

from __future__ import annotations

import dataclasses
import decimal
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from repro import folders, identity, provenance, records, scorekeeping, t5x_folder
from repro.costs import StepFlops
from repro.plan import Finetuning, Segment, Tree
from repro.runner import inspect
from repro.specs import FLAN_SUITES, Profile
from repro.step_lines import read_steps
from spactor.config import STAGES, FinetuneConfig, PretrainConfig
from spactor.errors import UserError

PretrainingFlops = Callable[[PretrainConfig, float, int], float]
"""FLOPs of a pre-training from its configuration, τ and length in steps."""

Select = Callable[[pd.DataFrame], pd.DataFrame]
"""From records with all evaluations to copies of those selected, each with its rule's name."""

RTD_ACTIVATION = "GELU"
"""Of the RTD head; no setting of ours, ``spactor.network`` has it built in."""
EXAMPLE_FILE = "example.json"
"""In a segment that ends hybrid pre-training; ``spactor.example``, which needs JAX, writes it."""
NOT_SCORED = "its predictions are not scored: `repro score` does that"
METRICS, TIMING, PROVENANCE = "metrics.parquet", "timing.parquet", "provenance.json"


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What was collected from one profile's runs.

    Attributes:
      metrics, timing: records; the clock has a file of its own, since it differs between runs.
      provenance: of the finished nodes, in the tree's order.
      unfinished: names of nodes that don't count, each with the reason.
    """

    metrics: pd.DataFrame
    timing: pd.DataFrame
    provenance: tuple[Mapping[str, Any], ...]
    unfinished: Mapping[str, str]


def collect(
    tree: Tree,
    runs: Path,
    *,
    step_flops: StepFlops,
    pretraining_flops: PretrainingFlops,
    select: Select,
) -> Collected:
    """Collects a tree's finished nodes.

    Args:
      tree: usually of the whole profile.
      runs: an opened runs folder.
      step_flops, pretraining_flops: costs, which become records too.
      select: finds the fine-tuning steps that the rules select.

    Raises:
      UserError: for a damaged file, naming it and the line; or where nothing is finished.
    """
    found, unfinished = read_nodes(tree, runs)
    if not found:
        raise UserError(
            f"nothing of profile {tree.profile.name} is finished in {runs}: "
            f"run `repro run --profile {tree.profile.name} --runs {runs}` first"
        )
    metrics: list[dict[str, Any]] = []
    timing: list[dict[str, Any]] = []
    for node in found:
        for row in node.rows:
            (timing if row["metric"].startswith("timing/") else metrics).append(row)
    metrics += _cost_rows(tree, step_flops, pretraining_flops)
    metrics += _setting_rows(tree.profile)
    metrics += _data_rows(tree, [node.provenance for node in found])
    shared = {"source": "measured", "profile": tree.profile.name}
    evaluations = records.from_rows([row | shared for row in metrics], "collected metrics")
    return Collected(
        metrics=records.combine(evaluations, select(evaluations)),
        timing=records.from_rows([row | shared for row in timing], "collected timing"),
        provenance=tuple(node.provenance for node in found),
        unfinished=unfinished,
    )


@dataclass(frozen=True)
class ReadNode:
    """Rows of a finished node's numbers, without what all rows share, and its provenance."""

    rows: list[dict[str, Any]]
    provenance: Mapping[str, Any]


def read_nodes(tree: Tree, runs: Path) -> tuple[list[ReadNode], dict[str, str]]:
    """What the finished nodes' files hold, and why each of the others doesn't count.

    Raises:
      UserError: for a damaged file, naming it and the line.
    """
    finished, unfinished = _sort_out(tree, runs)
    found = []
    for name, done in finished.items():
        node = tree.nodes[name]
        folder = folders.node_folder(runs, tree.profile.name, name)
        if isinstance(node, Finetuning):
            rows = list(_score_rows(tree, node, folder))
        else:
            rows = [*_series_rows(tree, node, folder), *_example_rows(node, folder)]
        record = provenance.read(folder / folders.PROVENANCE)
        if t5x_folder.is_one(folder):
            record |= {"config_gin": t5x_folder.config_text(folder)}
        facts = {"node": name, "fingerprint": done}
        found.append(ReadNode([row | facts for row in rows], record))
    return found, unfinished


def read_provenance(path: Path) -> list[dict[str, Any]]:
    """What `write` wrote of the nodes.

    Raises:
      UserError: the file is damaged.
    """
    known = {f"nodes[].{key}": kind for key, kind in provenance.KINDS.items()}
    return folders.read_json(path, {"nodes": list}, {"nodes[]": dict, **known})["nodes"]


def write(collected: Collected, folder: Path) -> tuple[Path, ...]:
    """Writes records, timing and provenance; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    records.write(collected.metrics, folder / METRICS)
    records.write(collected.timing, folder / TIMING)
    folders.write_json(folder / PROVENANCE, {"nodes": list(collected.provenance)})
    return folder / METRICS, folder / TIMING, folder / PROVENANCE


def _sort_out(tree: Tree, runs: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Fingerprints of the nodes that count, and why each of the others doesn't."""
    finished: dict[str, str] = {}
    unfinished: dict[str, str] = {}
    for name, node in tree.nodes.items():
        state = inspect(
            folders.node_folder(runs, tree.profile.name, name), identity.settings(tree, node)
        )
        if state.condition != "finished" or state.recorded is None:
            why = {"new": "not run", "partial": "not finished"}
            unfinished[name] = why.get(state.condition, "; ".join(state.reasons))
        elif node.parent and node.parent not in finished:
            unfinished[name] = f"its parent {node.parent} does not count"
        elif node.parent and state.recorded["inputs"].get("parent") != finished[node.parent]:
            unfinished[name] = f"its parent {node.parent} ran again since"
        elif isinstance(node, Finetuning) and scorekeeping.unscored(
            folders.node_folder(runs, tree.profile.name, name), node
        ):
            unfinished[name] = NOT_SCORED
        else:
            finished[name] = state.recorded["fingerprint"]
    return finished, unfinished


def _series_rows(tree: Tree, node: Segment, folder: Path) -> Iterator[dict[str, Any]]:
    from_t5x = t5x_folder.is_one(folder)
    path = folder / ("train" if from_t5x else "metrics.jsonl")
    series = t5x_folder.read_series(folder) if from_t5x else read_steps(path)
    period = tree.profile.validation_period_steps
    first = node.start_step if node.parent is None else node.start_step + 1
    for step in series:
        if not first <= step <= node.end_step:
            raise UserError(
                f"{path}: step {step} lies outside {node.name} ({first} to {node.end_step}): "
                "these are lines of another run; move the folder away and run again"
            )
    for step in range(first, node.end_step + 1):
        due = step == node.end_step or (step and step % period == 0)
        if due and not any(key.startswith("validation/") for key in series.get(step, {})):
            raise UserError(
                f"{path}: the validation losses of step {step} are missing: "
                "the file is damaged; move the folder away and run again"
            )
    for step, values in series.items():
        for metric, value in values.items():
            name = f"{metric}/{node.stage}" if metric.startswith("timing/") else metric
            for spec in node.specs:
                yield {
                    **spec.plain_data(),
                    "step": step,
                    "paper_step": tree.profile.paper_step_of(step),
                    "metric": name,
                    "value": value,
                }


def _example_rows(node: Segment, folder: Path) -> Iterator[dict[str, Any]]:
    """Figure 1's worked example, where a segment has one."""
    path = folder / EXAMPLE_FILE
    if not path.is_file():
        return
    for station, pieces in folders.read_json(path).items():
        for spec in node.specs:
            yield {
                **spec.plain_data(),
                "metric": f"{records.EXAMPLE}{station}",
                "value": None,
                "text": json.dumps(pieces, ensure_ascii=False),
            }


def _score_rows(tree: Tree, node: Finetuning, folder: Path) -> Iterator[dict[str, Any]]:
    home = folder / scorekeeping.SCORES
    paths = sorted(home.glob("*-metrics.jsonl"))
    if not paths:
        raise UserError(
            f"{home}: no scores of {node.name} are there: move the folder away and run again"
        )
    # T5X's steps count on from pre-training's.
    offset = node.checkpoint_step if t5x_folder.is_one(folder) else 0
    last = offset + node.config.total_steps
    for path in paths:
        scores = read_steps(path)
        if last not in scores:
            raise UserError(
                f"{path}: the scores of step {last} are missing: "
                "the file is damaged; move the folder away and run again"
            )
        task = scorekeeping.task_of(path, node.suite)
        for step, values in scores.items():
            for metric, value in values.items():
                for spec in node.specs:
                    yield {
                        **spec.plain_data(),
                        "finetune_seed": node.finetune_seed,
                        "checkpoint": node.checkpoint_paper,
                        "step": step - offset,
                        "suite": node.suite,
                        "task": task,
                        "metric": metric,
                        "value": value,
                    }


def _cost_rows(
    tree: Tree, step_flops: StepFlops, pretraining_flops: PretrainingFlops
) -> Iterator[dict[str, Any]]:
    profile = tree.profile
    # Costs don't depend on the seed.
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
    for spec in seedless.values():
        tau_steps = math.inf if str(spec.tau) == "inf" else profile.step_of(spec.tau.end)
        for checkpoint in filter(None, tree.checkpoints_of(spec)):  # from scratch costs nothing
            if spec.variant:
                # A curriculum's steps don't all cost the same.
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
    """What Table 5 and Appendix A.2 list, as the profile has it; names as in ``published``."""
    for size, config in profile.sizes.items():
        model, corruption, optimizer = config.model, config.corruption, config.optimizer
        encoder, decoder = model.num_encoder_layers, model.num_decoder_layers
        settings: dict[str, float | str] = {
            # One number in the paper, where both are equally deep.
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
        groups.setdefault("flan" if suite in FLAN_SUITES else "default", []).append(finetuning)
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
    """A setting's columns; a number has the digits it needs to be read back unchanged.

    >>> _setting(0.0005)["decimals"], _setting(10.0)["decimals"], _setting(2048)["decimals"]
    (4, 1, 0)
    """
    if isinstance(value, str):
        return {"value": None, "text": value}
    digits = format(decimal.Decimal(repr(value)), "f").partition(".")[2]
    return {"value": float(value), "decimals": len(digits)}


def _data_rows(tree: Tree, nodes: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    facts = [record.get("data", {}) for record in nodes]
    for name in ("unigram_entropy_nats", "most_frequent_token_rate"):
        values = {fact[name] for fact in facts if name in fact}
        if len(values) > 1:
            raise UserError(
                f"profile {tree.profile.name} was run on different data ({name} is "
                f"{' and '.join(map(str, sorted(values)))}): run `repro run` again to renew it"
            )
        for value in values:
            yield {"metric": f"data/{name}", "value": value}
