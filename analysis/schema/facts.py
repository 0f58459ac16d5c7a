"""Names, labels and constants that records, tables, figures, claims and experiments use.

Steps are on the paper's scale: a pre-training has a million.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from spactor.errors import UserError

PAPER_STEPS = 1_000_000
"""Pre-training steps of the paper (Section 3), the scale of steps in every profile."""
NOT_RUN = "not run"
"""Text printed for a number that the records lack."""
UNTESTED = "not tested"
"""Text printed for a verdict if there are too few runs for a test."""
SIZES = ("base", "large")
TAUS = ("0", "60K", "120K", "250K", "inf")
BASELINE_TAU = "0"
"""τ of the baseline, T5 itself, which trains no step on the hybrid objective."""
CHECKPOINTS = (500_000, 1_000_000)
"""Checkpoints of Tables 2 and 4, in pre-training steps on the paper's scale."""
FROM_SCRATCH = 0
"""Checkpoint of a model that was not pre-trained; comparisons of τ leave it out, since it does not
depend on τ."""
SUITE_NAMES: Mapping[str, str] = {
    "glue": "GLUE",
    "superglue": "SuperGLUE",
    "squad": "SQuAD",
    "cnndm": "CNN/DailyMail",
    "rainbow": "Rainbow",
    "mmlu": "MMLU",
    "bbh": "BBH",
}
"""Names of the suites in figures and Table 1, in the order of the columns of Tables 2 and 4."""
SUITES = tuple(SUITE_NAMES)
SUITE_HEADINGS: Mapping[str, str] = {**SUITE_NAMES, "cnndm": "CNNDM"}
"""Column headings of the suites in Tables 2 and 4."""
SUITE_SHORT_NAMES: Mapping[str, str] = {**SUITE_NAMES, "cnndm": "CNN/DM"}
"""Names of the suites in the sentences of claims."""
SELECTION_RULES: Mapping[str, str] = {
    "best_average": "per run, the fine-tuning step with the highest suite score; the earliest of "
    "equals",
    "last": "per run, the last fine-tuning step",
}
"""Rules that select the fine-tuning step to report a score of; see ``analysis.scores``."""
SELECTIONS = tuple(SELECTION_RULES)
REPORTED_SELECTION = "best_average"
"""Rule for the scores in tables and figures."""
FLAN_SUITES = ("mmlu", "bbh")
"""Suites that the paper fine-tunes with FLAN's settings (Appendix A.2)."""
METRIC_NAMES: Mapping[str, str] = {
    "matthews_corrcoef": "Matthews correlation",
    "pearson_corrcoef": "Pearson correlation",
    "spearman_corrcoef": "Spearman correlation",
    "accuracy_matched": "matched accuracy",
    "accuracy_mismatched": "mismatched accuracy",
    "f1": "F1",
    "mean_3class_f1": "mean F1 of 3 classes",
    "em": "exact match",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
}
"""Printed names of task metrics, if they differ from those in records."""


def metric_label(metric: str) -> str:
    """Returns the printed name of a task's metric.

    >>> metric_label("em"), metric_label("my_own")
    ('exact match', 'my own')
    """
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def step_label(steps: int) -> str:
    """Formats a number of steps as the paper prints it.

    >>> [step_label(steps) for steps in (0, 64, 1_500, 60_000, 1_000_000)]
    ['0', '64', '1500', '60K', '1M']
    """
    for unit, name in ((1_000_000, "M"), (1_000, "K")):
        if steps >= unit and steps % unit == 0:
            return f"{steps // unit}{name}"
    return str(steps)


def size_label(size: str) -> str:
    """Returns the printed name of a size.

    >>> size_label("base")
    'Base'
    """
    return size.capitalize()


def tau_label(tau: str) -> str:
    """Returns a τ as tables print it.

    >>> tau_label("60K"), tau_label("inf")
    ('60K', '∞')
    """
    return tau.replace("inf", "∞")


def model_label(tau: str) -> str:
    """Returns the name of a model in legends.

    >>> model_label("0"), model_label("250K"), model_label("inf")
    ('baseline (τ = 0)', 'SPACTOR(250K)', 'SPACTOR(∞)')
    """
    return "baseline (τ = 0)" if tau == BASELINE_TAU else f"SPACTOR({tau_label(tau)})"


def origin_label(source: str, profile: str) -> str:
    """Returns the source of numbers for a title: "published", or the profile of our runs.

    >>> origin_label("published", "paper"), origin_label("measured", "micro"), origin_label("", "")
    ('published', 'micro profile', 'no profile')
    """
    return "published" if source == "published" else f"{profile or 'no'} profile"


def thousands(text: object) -> int | None:
    """Parses a number of thousands from ``1K`` to ``999K``; None for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,2})K", text) if isinstance(text, str) else None
    return int(match[1]) * 1000 if match else None


@dataclass(frozen=True, order=True)
class Tau:
    """τ, the step at which pre-training ends the hybrid objective (Section 2.2).

    Attributes:
      end: number of hybrid steps on the paper's scale; ``PAPER_STEPS`` for τ = ∞.

    >>> Tau.parse("60K").end, str(Tau.parse("inf")), str(Tau(0))
    (60000, 'inf', '0')
    """

    end: int

    @classmethod
    def parse(cls, text: str) -> Tau:
        """Parses the canonical text of a τ: ``0``, thousands such as ``60K``, or ``inf``.

        Raises:
          UserError: the text is none of these.
        """
        if text == "0":
            return cls(0)
        if text == "inf":
            return cls(PAPER_STEPS)
        steps = thousands(text)
        if steps is None:
            raise UserError(
                f"unknown τ {text!r}: give 0, a number of thousands from 1K to 999K "
                "such as 60K or 250K, or inf"
            )
        return cls(steps)

    def __str__(self) -> str:
        return "inf" if self.end == PAPER_STEPS else step_label(self.end)
