"""Claims of Section 2 and Section 3.1, with Tables 1 and 5."""

from __future__ import annotations

from analysis import scores
from analysis.claims.claim import Cells, Claim, Finding, Verdict, contradiction, graded
from analysis.claims.evidence import (
    SUITE_NAMES,
    VOCABULARY_ROWS,
    Evidence,
    Missing,
    stated,
)
from analysis.schema import published
from spactor.config import NUM_SENTINELS

SETTINGS = Cells(("setting/",))
ROWS_MULTIPLE = 128
LEAST_EVALUATIONS = 3


def input_length(evidence: Evidence) -> Finding:
    config = evidence.config("base")
    lengths = config.lengths
    raw, spans = lengths.chunk_tokens, lengths.noise_spans
    by_formula = raw - spans * (config.corruption.mean_noise_span_length - 1.0)
    return Finding(
        Verdict.HOLDS if by_formula == config.input_length else contradiction(evidence),
        f"N = {raw} with p = {spans} spans of μ = 3: {raw} − {spans} · 2 = {by_formula:g}; Table 5 "
        f"says {config.input_length}. T5's rounding masks {lengths.noise_tokens} tokens, not "
        f"{spans * 3}, and eos takes the place that frees",
    )


def target_length(evidence: Evidence) -> Finding:
    config = evidence.config("base")
    lengths = config.lengths
    spans = lengths.noise_spans
    by_formula = spans * config.corruption.mean_noise_span_length + spans + 1
    # μ is an average: rounding may move it by less than a token in all spans together.
    apart = abs(by_formula - lengths.target_tokens)
    return Finding(
        Verdict.HOLDS if apart <= 1.0 else contradiction(evidence),
        f"{spans} · 3 + {spans} + 1 = {by_formula:g} terms by the formula, "
        f"{lengths.noise_tokens} + {spans} + 1 = {lengths.target_tokens} by T5's rounding, whose "
        f"spans average {lengths.noise_tokens / spans:.2f}",
    )


