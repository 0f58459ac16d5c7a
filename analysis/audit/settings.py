"""Datasets, runs, captions, settings, formulas and the trend test: the paper against itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pandas as pd

from analysis.audit.counts import counts
from analysis.audit.finding import (
    SUITE_NAMES,
    Finding,
    Printed,
    Verdict,
    exact,
    examples,
    half_unit,
    shown,
    tuples,
    verdict_of,
)
from analysis.schema.facts import PAPER_STEPS
from analysis.trend import FIRST_PAPER_STEP, PUBLISHED_SLOPE
from spactor.config import PAPER

RUNS_PLACES = {
    5: ("Table 2", "Table 6", "Table 8", "Table 10"),
    3: ("Table 4", "Table 7", "Table 9", "Table 11"),
}
"""Runs said of Tables 2 and 4, and the breakdowns of the same models."""
GRID = (1, 10, 20, 50)
"""Appendix A.1: values of λ₁ and λ₂ that were tried."""
MLM_GRID = tuple(Fraction(percent, 100) for percent in (5, 10, 15, 20, 25))
"""Appendix A.1: ratios of token masking that were tried."""
SAID_SHARES = (Fraction(1, 4), Fraction(1, 3))
"""Appendix A.1: size of the generator over that of the encoder, at its best."""
SAID_LARGE_PARAMETERS = 700
"""Section 3.2.4, millions."""
INFLECTION = 200_000
"""Section 3.2.1: where the gap of Figure 4b turns."""
FLAN = ("mmlu", "bbh")
OWN_ROW_SUITES = ("glue", "superglue", "squad", "cnndm", "rainbow")


def check(printed: Printed) -> list[Finding]:
    """One finding per statement."""
    return [
        *(_datasets(printed, suite) for suite in OWN_ROW_SUITES),
        *(function(printed) for function in _CHECKS),
    ]


def _finding(
    slug: str, where: str, said: str, arithmetic: str, verdict: Verdict, remark: str = ""
) -> Finding:
    return Finding(f"prose/{slug}", "prose", where, said, arithmetic, verdict, remark)


def _tasks(printed: Printed, suite: str) -> int:
    return len({cell.task for _, of, cells in printed.breakdown() for cell in cells if of == suite})


def _datasets(printed: Printed, suite: str) -> Finding:
    said = int(printed.fact("", f"benchmark/{suite}/datasets"))
    found = _tasks(printed, suite)
    places = {"glue": "Tables 6 and 7", "superglue": "Tables 8 and 9"}
    return _finding(
        f"datasets/{suite}",
        f"Table 1 against {places.get(suite, 'Tables 10 and 11')}",
        f"{SUITE_NAMES[suite]} has {said} datasets",
        f"{found} {'has' if found == 1 else 'have'} a column",
        verdict_of(said == found),
        "its averages have 9 terms (see average/grouping/glue)" if suite == "glue" else "",
    )


def _flan_datasets(printed: Printed) -> Finding:
    said = int(printed.fact("", "benchmark/flan/datasets"))
    bbh, mmlu = _tasks(printed, "bbh"), _tasks(printed, "mmlu")
    return _finding(
        "datasets/flan",
        "Table 1 against Section 3.1 and Tables 12 to 17",
        f"FLAN has {said} datasets",
        f"{bbh} tasks of BBH + {mmlu} of MMLU = {bbh + mmlu}, of 2 benchmarks",
        verdict_of(said in (2, bbh + mmlu)),
        "what else is counted, it does not say",
    )


def _suite_tasks(printed: Printed) -> Finding:
    first, second = (printed.tasks_of(f"Table {table}") for table in (14, 15))
    bbh = printed.tasks_of("Table 12")
    mirrored = [printed.tasks_of(f"Table {table}") for table in (16, 17, 13)]
    return _finding(
        "datasets/bbh-mmlu",
        "Section 3.1 and captions of Tables 12 to 17",
        "27 tasks of BBH; 57 of MMLU, the first 32 and then 25",
        f"columns: {bbh}; {first} + {second} = {first + second}; Large has {mirrored[2]}, "
        f"{mirrored[0]} and {mirrored[1]}",
        verdict_of((bbh, first, second) == (27, 32, 25) and mirrored == [32, 25, 27]),
    )


def _runs(printed: Printed) -> Finding:
    odd = [
        f"{place} says {printed.runs_of(place)}, {places[0]} {runs}"
        for runs, places in RUNS_PLACES.items()
        for place in places
        if printed.runs_of(place) != runs
    ]
    return _finding(
        "runs",
        "captions of Tables 2, 4 and 6 to 11",
        "5 runs of Base and 3 of Large",
        "; ".join(odd) or "every caption says so",
        verdict_of(not odd),
        "Tables 7 and 9, of the same Large models, say 3" if odd else "",
    )


def _medians_unsaid(printed: Printed) -> Finding:
    cells = [
        (exact(cell.value, cell.decimals), examples()[suite, cell.task, cell.metric])
        for _, suite, records in printed.breakdown()
        for cell in records
        if suite in FLAN and not math.isnan(cell.value)
    ]
    whole = sum(bool(counts(value, n, half_unit(2))) for value, n in cells)
    return _finding(
        "medians-of-flan",
        "captions of Tables 12 to 17",
        "nothing on runs or medians, unlike Tables 6 to 11",
        f"{whole} of {len(cells)} cells are a whole k/n; a mean over runs rarely is",
        "open",
        "they are scores of single runs, or medians of an odd number of them"
        if whole == len(cells)
        else "",
    )


def _split(printed: Printed) -> Finding:
    sizes = [n for (suite, _, _), n in examples().items() if suite == "mmlu"]
    algebra = next(
        exact(cell.value, cell.decimals)
        for _, suite, cells in printed.breakdown()
        for cell in cells
        if suite == "mmlu" and cell.task == "abstract_algebra"
    )
    return _finding(
        "evaluation-split",
        "Section 3.1",
        "which split is scored, it does not say",
        f"MMLU cells are k/n of its validation sets ({sum(sizes):,} questions; Abstract Algebra "
        f"{shown(algebra, 2)} = 4/11, no k/100 of its test set); RTE fits 277, SQuAD 10,570",
        "open",
        "checkpoints are selected by the average of the metrics that are then reported",
    )


def _caption_rte(printed: Printed) -> Finding:
    return _finding(
        "captions-superglue",
        "captions of Tables 8 and 9",
        "RTE's metric is named twice",
        "8 columns, 9 metrics named: RTE once by itself and once with WiC and WSC",
        "disagrees",
        "harmless: both say accuracy",
    )


def _metric_order(printed: Printed) -> Finding:
    """EM ≤ F1 and ROUGE-2 ≤ ROUGE-L ≤ ROUGE-1 tell whether the order in the captions is right."""
    orders = {
        "squad": ("em", "f1"),
        "multirc": ("exact_match", "f1"),
        "record": ("em", "f1"),
        "cnn_dailymail": ("rouge2", "rougeL", "rouge1"),
    }
    count, wrong = 0, []
    for row, _, cells in printed.breakdown():
        values = {(cell.task, cell.metric): cell.value for cell in cells}
        for task, metrics in orders.items():
            found = [values[task, metric] for metric in metrics if (task, metric) in values]
            if len(found) == len(metrics):
                count += 1
                if found != sorted(found):
                    wrong.append(f"{task}, {row.text}")
    return _finding(
        "metric-order",
        "captions of Tables 8 to 11",
        "MultiRC is F1/EM, ReCoRD and SQuAD EM/F1, CNN/DailyMail ROUGE-1/2/L",
        f"EM ≤ F1 and ROUGE-2 ≤ ROUGE-L ≤ ROUGE-1 in {count - len(wrong)} of {count} cells"
        + "".join(f"; not in {one}" for one in wrong),
        verdict_of(not wrong),
        "two orders of the same pair side by side, each as its caption says",
    )


def _figures(printed: Printed) -> Finding:
    shown_suites = {"superglue", "squad", "cnndm"} | {"glue", "rainbow", "bbh", "mmlu"}
    suites = {suite for _, suite, _ in printed.averages()}
    return _finding(
        "figures-2-and-5",
        "Appendix C",
        "Figure 5 has the suites that Figure 2 leaves out",
        f"3 + 4 = {len(shown_suites)} of {len(suites)} suites",
        verdict_of(shown_suites == suites),
    )


def _figure_4b(printed: Printed) -> Finding:
    return _finding(
        "figure-4b/difference",
        "Figure 4b's caption and Section 3.2.1 against Appendix B",
        "the curve is a difference of losses between baseline and SPACTOR(∞), both on X_c",
        "Appendix B: the same curve is SPACTOR(∞)'s on X_c against its own on X̂_c",
        "disagrees",
        "a falling line fits baseline − SPACTOR(∞) with SPACTOR getting worse; `repro trend` "
        "computes both",
    )


def _figure_4b_start(printed: Printed) -> Finding:
    return _finding(
        "figure-4b/start",
        "Section 3.2.1 against Appendix B",
        "data from 120K on are fitted, those before having reached no plateau",
        f"the gap is said to close until about 200K: {(INFLECTION - FIRST_PAPER_STEP) // 1000}K "
        "steps of the fitted range go the other way",
        verdict_of(FIRST_PAPER_STEP >= INFLECTION),
        "they flatten the slope",
    )


def _slope_unit(printed: Printed) -> Finding:
    steps = PAPER_STEPS - FIRST_PAPER_STEP
    per_step = PUBLISHED_SLOPE * steps
    return _finding(
        "slope-unit",
        "Appendix B",
        "β₀ = −6.90 × 10⁻⁵, with x in training steps",
        f"−6.90e-5 × {steps:,} steps = {per_step:.1f} nats, more than a loss has; "
        f"per 1,000 steps {per_step / 1000:.3f} nats, which is plausible",
        verdict_of(abs(per_step) < 1.0),
        "uniform guessing over 32,128 tokens costs ln 32128 = 10.4 nats",
    )


def _input_formula(printed: Printed) -> Finding:
    lengths = PAPER["base"].lengths
    n, p, noise = lengths.chunk_tokens, lengths.noise_spans, lengths.noise_tokens
    mu = int(printed.fact("base", "setting/mean_noise_span_length"))
    given = int(printed.fact("base", "setting/input_length"))
    formula = n - p * (mu - 1)
    actual = n - noise + p
    return _finding(
        "lengths/input",
        "Section 2.1 against Table 5",
        "the encoder reads N − p(μ−1) tokens; Table 5: 512",
        f"N = {n}, r = 15 %: {noise} noise tokens in p = {p} spans, so {n} − {noise} + {p} = "
        f"{actual}, and with eos {actual + 1}; the formula gives {n} − {p}·{mu - 1} = {formula}",
        "explained" if formula != actual and actual + 1 == given else verdict_of(formula == given),
        f"pμ = {p * mu} is not {noise}, and eos is left out: two slips that cancel",
    )


def _target_formula(printed: Printed) -> Finding:
    lengths = PAPER["base"].lengths
    p, noise = lengths.noise_spans, lengths.noise_tokens
    mu = int(printed.fact("base", "setting/mean_noise_span_length"))
    formula = p * mu + p + 1
    return _finding(
        "lengths/target",
        "Section 2.1, Equations 7 and 8",
        "the decoder loss sums over i = 1 to pμ + p + 1, each T_i given those before",
        f"T has p sentinels, pμ tokens and eos: {p} + {p * mu} + 1 = {formula} of them, T_0 to "
        f"T_{formula - 1}; i = 1 would leave out T_0 and end beyond T (really {noise} + {p} + 1 = "
        f"{lengths.target_tokens})",
        "disagrees",
        "unless T_0 is the decoder's start token, which Equation 7 does not have",
    )


def _layers(printed: Printed, size: str) -> Fraction:
    return printed.fact(size, "setting/generator_layers") / printed.fact(
        size, "setting/discriminator_layers"
    )


def _stack_parameters(printed: Printed, size: str) -> tuple[int, int]:
    """Weights of the generator's and of the encoder's layers: attention and MLP."""
    d = int(printed.fact(size, "setting/discriminator_emb_dim"))
    generator, encoder = (
        int(printed.fact(size, f"setting/{part}_layers"))
        * (4 * d * d + 2 * d * int(printed.fact(size, f"setting/{part}_mlp_dim")))
        for part in ("generator", "discriminator")
    )
    return generator, encoder


def _generator_layers(printed: Printed) -> Finding:
    base, large = _layers(printed, "base"), _layers(printed, "large")
    return _finding(
        "generator/layers",
        "Appendix A.1 and Table 5",
        "a generator of 1/4 to 1/3 of the encoder is best",
        f"layers: Base 4/12 = {shown(base)}, Large 6/24 = {shown(large)}",
        verdict_of(all(SAID_SHARES[0] <= share <= SAID_SHARES[1] for share in (base, large))),
    )


def _generator_parameters(printed: Printed) -> Finding:
    parts, shares = [], []
    for size in ("base", "large"):
        generator, encoder = _stack_parameters(printed, size)
        shares.append(Fraction(generator, encoder))
        parts.append(
            f"{size.capitalize()} {generator / 1e6:.1f} M / {encoder / 1e6:.1f} M = "
            f"{shown(shares[-1])}"
        )
    fits = all(SAID_SHARES[0] <= share <= SAID_SHARES[1] for share in shares)
    return _finding(
        "generator/parameters",
        "Appendix A.1 and Table 5",
        "a generator of 1/4 to 1/3 of the encoder is best",
        f"weights of the layers, L(4d² + 2d·d_ff): {', '.join(parts)}",
        verdict_of(fits),
        "" if fits else "its MLP is narrower too, so the size meant can only be layers",
    )


def _generator_grows(printed: Printed) -> Finding:
    shares = []
    for size in ("base", "large"):
        generator, encoder = _stack_parameters(printed, size)
        shares.append(Fraction(generator, encoder))
    return _finding(
        "generator/grows",
        "Section 3.2.4 and Table 5",
        "Large masks 20 % because its generator grew in proportion",
        f"share of the encoder's layers: {shown(_layers(printed, 'base'))} to "
        f"{shown(_layers(printed, 'large'))}; of its weights: {shown(shares[0])} to "
        f"{shown(shares[1])}",
        verdict_of(shares[1] >= shares[0]),
        "it grew in itself and shrank in proportion",
    )


def _large_parameters(printed: Printed) -> Finding:
    d, layers, width = (
        int(printed.fact("large", f"setting/discriminator_{name}"))
        for name in ("emb_dim", "layers", "mlp_dim")
    )
    vocabulary = PAPER["large"].model.vocab_size
    count = layers * (4 + 8) * d * d + 2 * layers * 2 * d * width + vocabulary * d
    return _finding(
        "large-parameters",
        "Section 3.2.4 and Table 5",
        "T5-Large has around 700M parameters",
        f"{layers}·12·{d}² + {layers}·4·{d}·{width} + {vocabulary}·{d} = {count / 1e6:.0f} M",
        verdict_of(round(count / 1e8) * 100 == SAID_LARGE_PARAMETERS),
    )


def _in_grid(printed: Printed) -> Finding:
    chosen = {
        int(printed.fact(size, f"setting/lambda_{part}"))
        for size in ("base", "large")
        for part in ("rtd", "sc")
    }
    ratios = [printed.fact(size, "setting/mlm_ratio") for size in ("base", "large")]
    fits = chosen <= set(GRID) and set(ratios) <= set(MLM_GRID)
    return _finding(
        "grids",
        "Appendix A.1 and Table 5",
        "λ from {1, 10, 20, 50} and r_MLM from {5, 10, 15, 20, 25} %",
        f"chosen: λ = {', '.join(map(str, sorted(chosen)))}; r_MLM = "
        f"{', '.join(f'{float(ratio):.0%}' for ratio in ratios)}",
        verdict_of(fits),
        "the grids are written as intervals, and neither λ could come out unequal to the other "
        "unless they were varied apart, which it does not say",
    )


def _large_settings(printed: Printed) -> Finding:
    frame = printed.records[printed.records["place"] == "Table 5"]
    values = {
        (str(record.size), str(record.metric)): record.text or record.value
        for record in tuples(frame)
        if record.text or not pd.isna(record.value)
    }
    same = [
        name
        for size, name in values
        if size == "base" and values.get(("large", name)) == values[size, name]
    ]
    kept = ("lambda_rtd", "lambda_sc", "noise_density", "mean_noise_span_length")
    changed = [name for name in kept if f"setting/{name}" not in same]
    return _finding(
        "large-settings",
        "Section 3.2.4 and Table 5",
        "Large keeps Base's λ and span corruption",
        f"{len(same)} of {len(values) // 2} settings are equal"
        + "".join(f"; {name} is not" for name in changed),
        verdict_of(not changed),
    )


def _tuning_length(printed: Printed) -> Finding:
    batch = int(printed.fact("base", "setting/batch_size"))
    return _finding(
        "tuning-batch",
        "Appendix A.1 and Table 5",
        "settings were chosen with a batch of 2048",
        f"Table 5: {batch}",
        verdict_of(batch == 2048),
    )


_CHECKS: tuple[Callable[[Printed], Finding], ...] = (
    _flan_datasets,
    _suite_tasks,
    _runs,
    _medians_unsaid,
    _split,
    _caption_rte,
    _metric_order,
    _figures,
    _figure_4b,
    _figure_4b_start,
    _slope_unit,
    _input_formula,
    _target_formula,
    _generator_layers,
    _generator_parameters,
    _generator_grows,
    _large_parameters,
    _in_grid,
    _large_settings,
    _tuning_length,
)
