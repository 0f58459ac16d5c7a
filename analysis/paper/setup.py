"""Statements of Section 2 and Section 3.1, with Tables 1 and 5."""

from __future__ import annotations

import math

from analysis import scores
from analysis.paper.evidence import VOCABULARY_ROWS, Evidence, Missing, stated
from analysis.paper.statement import Finding, Verdict, arithmetic, contradiction, graded, judges
from analysis.schema import published, quantities
from analysis.schema.facts import SIZES, SUITE_SHORT_NAMES, size_label
from spactor.config import NUM_SENTINELS

ROWS_MULTIPLE = 128
LEAST_EVALUATIONS = 3


@judges("method.input-length")
def input_length(evidence: Evidence) -> Finding:
    config = evidence.config("base")
    lengths = config.lengths
    raw, spans = lengths.chunk_tokens, lengths.noise_spans
    by_formula = raw - spans * (config.corruption.mean_noise_span_length - 1.0)
    return Finding(
        arithmetic(evidence, by_formula == config.input_length),
        f"N = {raw} with p = {spans} spans of μ = 3: {raw} − {spans} · 2 = {by_formula:g}; "
        f"{evidence.shapes} has {config.input_length}. T5's rounding masks "
        f"{lengths.noise_tokens} tokens, not {spans * 3}, and the last position is eos",
    )


@judges("method.target-length")
def target_length(evidence: Evidence) -> Finding:
    config = evidence.config("base")
    lengths = config.lengths
    spans = lengths.noise_spans
    by_formula = spans * config.corruption.mean_noise_span_length + spans + 1
    # μ is an average over spans: rounding changes their total length by less than one token.
    apart = abs(by_formula - lengths.target_tokens)
    return Finding(
        arithmetic(evidence, apart <= 1.0),
        f"{spans} · 3 + {spans} + 1 = {by_formula:g} terms by the formula, "
        f"{lengths.noise_tokens} + {spans} + 1 = {lengths.target_tokens} by T5's rounding, whose "
        f"spans average {lengths.noise_tokens / spans:.2f}",
        f"Equation 7 has p sentinels, pμ tokens and eos, as many as Equation 8 has terms (i = 1 to "
        f"{by_formula:g}), if T_0 is the start token of T5's decoder",
    )


@judges("setup.vocabulary")
def vocabulary(evidence: Evidence) -> Finding:
    pieces = int(evidence.number("prose/vocabulary_tokens"))
    rows = -(-(pieces + NUM_SENTINELS) // ROWS_MULTIPLE) * ROWS_MULTIPLE
    return Finding(
        arithmetic(evidence, rows == VOCABULARY_ROWS),
        f"{pieces:,} pieces and {NUM_SENTINELS} sentinels, padded to a multiple of "
        f"{ROWS_MULTIPLE}, are {rows:,} rows; T5.1.0 has {VOCABULARY_ROWS:,}",
    )


@judges("setup.t5-1-0")
def t5_1_0(evidence: Evidence) -> Finding:
    widths = {
        size: [evidence.setting(f"discriminator_{part}_dim", size) for part in ("mlp", "emb")]
        for size in SIZES
    }
    numbers = ", ".join(
        f"{size_label(size)} {mlp:g} / {width:g} = {mlp / width:g}"
        for size, (mlp, width) in widths.items()
    )
    passed = sum(mlp == 4 * width for mlp, width in widths.values())
    return Finding(
        graded(passed, len(widths), none=contradiction(evidence)),
        f"MLP over width: {numbers}; T5.1.0 has 4 in both sizes, T5.1.1 8/3 and 11/4",
    )


def flan_tasks(suite: str) -> None:
    """Registers the judge of the stated number of tasks of a FLAN benchmark."""
    claimed = int(stated(f"prose/{suite}_tasks"))

    @judges(f"setup.{suite}-tasks")
    def judge(evidence: Evidence) -> Finding:
        found = len(evidence.tasks(suite))
        return Finding(
            arithmetic(evidence, found == claimed),
            f"{found} tasks of {SUITE_SHORT_NAMES[suite]} have a score; stated: {claimed}",
        )


flan_tasks("bbh")
flan_tasks("mmlu")


def datasets(name: str) -> int:
    """Returns Table 1's number of datasets of a benchmark."""
    table = published.load(1)
    return int(table.loc[table["metric"] == f"benchmark/{name}/datasets", "value"].iloc[0])


def dataset_counts(id: str, *suites: str) -> None:
    """Registers the judge of Table 1's numbers of datasets of some suites."""

    @judges(id)
    def judge(evidence: Evidence) -> Finding:
        pairs = {suite: (datasets(suite), len(evidence.tasks(suite))) for suite in suites}
        numbers = ", ".join(
            f"{SUITE_SHORT_NAMES[suite]} {found} scored, {claimed} in Table 1"
            for suite, (claimed, found) in pairs.items()
        )
        return Finding(
            arithmetic(evidence, all(claimed == found for claimed, found in pairs.values())),
            numbers,
        )


dataset_counts("table1.glue-datasets", "glue")
dataset_counts("table1.other-datasets", *("superglue", "squad", "cnndm", "rainbow"))


@judges("table1.flan-datasets")
def flan_count(evidence: Evidence) -> Finding:
    claimed = datasets("flan")
    bbh, mmlu = len(evidence.tasks("bbh")), len(evidence.tasks("mmlu"))
    return Finding(
        arithmetic(evidence, claimed in (2, bbh + mmlu, bbh, mmlu)),
        f"Table 1 has {claimed}; the paper scores 2 benchmarks with {bbh} + {mmlu} = "
        f"{bbh + mmlu} tasks, and none of these numbers is {claimed}",
    )


@judges("setup.finetuning-converges")
def converges(evidence: Evidence) -> Finding:
    best = scores.suite_scores(evidence.records, "best_average")
    raw = evidence.records[(evidence.records["task"] != "") & evidence.records["seed"].notna()]
    run = ["size", "tau", "checkpoint", "suite", "seed", "finetune_seed"]
    spans = raw.groupby(run, dropna=False)["step"].agg(["max", "nunique"]).reset_index()
    judged = best.merge(spans, on=run)
    judged = judged[judged["nunique"] >= LEAST_EVALUATIONS]
    if judged.empty:
        raise Missing(f"no fine-tuning run with {LEAST_EVALUATIONS} evaluations or more")
    turned = int((judged["step"] < judged["max"]).sum())
    return Finding(
        graded(turned, len(judged), none=Verdict.CONTRADICTED),
        f"{turned} of {len(judged)} fine-tuning runs have their best score before the last "
        "evaluation",
    )


@judges("setup.evaluation-split")
def evaluation_split(evidence: Evidence) -> Finding:
    sizes = [item.examples or 0 for item in quantities.paper_tasks() if item.suite == "mmlu"]
    algebra = evidence.records[evidence.records["task"] == "abstract_algebra"].iloc[0]["value"]
    if math.isnan(algebra):
        raise Missing("no score of Abstract Algebra")
    return Finding(
        Verdict.NOT_TESTABLE,
        f"MMLU cells are k/n of its validation sets ({sum(sizes):,} questions; Abstract Algebra "
        f"{algebra:.2f} = 4/11, no k/100 of its test set); RTE fits 277, SQuAD 10,570",
        "checkpoints are selected by the average of the metrics that are then reported",
    )
