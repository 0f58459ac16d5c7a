"""Records of a profile as a whole, which belong to no node: costs in FLOPs, settings, and data.

Costs and settings have the metrics of the published records.
"""

from __future__ import annotations

import dataclasses
import decimal
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.flops import pretraining_flops, step_flops
from analysis.schema.facts import FLAN_SUITES
from analysis.schema.quantities import VOCABULARY_SIZE
from repro import advice
from repro.plan import Tree
from repro.specs import Profile
from spactor.config import STAGES, FinetuneConfig
from spactor.errors import UserError

_RTD_ACTIVATION = "GELU"
"""Activation of the RTD head, which ``spactor.network`` fixes."""


def cost_rows(tree: Tree) -> Iterator[dict[str, Any]]:
    """Yields FLOPs of a step, by stage, and of pre-training up to each checkpoint."""
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
                # Steps of a curriculum may have different costs.
                value = math.fsum(
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


def setting_rows(profile: Profile) -> Iterator[dict[str, Any]]:
    """Yields the profile's settings that Table 5 and Appendix A.2 list, named as published."""
    for size, config in profile.sizes.items():
        model, corruption, optimizer = config.model, config.corruption, config.optimizer
        encoder, decoder = model.num_encoder_layers, model.num_decoder_layers
        settings: dict[str, float | str] = {
            # The paper prints one number, since its encoder and decoder have the same depth.
            "discriminator_layers": encoder if encoder == decoder else f"{encoder} and {decoder}",
            "discriminator_heads": model.num_heads,
            "discriminator_emb_dim": model.emb_dim,
            "discriminator_mlp_dim": model.mlp_dim,
            "rtd_mlp_dim": model.rtd_mlp_dim,
            "rtd_activation": _RTD_ACTIVATION,
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
        # A suite with other settings than its group has its own records.
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
    """Returns a setting's columns; a number has all decimals of its shortest representation.

    >>> _setting(0.0005)["decimals"], _setting(10.0)["decimals"], _setting(2048)["decimals"]
    (4, 1, 0)
    """
    if isinstance(value, str):
        return {"value": None, "text": value}
    digits = format(decimal.Decimal(repr(value)), "f").partition(".")[2]
    return {"value": float(value), "decimals": len(digits)}


def data_rows(
    tree: Tree, runs: Path, nodes: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yields facts on the data that the nodes were trained on.

    Args:
      tree: tree of the nodes.
      runs: folder of runs.
      nodes: provenance of the finished nodes.

    Raises:
      UserError: the nodes were trained on different data.
    """
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
