"""Builder of suite ``cnndm``: a summarization that stands in for CNN/DailyMail.

``summary``: the docstring's summary from the rest of it.
"""

from __future__ import annotations

from spactor.data.builders import passages
from spactor.data.builders.source import INPUT_PIECES, Source
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask


def summary(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Bodies of docstrings and their summaries; no body quotes its summary."""
    room = INPUT_PIECES - source.pieces("summarize:")
    return [
        Example(
            f"summary-{document.digest[:16]}",
            f"summarize: {source.cut(body, room)}",
            sentence,
            evidence=sentence,
        )
        for document, (sentence, body) in passages.with_bodies(source).items()
    ][:limit]
