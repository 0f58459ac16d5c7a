"""Builders of suite ``rainbow``: two multiple choices that stand in for Rainbow.

``ending`` (after HellaSwag): which of four endings has this sentence?
``goal`` (after PIQA): which of two functions does this goal call for?
"""

from __future__ import annotations

import re

from spactor.data.builders import choices, names, passages
from spactor.data.builders.choices import Item
from spactor.data.builders.source import Source
from spactor.data.corpus import Document
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

_LEAST_BEGINNING_WORDS = 4
_ENDING_WORDS = 4
_BEGINNING_PIECES = 20
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n\s*\n|\n\s*[-*>]")


def sentence_of(document: Document) -> str | None:
    """The first plain sentence after the summary that is long enough to be cut in two.

    >>> text = "Bake it.\\n\\nThe rye flour comes first, then water, then a long wait."
    >>> sentence_of(Document("p", "m", "bake", "function", text))
    'The rye flour comes first, then water, then a long wait'
    """
    for part in _SENTENCE.split(document.text)[1:]:
        sentence = " ".join(part.split()).removesuffix(".")
        if len(sentence.split()) >= _LEAST_BEGINNING_WORDS + _ENDING_WORDS and passages.plain(
            sentence
        ):
            return sentence
    return None


def ending(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Sentences without their last words, and the last words of four."""
    items = []
    for document, sentence in passages.unique(source.documents, sentence_of).items():
        words = sentence.split()
        end = " ".join(words[-_ENDING_WORDS:])
        # The words nearest to the ending, as many as there is room for.
        beginning = source.cut(
            " ".join(words[-_ENDING_WORDS - 1 :: -1]), _BEGINNING_PIECES
        ).split()[::-1]
        if len(beginning) >= _LEAST_BEGINNING_WORDS and source.fresh(
            f"{' '.join(beginning)} {end}"
        ):
            question = " ".join(beginning)
            items.append(
                Item(
                    id=f"ending-{document.digest[:16]}",
                    question=question,
                    answer=end,
                    evidence=f"{question} {end}",
                    conflicts=frozenset({document.digest}),
                )
            )
    return choices.questions(source, items, task.labels, limit, "ending")


def goal(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Summaries of functions, and the names of two functions with their modules' names."""
    items = [
        Item(
            id=f"goal-{document.digest[:16]}",
            question=summary,
            answer=function,
            evidence=summary,
            conflicts=frozenset({document.digest}),
        )
        for document, (name, summary) in names.named_summaries(source).items()
        if document.kind in ("function", "method")
        and not names.quotes(summary, function := f"{document.module.rpartition('.')[2]}.{name}")
    ]
    return choices.questions(source, items, task.labels, limit, "goal")
