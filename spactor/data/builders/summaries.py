"""Builders of suites ``glue`` and ``cnndm``.

``acceptability`` (after CoLA): is this sentence in its own order, or locally shuffled?
``order``: the same of a sentence shuffled as a whole.
``topic``: which of four packages is this docstring from?
``summary`` (after CNN/DailyMail): the summary from the rest of the docstring.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from spactor.data.builders import passages
from spactor.data.builders.source import INPUT_PIECES, Source, bits, halves
from spactor.data.corpus import Document, words_of
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

_WINDOW = 3
_FUNCTION_WORDS = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "if", "in", "is", "it"),
        *("not", "of", "on", "or", "that", "the", "this", "to", "with"),
    )
)


def _uncapitalised(sentence: str) -> str:
    first, _, rest = sentence.partition(" ")
    # "Return" would mark the beginning; "I", "HTTP" and "NumPy" are themselves anywhere.
    if len(first) > 1 and first[1:].islower():
        first = first.lower()
    return f"{first} {rest}"


def shuffled(sentence: str, seed: str) -> str | None:
    """Words moved inside windows of three, each window away from its order; None if none can.

    >>> shuffled("alpha beta gamma", "demo") != "alpha beta gamma"
    True
    """
    words = sentence.split()
    out: list[str] = []
    for start in range(0, len(words), _WINDOW):
        window = words[start : start + _WINDOW]
        orders = sorted({order for order in itertools.permutations(window)} - {tuple(window)})
        if orders:
            out.extend(orders[bits(seed, str(start)) % len(orders)])
        else:
            out.extend(window)
    return None if out == words else " ".join(out)


def acceptability(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Half of the sentences as written, half shuffled locally; no sentence in both."""
    return _in_order(source, task, limit, shuffled)


def order(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Half of the sentences as written, half shuffled as a whole; no sentence in both."""

    def whole(text: str, digest: str) -> str | None:
        words = text.split()
        random.Random(digest).shuffle(words)
        # The chance of an equal order is 1 in 24 for the shortest; its ends are then exchanged.
        if words == text.split():
            words[0], words[-1] = words[-1], words[0]
        return None if words == text.split() else " ".join(words)

    return _in_order(source, task, limit, whole)


def _in_order(
    source: Source, task: EmbeddedTask, limit: int, shuffle: Callable[[str, str], str | None]
) -> list[Example]:
    """Sentences with label 1, and shuffled ones with label 0.

    Args:
      source: of the documents.
      task: with the labels; the prompts begin with its name.
      limit: largest number of examples.
      shuffle: another order of a text's words, from the text and a digest; None if there is none.
    """
    beginning = f"{task.name} sentence: "
    summaries = {
        document: text
        for document, text in passages.summaries(source).items()
        if source.pieces(beginning + _uncapitalised(text)) <= INPUT_PIECES
    }
    wrong, right = halves(summaries, task.name, limit)
    texts: dict[Document, tuple[str, int]] = {}
    for document in right:
        texts[document] = _uncapitalised(summaries[document]), 1
    for document in wrong:
        text = shuffle(_uncapitalised(summaries[document]), document.digest)
        assert text is not None, "a plain sentence has at least two different words"
        texts[document] = text, 0
    return [
        Example(
            f"{task.name}-{document.digest[:16]}",
            beginning + text,
            task.labels[label],
            evidence=summaries[document],
        )
        for document, (text, label) in sorted(texts.items(), key=lambda item: item[0].digest)
    ]


_TOPICS = ("python", "tensorflow", "transformers", "scipy")


def topic(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Beginnings of docstrings, and which of four packages they are from.

    All labels have equal shares; no docstring names one of the packages.
    """
    room = INPUT_PIECES - source.pieces("topic:")
    texts = passages.unique(
        source.documents, lambda document: source.cut(" ".join(document.text.split()), room)
    )
    found: dict[str, list[Document]] = {package: [] for package in _TOPICS}
    for document, text in texts.items():
        if (
            document.package in found
            and source.fresh(text)
            and not any(package in text.lower() for package in _TOPICS)
        ):
            found[document.package].append(document)
    size = min(limit // len(_TOPICS), *map(len, found.values()))
    chosen = [
        (document, label)
        for documents, label in zip(found.values(), task.labels, strict=True)
        for document in documents[:size]
    ]
    return [
        Example(
            f"topic-{document.digest[:16]}",
            f"topic: {texts[document]}",
            label,
            evidence=texts[document],
        )
        for document, label in sorted(chosen, key=lambda item: item[0].digest)
    ]


def summary(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Bodies of docstrings that hold a third of their summaries' content words, and the summaries.

    No body quotes its summary.
    """
    room = INPUT_PIECES - source.pieces("summarize:")
    found: list[Example] = []
    for document, (sentence, body) in passages.with_bodies(source).items():
        text = source.cut(body, room)
        words = set(words_of(sentence)) - _FUNCTION_WORDS
        if 3 * len(words & set(words_of(text))) >= len(words) > 0:
            name = f"summary-{document.digest[:16]}"
            found.append(Example(name, f"summarize: {text}", sentence, evidence=sentence))
    return found[:limit]
