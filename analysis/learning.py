"""Comparison of trained models with trivial predictors, and with fine-tuning from scratch.

:func:`run` compares a run's validation values with those of a trivial predictor on the same
held-out text:

* ``text``: the baseline's validation loss per target token against the entropy of the training
  corpus's token frequencies;
* ``text and format``: the same loss against that entropy times the share of decoder targets that
  are text, since sentinels and eos come in a fixed order and add almost no loss once a model has
  learned the format (Section 2.1, Equation 7);
* ``generator``: its accuracy on [M] against always predicting the most frequent token;
* ``detection loss``: the RTD loss per position against −p ln p − (1−p) ln(1−p), the loss of a
  head that predicts the fraction p of replaced tokens everywhere;
* ``detection recall`` and ``detection precision``: against a head that never flags a token
  (recall 0), and against one that flags at random (precision p);
* ``zero-shot cloze``, if it was recorded: the baseline's accuracy on held-out sentences, without
  fine-tuning, against guessing one of four words.

The verdict "yes, clearly" needs a loss at least a tenth below the reference, or a rate at least
twice the reference (at least 0.1 where the reference is 0). The hybrid's values are those at the
end of the longest first stage: τ = ∞ if it was run, else the largest τ. Numbers are means over
seeds; with two or more seeds a better mean is "not shown" unless a t-test over the seeds' margins
is significant.

:func:`compare_with_scratch` compares, per size, τ and suite, fine-tuned models at the last
checkpoint with the same model fine-tuned from freshly initialised weights. Both start from the same
initial weights and get a seed's data in the same order, so the test is paired by seed, with
p-values adjusted by Holm over the suites of one size and τ, as in `analysis.registered`. A suite in
which every task has a known score of guessing (`EmbeddedTask.chance`) is also compared with that
score, by a t-test over seeds, adjusted in the same way. All tests are two-sided.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from scipy.special import entr

from analysis import scores
from analysis.rounding import rounded
from analysis.schema.facts import (
    FROM_SCRATCH,
    NOT_RUN,
    SIZES,
    SUITE_SHORT_NAMES,
    SUITES,
    TAUS,
    UNTESTED,
    size_label,
    tau_label,
)
from analysis.schema.quantities import CLOZE, CLOZE_ACCURACY
from analysis.schema.records import sole_profile
from analysis.schema.rows import SCORES, of_metrics
from analysis.tests import ALPHA, Sample, format_p, holm, paired, seed_values
from spactor.data.suites import EMBEDDED
from spactor.text_table import align, paragraphs, wrap

READS = of_metrics("validation/", "data/", CLOZE) | SCORES
CLEAR_LOSS_MARGIN = 0.10
CLEAR_RATE_MARGIN = 1.0
CLEAR_RATE_OVER_NONE = 0.10
CLOZE_CHANCE = 25.0
MEAN_SPAN_LENGTH = 3.0

CLEARLY, BARELY, NOT, UNKNOWN = "yes, clearly", "yes, barely", "no", NOT_RUN
BETTER, NOT_SHOWN = "better", "not shown"
NO_TEST = "–"
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Check:
    """One comparison with a trivial predictor.

    Attributes:
      size, name: the model's size, and the name of the check.
      measured, reference: the run's number and the trivial predictor's, means over seeds; NaN if
        not run.
      unit: unit of both numbers.
      lower: whether lower is better.
      seeds: number of seeds.
      p_value: two-sided p-value over the seeds; NaN for a single seed.
      what: description of both numbers, separated by a semicolon.
      verdict: "yes, clearly", "yes, barely", "not shown", "no" or "not run".
    """

    size: str
    name: str
    measured: float
    reference: float
    unit: str
    lower: bool
    seeds: int
    p_value: float
    what: str
    verdict: str

    @property
    def sentence(self) -> str:
        """A sentence on the check with its numbers."""
        if self.verdict == UNKNOWN:
            absent = "the run's value" if math.isnan(self.measured) else "the reference"
            return f"{absent} is not in the records ({self.what})"
        margin = self.measured - self.reference
        side = "below" if margin < 0 else "above"
        relation = f"is {abs(margin):.4f} {side}" if margin else "equals"
        numbers = f"{self.measured:.4f} {relation} {self.reference:.4f} {self.unit}"
        if not math.isnan(self.p_value):
            numbers += f", p = {format_p(self.p_value)} over {self.seeds} seeds"
        if not margin or (margin > 0) == self.lower:
            numbers += f"; it should be {'below' if self.lower else 'above'}"
        return f"{numbers} ({self.what})"

    @property
    def passed(self) -> bool:
        """Whether the run is better than the trivial predictor, clearly or barely."""
        return self.verdict in (CLEARLY, BARELY)


@dataclass(frozen=True)
class LearningResult:
    """All checks of one profile."""

    profile: str
    checks: tuple[Check, ...]

    def text(self) -> str:
        """Formats one aligned line per check, then a description of each, for the terminal."""
        better = sum(check.passed for check in self.checks)
        head = (
            f"What the models learned, {self.profile or 'no'} profile: better than a trivial "
            f"predictor in {better} of {len(self.checks)} checks of the final validation values."
        )
        rows = [["size", "check", "verdict", "model", "trivial", "unit", "p"]]
        for check in self.checks:
            values = (_shown(one, f"{one:.4f}") for one in (check.measured, check.reference))
            p = _shown(check.p_value, format_p(check.p_value))
            rows.append([size_label(check.size), check.name, check.verdict, *values, check.unit, p])
        described = dict.fromkeys(f"{check.name}:  {check.what}" for check in self.checks)
        notes = paragraphs(
            ["What each check compares, the model's value and the trivial predictor's:", *described]
        )
        return "\n".join([*wrap(head), "", *align(rows, right=[3, 4, 6]), "", notes])


def run(records: pd.DataFrame) -> LearningResult:
    """Runs the checks of every size that has validation records, and of Base in any case.

    Raises:
      UserError: the records mix profiles.
    """
    _, profile = sole_profile(records)
    series = records[records["metric"].str.startswith("validation/")]
    sizes = [size for size in SIZES if size == SIZES[0] or (series["size"] == size).any()]
    checks = [check for size in sizes for check in _checks(records, series, size)]
    return LearningResult(profile, tuple(checks))


def _checks(records: pd.DataFrame, series: pd.DataFrame, size: str) -> list[Check]:
    plain = _final(series, size, "0")
    hybrid = _final(series, size, _longest_hybrid(series, size))
    cloze = _final(records[records["metric"] == CLOZE_ACCURACY], size, "0")
    loss, replaced = plain["sc_loss_clean"], hybrid["replaced_fraction"]
    entropy = _fact(records, "data/unigram_entropy_nats", size)
    share = _fact(records, "data/target_text_fraction", size)
    if math.isnan(share):
        # The limit of long inputs: a span costs its tokens and a sentinel.
        share = MEAN_SPAN_LENGTH / (MEAN_SPAN_LENGTH + 1.0)
    most_frequent = _fact(records, "data/most_frequent_token_rate", size)
    binary = {seed: float(entr(p) + entr(1.0 - p)) for seed, p in replaced.items()}
    compared: list[tuple[str, BySeed, BySeed | float, str, str]] = [
        *(
            (
                *("zero-shot cloze", accuracy, CLOZE_CHANCE, "per cent right"),
                "baseline's choice of four words, without fine-tuning; guessing",
            )
            for accuracy in cloze.values()
        ),
        ("text", loss, entropy, "nats", "baseline's loss per target token; unigram entropy"),
        (
            *("text and format", loss, entropy * share, "nats"),
            f"the same; unigram entropy on the {share:.1%} of targets that are text",
        ),
        (
            *("generator", hybrid["mlm_accuracy"], most_frequent, "accuracy"),
            "generator's accuracy on [M]; most frequent token's rate",
        ),
        (
            *("detection loss", hybrid["rtd_loss"], binary, "nats"),
            "RTD loss per position; entropy of the replaced fraction",
        ),
        (
            *("detection recall", hybrid["rtd_recall"], 0.0, "recall"),
            "replaced tokens that were flagged; never flagging",
        ),
        (
            *("detection precision", hybrid["rtd_precision"], replaced, "precision"),
            "flagged tokens that were replaced; flagging at random",
        ),
    ]
    return [_check(size, *row) for row in compared]


def _check(
    size: str, name: str, by_seed: BySeed, known: BySeed | float, unit: str, what: str
) -> Check:
    """Compares values by seed with a reference, which is one number or given by seed, too."""
    lower = unit == "nats"
    references = dict.fromkeys(by_seed, known) if isinstance(known, float) else known
    measured = _mean(by_seed)
    reference = known if isinstance(known, float) else _mean(known)
    if math.isnan(measured) or math.isnan(reference):
        return Check(size, name, measured, reference, unit, lower, 0, math.nan, what, UNKNOWN)
    sign = -1.0 if lower else 1.0
    margin = sign * (measured - reference)
    if lower:
        floor = CLEAR_LOSS_MARGIN * reference
    else:
        floor = CLEAR_RATE_MARGIN * reference or CLEAR_RATE_OVER_NONE
    verdict = NOT if margin <= 0 else CLEARLY if margin >= floor else BARELY
    cells = {"measured": by_seed, "reference": references}
    margins = seed_values({"measured": sign, "reference": -sign}, cells)
    p_value = paired(list(margins.values()))
    if margin > 0 and p_value >= ALPHA:
        verdict = NOT_SHOWN
    seeds = len(margins)
    return Check(size, name, measured, reference, unit, lower, seeds, p_value, what, verdict)


def _mean(values: BySeed) -> float:
    return math.fsum(values.values()) / len(values) if values else math.nan


def _final(series: pd.DataFrame, size: str, tau: str) -> Mapping[str, BySeed]:
    """Returns the last value of each validation metric by seed; {} for an unrecorded metric.

    Seeds that have not trained as far as others are left out.
    """
    rows = series[(series["size"] == size) & (series["tau"] == tau)]
    last = rows[rows["step"] == rows.groupby("metric")["step"].transform("max")]
    found: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for metric, seed, value in last[["metric", "seed", "value"]].itertuples(index=False):
        found[str(metric).removeprefix("validation/")][int(seed)] = float(value)
    return found


def _longest_hybrid(series: pd.DataFrame, size: str) -> str:
    """Returns the τ with the latest validation of its hybrid stage; ∞ wins a tie, "" if none."""
    rows = series[(series["size"] == size) & (series["metric"] == "validation/rtd_loss")]
    last = rows.groupby("tau")["step"].max()
    return max(last.index, key=lambda tau: (last[tau], tau == "inf"), default="")


def _fact(records: pd.DataFrame, metric: str, size: str) -> float:
    rows = records[(records["metric"] == metric) & records["size"].isin([size, ""])]
    own = rows[rows["size"] == size]
    values = own if len(own) else rows
    return float(values["value"].iloc[0]) if len(values) else math.nan


@dataclass(frozen=True)
class ScratchComparison:
    """Pre-trained models against models from scratch on one suite, at one size and τ.

    Attributes:
      size, tau, suite: the model and the suite.
      checkpoint: the pre-trained model's checkpoint, on the paper's scale; 0 if there is none.
      pretrained, scratch: suite scores over seeds, in per cent; a sample of 0 runs if not run.
      seeds: number of seeds that both have.
      p_holm: p-value of the difference, adjusted by Holm; NaN without a test.
      chance: score of guessing, in per cent; NaN if it is not known for every task.
      p_chance: p-value of the pre-trained scores against chance, adjusted by Holm; NaN without a
        test.
    """

    size: str
    tau: str
    suite: str
    checkpoint: int
    pretrained: Sample
    scratch: Sample
    seeds: int
    p_holm: float
    chance: float
    p_chance: float

    @property
    def verdict(self) -> str:
        """Whether pre-training is better: "better", "not shown", UNTESTED or NOT_RUN."""
        return _verdict(self.difference, self.p_holm)

    @property
    def chance_verdict(self) -> str:
        """Whether pre-trained models are better than chance; the values of ``verdict``."""
        return _verdict(self.over_chance, self.p_chance)

    @property
    def difference(self) -> float:
        """Pre-trained minus from scratch, in points; NaN if either was not run."""
        return self.pretrained.mean - self.scratch.mean

    @property
    def over_chance(self) -> float:
        """Pre-trained minus chance, in points; NaN if it was not run or chance is unknown."""
        return self.pretrained.mean - self.chance

    def cells(self) -> list[str]:
        """Formats one row of a table with ``_SCRATCH_HEADINGS``."""
        return [
            SUITE_SHORT_NAMES[self.suite],
            _sample_text(self.pretrained),
            _sample_text(self.scratch),
            str(self.seeds),
            _points(self.difference),
            _shown(self.p_holm, format_p(self.p_holm)),
            _points(self.over_chance),
            _shown(self.p_chance, format_p(self.p_chance)),
        ]


_SCRATCH_HEADINGS = "suite", "pre-trained", "from scratch", "n", "gain", "p", "over chance", "p"


def _shown(value: float, text: str) -> str:
    return NO_TEST if math.isnan(value) else text


def _points(difference: float) -> str:
    return NO_TEST if math.isnan(difference) else rounded(difference, 2, "signed")


def _verdict(difference: float, p_value: float) -> str:
    if math.isnan(difference):
        return NOT_RUN
    if math.isnan(p_value):
        return UNTESTED
    return BETTER if p_value < ALPHA and difference > 0 else NOT_SHOWN


@dataclass(frozen=True)
class ScratchResult:
    """All comparisons with models from scratch of one profile."""

    profile: str
    comparisons: tuple[ScratchComparison, ...]

    def _of(self, size: str, tau: str) -> list[ScratchComparison]:
        return [one for one in self.comparisons if (one.size, one.tau) == (size, tau)]

    def summary(self, size: str, tau: str) -> str:
        """Formats one size and τ in one line: number of suites, margins in points, seeds."""
        rows = self._of(size, tau)
        guessing = [one for one in rows if not math.isnan(one.chance)]
        of_scratch = [(one.verdict, one.difference, one.seeds) for one in rows]
        chance = [(one.chance_verdict, one.over_chance, one.pretrained.runs) for one in guessing]
        parts = [_tally("fine-tuning from scratch", of_scratch), _tally("chance", chance)]
        model = f"{size_label(size)}, τ = {tau_label(tau)}"
        if all(one.verdict == NOT_RUN for one in rows):
            return f"{model}: {NOT_RUN}"
        return f"{model}: pre-training beats {'; '.join(filter(None, parts))}"

    def text(self, *, details: bool = True) -> str:
        """Formats the result of each size and τ for the terminal; with details a line per suite."""
        head = f"Gain over fine-tuning from scratch, {self.profile or 'no'} profile"
        if not self.comparisons:
            return f"{head}; {NOT_RUN}: `repro run --profile scratch` does that"
        lines = wrap(f"{head}; points of suite scores.")
        models = list(dict.fromkeys((one.size, one.tau) for one in self.comparisons))
        if not details:
            answers = [wrap(self.summary(*model), indent="- ", hanging="  ") for model in models]
            return "\n".join([*lines, *itertools.chain(*answers), "", _BRIEF])
        for model in models:
            lines += ["", *wrap(self.summary(*model), hanging="  ")]
            of_model = self._of(*model)
            if any(one.verdict != NOT_RUN for one in of_model):
                rows = [_SCRATCH_HEADINGS, *(one.cells() for one in of_model)]
                lines += align(rows, right=range(1, len(_SCRATCH_HEADINGS)))
        return "\n".join([*lines, "", *wrap(_SCRATCH_NOTE)])


_BRIEF = "Suite by suite: --details."
_SCRATCH_NOTE = (
    "n: seeds of both models. ±: standard deviation over seeds. p: two-sided, paired by seed, "
    "adjusted by Holm over the suites of a model; – without a test, which needs two seeds. Over "
    "chance: only for suites in which the score of guessing is known for every task."
)


def _tally(what: str, found: list[tuple[str, float, int]]) -> str:
    """Counts the suites with scores above a reference, and those where a test shows it.

    Args:
      what: name of the reference.
      found: verdict, margin in points and number of seeds of each suite.

    >>> _tally("chance", [("better", 12.0, 3), ("not shown", 1.5, 3)])
    'chance on 2 of 2 suites (shown on 1; margins +1.50 to +12.00 points, n = 3)'
    >>> _tally("chance", [(UNTESTED, 12.0, 1)]).partition(" (")[0]
    'chance on 1 of 1 suites'
    """
    if not found:
        return ""
    ran = [(margin, seeds) for _, margin, seeds in found if not math.isnan(margin)]
    tested = [verdict for verdict, *_ in found if verdict not in (UNTESTED, NOT_RUN)]
    line = f"{what} on {sum(margin > 0 for margin, _ in ran)} of {len(found)} suites"
    if not ran:
        return f"{line} ({NOT_RUN})"
    margins, seeds = [margin for margin, _ in ran], sorted({n for _, n in ran})
    span = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    untested = sum(verdict == UNTESTED for verdict, *_ in found)
    more = f", {untested} with too few seeds for a test" if untested else ""
    least, most = (rounded(margin, 2, "signed") for margin in (min(margins), max(margins)))
    shown = f"shown on {tested.count(BETTER)}; " if tested else ""
    return f"{line} ({shown}margins {least} to {most} points, n = {span}{more})"


def compare_with_scratch(records: pd.DataFrame) -> ScratchResult:
    """Compares models with models from scratch, for every size and τ fine-tuned from scratch.

    Args:
      records: measured records of one profile.

    Raises:
      UserError: the records mix profiles, or a run's scores are incomplete.
    """
    _, profile = sole_profile(records)
    found = scores.seed_scores(records[records["variant"] == ""])
    cells = sorted(
        {(size, tau) for size, tau, checkpoint, _ in found if checkpoint == FROM_SCRATCH},
        key=lambda cell: (cell[0], TAUS.index(cell[1])),
    )
    chances = _chances(records)
    compared = [one for size, tau in cells for one in _over_suites(found, chances, size, tau)]
    return ScratchResult(profile, tuple(compared))


def _chances(records: pd.DataFrame) -> dict[str, float]:
    """Returns the score of guessing, the mean over tasks, of suites where every task has one."""
    ran = records[records["suite"] != ""].groupby("suite")["task"].unique()
    found = {}
    for suite, tasks in ran.items():
        known = {task.recorded_as: task.chance for task in EMBEDDED[str(suite)].tasks}
        values = [known.get(task) for task in tasks]
        stated = [value for value in values if value is not None]
        if stated and len(stated) == len(values):
            found[str(suite)] = math.fsum(stated) / len(stated)
    return found


def _over_suites(
    found: Mapping[tuple[str, str, int, str], BySeed],
    chances: Mapping[str, float],
    size: str,
    tau: str,
) -> list[ScratchComparison]:
    last = max(checkpoint for *model, checkpoint, _ in found if model == [size, tau])
    pretrained, scratch, gaps, over_chance = [], [], [], []  # each in the order of SUITES
    for suite in SUITES:
        ours = found.get((size, tau, last, suite), {}) if last != FROM_SCRATCH else {}
        fresh = found.get((size, tau, FROM_SCRATCH, suite), {})
        pretrained.append(Sample.of([*ours.values()]))
        scratch.append(Sample.of([*fresh.values()]))
        gaps.append(list(seed_values({0: 1.0, 1: -1.0}, {0: ours, 1: fresh}).values()))
        stated = suite in chances
        over_chance.append([value - chances[suite] for value in ours.values()] if stated else [])
    p_values, p_chances = (
        holm([paired(values) for values in family]) for family in (gaps, over_chance)
    )
    return [
        ScratchComparison(
            *(size, tau, suite, last, pretrained[at], scratch[at], len(gaps[at]), p_values[at]),
            *(chances.get(suite, math.nan), p_chances[at]),
        )
        for at, suite in enumerate(SUITES)
    ]


def _sample_text(sample: Sample) -> str:
    if not sample.runs:
        return NOT_RUN
    spread = "" if math.isnan(sample.std) else f" ± {rounded(sample.std, 2)}"
    return f"{rounded(sample.mean, 2)}{spread}"
