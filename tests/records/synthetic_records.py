"""Made-up records of a tiny study, small enough to check by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.schema import records
from analysis.schema.facts import CHECKPOINTS

COMMON = {"source": "measured", "profile": "micro"}
TAU_STEPS = {"0": 0, "60K": 60, "120K": 120, "250K": 250, "inf": math.inf}


def clean_loss(tau: str, paper_step: int) -> float:
    """2 + 100/(step in K + 20); ∞ is lower by 0.05 at 0 and gets worse by 1e-4 a 1,000 steps."""
    thousands = paper_step / 1000
    shift = (1e-4 * thousands - 0.05) if tau == "inf" else 0.0
    return 2.0 + 100.0 / (thousands + 20.0) + shift


def series(seeds: int = 1, wobble: float = 0.002) -> list[dict]:
    """Validation series of τ = 0 and ∞ at every 40K steps, with a small made-up wobble."""
    rows = []
    for seed in range(seeds):
        for step in range(40, 1001, 40):
            at = {**COMMON, "size": "base", "seed": seed, "step": step, "paper_step": step * 1000}
            noise = wobble * math.sin(step * 1.7 + seed)
            plain = clean_loss("0", step * 1000)
            hybrid = clean_loss("inf", step * 1000) + noise
            values = {
                ("0", "sc_loss_clean"): plain,
                ("inf", "sc_loss_clean"): hybrid,
                ("inf", "sc_loss_noisy"): hybrid + 0.2 + noise,
                ("inf", "mlm_accuracy"): 0.1 + step / 5000,
                ("inf", "rtd_loss"): 0.30 - step / 10_000,
                ("inf", "rtd_recall"): step / 2500,
                ("inf", "rtd_precision"): 0.2 + step / 2500,
                ("inf", "replaced_fraction"): 0.10,
            }
            for (tau, name), value in values.items():
                rows.append({**at, "tau": tau, "metric": f"validation/{name}", "value": value})
    return rows


def curve(
    tau: str,
    seed: int,
    paper_steps: ArrayLike,
    values: ArrayLike,
    metric: str = "validation/sc_loss_clean",
) -> list[dict]:
    """A metric of one model of Base, of which a step stands for 1,000 of the paper's."""
    at = {**COMMON, "size": "base", "tau": tau, "seed": seed, "metric": metric}
    pairs = zip(np.asarray(paper_steps).tolist(), np.asarray(values).tolist(), strict=True)
    return [{**at, "step": n // 1000, "paper_step": n, "value": value} for n, value in pairs]


def trained(paper_steps: ArrayLike, losses: Mapping[str, Sequence[ArrayLike]]) -> pd.DataFrame:
    """Costs, and the validated losses of each seed by τ."""
    rows = costs()
    for tau, seeds in losses.items():
        for seed, values in enumerate(seeds):
            rows += curve(tau, seed, paper_steps, values)
    return records.from_rows(rows)


def score(value: float, **changes: object) -> dict:
    """A score record; by default of Base, τ = 0, seed 0, at 500K, on GLUE's RTE."""
    row = {**COMMON, "size": "base", "tau": "0", "seed": 0, "finetune_seed": 0}
    row |= {"checkpoint": 500_000, "step": 30, "suite": "glue", "task": "rte"}
    return row | {"metric": "accuracy", "value": value} | changes


def scores(
    runs: int = 1, size: str = "base", taus: tuple[str, ...] = tuple(TAU_STEPS)
) -> list[dict]:
    """GLUE (two tasks, one with two metrics) and CNN/DailyMail at two fine-tuning steps."""
    rows = []
    for rank, tau in enumerate(taus):
        for checkpoint in CHECKPOINTS:
            if tau == "60K" and checkpoint == 1_000_000:
                continue
            for seed in range(runs):
                gain = rank + checkpoint / 500_000 + 0.25 * seed
                for step, late in ((30, 0.0), (60, 1.0)):
                    values = {
                        ("glue", "cola", "matthews_corrcoef"): 10 + gain + late,
                        ("glue", "mrpc", "accuracy"): 60 + gain + late,
                        ("glue", "mrpc", "f1"): 70 + gain + late,
                        ("cnndm", "summary", "rouge1"): 20 + gain - late,
                        ("cnndm", "summary", "rouge2"): 10 + gain - late,
                    }
                    at = {"size": size, "tau": tau, "checkpoint": checkpoint, "step": step}
                    for (suite, task, metric), value in values.items():
                        of = {"suite": suite, "task": task, "metric": metric}
                        rows.append(score(value, **at, **of, finetune_seed=seed))
    return rows


def costs(size: str = "base", extra: float = 0.2) -> list[dict]:
    """A plain step costs 100 GFLOPs, a hybrid one the share ``extra`` more."""
    rows = []
    for tau, tau_steps in TAU_STEPS.items():
        for checkpoint in CHECKPOINTS:
            steps = checkpoint // 1000
            flops = 1e11 * (steps + extra * min(tau_steps, steps))
            at = {"tau": tau, "checkpoint": checkpoint, "metric": "cost/pretraining_flops"}
            rows.append({**COMMON, "size": size, **at, "value": flops})
    for stage, flops in (("span_corruption", 1e11), ("hybrid", (1.0 + extra) * 1e11)):
        metric = f"cost/step_flops/{stage}"
        rows.append({**COMMON, "size": size, "metric": metric, "value": flops})
    return rows


def facts() -> list[dict]:
    """Unigram entropy 6 nats, most frequent token 5 %, three quarters of the targets text."""
    values = {
        "unigram_entropy_nats": 6.0,
        "most_frequent_token_rate": 0.05,
        "target_text_fraction": 0.75,
    }
    return [{**COMMON, "metric": f"data/{name}", "value": v} for name, v in values.items()]


def timing() -> pd.DataFrame:
    """Baseline 40 sequences a second, hybrid 30 under two τ that share their node."""
    rows = []
    for step, jitter in ((10, -5.0), (20, 0.0), (30, 20.0)):
        at = {**COMMON, "size": "base", "seed": 0, "step": step}
        plain = {"tau": "0", "node": "base/s0/sc", "value": 40.0 + jitter}
        rows.append({**at, **plain, "metric": "timing/seqs_per_second/span_corruption"})
        for tau in ("60K", "inf"):
            hybrid = {"tau": tau, "node": "base/s0/hybrid", "value": 30.0 + jitter}
            rows.append({**at, **hybrid, "metric": "timing/seqs_per_second/hybrid"})
    return records.from_rows(rows)


def example() -> list[dict]:
    """Eight tokens, a span of two cut out, two masked: one restored, one replaced and found."""
    stations = {
        "original": ["▁Return", "▁the", "▁value", "▁of", "▁the", "▁given", "▁name", "."],
        "span_corrupted": ["▁Return", "▁the", "▁value", "[S0]", "▁given", "▁name", ".", "[eos]"],
        "masked": ["▁Return", "[M]", "▁value", "[S0]", "▁given", "[M]", ".", "[eos]"],
        "replaced": ["▁Return", "▁the", "▁value", "[S0]", "▁given", "▁list", ".", "[eos]"],
        "targets": ["[S0]", "▁of", "▁the", "[eos]"],
        "is_original": [1, 1, 1, 1, 1, 0, 1, 1],
        "judged_original": [1, 1, 0, 1, 1, 0, 1, 1],
    }
    at = {**COMMON, "size": "base", "tau": "inf", "seed": 0, "value": None}
    return [
        {**at, "metric": f"{records.EXAMPLE}{name}", "text": json.dumps(pieces)}
        for name, pieces in stations.items()
    ]


def study(runs: int = 1, seeds: int = 1) -> pd.DataFrame:
    """Everything but the timing."""
    return records.from_rows([*series(seeds), *scores(runs), *costs(), *facts(), *example()])


def autoregressive(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """A stationary AR(1) series with innovations of variance 1."""
    noise = rng.normal(size=n)
    noise[0] /= math.sqrt(1.0 - rho**2)
    for index in range(1, n):
        noise[index] += rho * noise[index - 1]
    return noise