def vocabulary(evidence: Evidence) -> Finding:
    pieces = int(evidence.number("prose/vocabulary_tokens"))
    rows = -(-(pieces + NUM_SENTINELS) // ROWS_MULTIPLE) * ROWS_MULTIPLE
    return Finding(
        Verdict.HOLDS if rows == VOCABULARY_ROWS else contradiction(evidence),
        f"{pieces:,} pieces and {NUM_SENTINELS} sentinels, filled up to a multiple of "
        f"{ROWS_MULTIPLE}, are {rows:,} rows; T5.1.0 has {VOCABULARY_ROWS:,}",
    )


def t5_1_0(evidence: Evidence) -> Finding:
    widths = {
        size: (
            evidence.setting("discriminator_mlp_dim", size),
            evidence.setting("discriminator_emb_dim", size),
        )
        for size in ("base", "large")
    }
    numbers = ", ".join(
        f"{size.capitalize()} {mlp:g} / {width:g} = {mlp / width:g}"
        for size, (mlp, width) in widths.items()
    )
    passed = sum(mlp == 4 * width for mlp, width in widths.values())
    return Finding(
        graded(passed, len(widths)) if passed else contradiction(evidence),
        f"MLP over width: {numbers}; T5.1.0 has 4 in both sizes, T5.1.1 8/3 and 11/4",
    )


def flan_tasks(suite: str) -> Claim:
    """The number of tasks of one of the two FLAN benchmarks."""
    claimed = int(stated(f"prose/{suite}_tasks"))

    def judge(evidence: Evidence) -> Finding:
        found = len(evidence.tasks(suite))
        return Finding(
            Verdict.HOLDS if found == claimed else contradiction(evidence),
            f"{found} tasks of {SUITE_NAMES[suite]} have a score; stated: {claimed}",
        )

    return Claim(
        id=f"setup.{suite}-tasks",
        place="Section 3.1",
        says=f"{SUITE_NAMES[suite]} is scored on {claimed} tasks.",
        test="count of the tasks in the breakdown tables or the measured scores",
        rests_on=(Cells(("task",), suites=(suite,)),),
        judge=judge,
    )


def datasets(name: str) -> int:
    """Table 1's count."""
    table = published.load(1)
    return int(table.loc[table["metric"] == f"benchmark/{name}/datasets", "value"].iloc[0])


def glue_count(evidence: Evidence) -> Finding:
    return _counts(evidence, ("glue",))


def other_counts(evidence: Evidence) -> Finding:
    return _counts(evidence, ("superglue", "squad", "cnndm", "rainbow"))


def _counts(evidence: Evidence, suites: tuple[str, ...]) -> Finding:
    pairs = {suite: (datasets(suite), len(evidence.tasks(suite))) for suite in suites}
    wrong = [suite for suite, (claimed, found) in pairs.items() if claimed != found]
    numbers = ", ".join(
        f"{SUITE_NAMES[suite]} {found} scored, {claimed} in Table 1"
        for suite, (claimed, found) in pairs.items()
    )
    return Finding(contradiction(evidence) if wrong else Verdict.HOLDS, numbers)


def flan_count(evidence: Evidence) -> Finding:
    claimed = datasets("flan")
    bbh, mmlu = len(evidence.tasks("bbh")), len(evidence.tasks("mmlu"))
    fits = claimed in (2, bbh + mmlu, bbh, mmlu)
    return Finding(
        Verdict.HOLDS if fits else contradiction(evidence),
        f"Table 1 says {claimed}; the paper scores 2 benchmarks with {bbh} + {mmlu} = "
        f"{bbh + mmlu} tasks, and no such number is {claimed}",
    )


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
        graded(turned, len(judged)),
        f"{turned} of {len(judged)} fine-tuning runs have their best score before the last "
        "evaluation",
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="method.input-length",
        place="Section 2.1",
        says="The encoder sees n = N − p(μ − 1) tokens, which Table 5 puts at 512.",
        test="arithmetic on Table 5's settings",
        rests_on=(SETTINGS,),
        judge=input_length,
    ),
    Claim(
        id="method.target-length",
        place="Section 2.1, Equation 8",
        says="The loss of span corruption sums over pμ + p + 1 target tokens.",
        test="arithmetic on Table 5's settings, to a token",
        rests_on=(SETTINGS,),
        judge=target_length,
    ),
    Claim(
        id="setup.vocabulary",
        place="Section 3.1",
        says="The vocabulary has 32,000 pieces.",
        test="arithmetic against the rows of T5's embedding",
        rests_on=(Cells(("prose/vocabulary_tokens",)),),
        judge=vocabulary,
    ),
    Claim(
        id="setup.t5-1-0",
        place="Section 3.1",
        says="The model is T5.1.0 and not its gated successor.",
        test="the MLP's width over the model's, Table 5",
        rests_on=(SETTINGS,),
        judge=t5_1_0,
    ),
    flan_tasks("bbh"),
    flan_tasks("mmlu"),
    Claim(
        id="table1.glue-datasets",
        place="Table 1",
        says="GLUE has 7 datasets.",
        test="count of the tasks that have scores",
        rests_on=(Cells(("task",), suites=("glue",)),),
        judge=glue_count,
    ),
    Claim(
        id="table1.other-datasets",
        place="Table 1",
        says="SuperGLUE has 8 datasets, SQuAD and CNN/DailyMail 1 each, Rainbow 6.",
        test="count of the tasks that have scores",
        rests_on=(Cells(("task",), suites=("superglue", "squad", "cnndm", "rainbow")),),
        judge=other_counts,
    ),
    Claim(
        id="table1.flan-datasets",
        place="Table 1",
        says="FLAN has 6 datasets.",
        test="count of the benchmarks and tasks that have scores",
        rests_on=(Cells(("task",), suites=("bbh", "mmlu")),),
        judge=flan_count,
    ),
    Claim(
        id="setup.finetuning-converges",
        place="Section 3.1",
        says="Fine-tuning goes on until the validation scores no longer rise.",
        test="runs whose best evaluation is not their last",
        rests_on=(Cells(("average",)),),
        judge=converges,
    ),
)
