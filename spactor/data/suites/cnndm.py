"""Suite ``cnndm``: a generation in the place of CNN/DailyMail's column.

``summary``: the docstring's summary from the rest of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from spactor.data.corpus import Document
from spactor.data.suites import passages
from spactor.data.suites.base import Example, MetricFact, Suite, SuiteTask


def summary(documents: Sequence[Document], limit: int) -> list[Example]:
    """Bodies with their own summaries; no body quotes its summary."""
    return [
        Example(f"summary-{document.digest[:16]}", f"summarize: {body}", sentence)
        for document, (sentence, body) in passages.with_bodies(documents).items()
    ][:limit]


SUITE = Suite(
    "cnndm",
    (
        SuiteTask(
            "summary",
            (MetricFact("rouge1", "1"), MetricFact("rouge2", "1"), MetricFact("rougeL", "1")),
            target_length=40,
            build=summary,
        ),
    ),
)
