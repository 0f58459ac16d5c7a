"""Names of objects as answers, and whether a text quotes them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from spactor.data.builders import passages
from spactor.data.builders.source import Source
from spactor.data.corpus import Document, words_of

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LEAST_LETTERS = 3


def name_of(document: Document) -> str:
    """The last part of an object's name; empty for modules and for methods that Python names."""
    name = document.name.rpartition(".")[2]
    return "" if name.startswith("__") or len(name) < _LEAST_LETTERS else name


def quotes(text: str, name: str) -> bool:
    """Whether a text has more than half of the words that a name is made of.

    >>> quotes("Is it alive?", "_is_alive"), quotes("Does it live?", "_is_alive")
    (True, False)
    """
    parts = {part.lower() for part in _PART.findall(name)}
    return 2 * len(parts & set(words_of(text))) > len(parts)


def named_summaries(source: Source) -> Mapping[Document, tuple[str, str]]:
    """Name and summary of the objects that have both, the summary not quoting the name."""
    return {
        document: (name, summary)
        for document, summary in passages.summaries(source).items()
        if (name := name_of(document)) and not quotes(summary, name)
    }
