"""Facts that records, tables, figures, claims and experiments share, with the labels they print.

Steps are written as the paper counts them, a million to a pre-training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from spactor.errors import UserError

PAPER_STEPS = 1_000_000
"""Pre-training steps of the paper (Section 3), the scale on which every profile writes steps."""
NOT_RUN = "not run"
"""Printed where records hold no number."""
UNTESTED = "not tested"
"""Printed for a verdict where there are too few runs for a test."""
SIZES = ("base", "large")
TAUS = ("0", "60K", "120K", "250K", "inf")
BASELINE_TAU = "0"
"""τ of T5 itself: no step is trained on the hybrid objective."""
CHECKPOINTS = (500_000, 1_000_000)
"""Pre-training steps, on the paper's scale, at which Tables 2 and 4 score a model."""
FROM_SCRATCH = 0
"""The checkpoint of a model that was not pre-trained. All τ are one model there, so nothing that
compares τ at checkpoints includes it."""
SUITE_NAMES: Mapping[str, str] = {
    "glue": "GLUE",
    "superglue": "SuperGLUE",
    "squad": "SQuAD",
    "cnndm": "CNN/DailyMail",
    "rainbow": "Rainbow",
    "mmlu": "MMLU",
    "bbh": "BBH",
}
"""The suites, in the order of the columns of Tables 2 and 4, as figures and Table 1 name them."""
SUITES = tuple(SUITE_NAMES)
SUITE_HEADINGS: Mapping[str, str] = {**SUITE_NAMES, "cnndm": "CNNDM"}
"""As the paper heads the columns of Tables 2 and 4."""
SUITE_SHORT_NAMES: Mapping[str, str] = {**SUITE_NAMES, "cnndm": "CNN/DM"}
"""As claims name them in sentences."""
SELECTION_RULES: Mapping[str, str] = {
    "best_average": "per run, the fine-tuning step with the highest suite score; the earliest of "
    "equals",
    "last": "per run, the last fine-tuning step",
}
"""How the fine-tuning step that a score is reported at is selected; see ``analysis.scores``."""
SELECTIONS = tuple(SELECTION_RULES)
REPORTED_SELECTION = "best_average"
"""The rule of the scores that tables and figures print."""
FLAN_SUITES = ("mmlu", "bbh")
"""Suites the paper fine-tunes as FLAN does, with settings of their own (Appendix A.2)."""
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
"""Metrics of tasks whose printed name is not that of the records."""


def metric_label(metric: str) -> str:
    """The printed name of a task's metric.

    >>> metric_label("em"), metric_label("my_own")
    ('exact match', 'my own')
    """
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def step_label(steps: int) -> str:
    """Steps as the paper prints them.

    >>> [step_label(steps) for steps in (0, 64, 1_500, 60_000, 1_000_000)]
    ['0', '64', '1500', '60K', '1M']
    """
    for unit, name in ((1_000_000, "M"), (1_000, "K")):
        if steps >= unit and steps % unit == 0:
            return f"{steps // unit}{name}"
    return str(steps)


def size_label(size: str) -> str:
    """The printed name of a size.

    >>> size_label("base")
    'Base'
    """
    return size.capitalize()


def tau_label(tau: str) -> str:
    """A τ as tables print it.

    >>> tau_label("60K"), tau_label("inf")
    ('60K', '∞')
    """
    return tau.replace("inf", "∞")


def model_label(tau: str) -> str:
    """The printed name of the model of a τ, as legends have it.

    >>> model_label("0"), model_label("250K"), model_label("inf")
    ('baseline (τ = 0)', 'SPACTOR(250K)', 'SPACTOR(∞)')
    """
    return "baseline (τ = 0)" if tau == BASELINE_TAU else f"SPACTOR({tau_label(tau)})"


def thousands(text: object) -> int | None:
    """Reads ``60K``; None for anything else, 1000K and above included."""
    match = re.fullmatch(r"([1-9][0-9]{0,2})K", text) if isinstance(text, str) else None
    return int(match[1]) * 1000 if match else None


@dataclass(frozen=True, order=True)
class Tau:
    """τ, the step at which pre-training leaves the hybrid objective (Section 2.2).

    Attributes:
      end: paper steps the hybrid objective holds for; all of them for τ = ∞.

    >>> Tau.parse("60K").end, str(Tau.parse("inf")), str(Tau(0))
    (60000, 'inf', '0')
    """

    end: int

    @classmethod
    def parse(cls, text: str) -> Tau:
        """Reads the canonical text of a τ.

        Raises:
          UserError: for anything else; the message gives the forms.
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
