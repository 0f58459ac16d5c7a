"""Builders of suites ``glue`` and ``cnndm``, from summaries of docstrings and the rest of them.

``acceptability`` (after CoLA): is this sentence in its own order, or locally shuffled?
``pair`` (after MRPC): does this summary belong to this body?
``relation`` (after MNLI): are summary and body of one object, of one module, of two packages?
``summary`` (after CNN/DailyMail): the summary from the rest of the docstring.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from spactor.data.builders import passages
from spactor.data.builders.source import INPUT_PIECES, Source, bits, halves
from spactor.data.corpus import Document
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

_PAIR = "pair summary: {summary} body: {body}"
_RELATION = "relation summary: {summary} body: {body}"
_DEPTH = 12  # Components of the longest module name, and more.
_WINDOW = 3


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
    """Half of the sentences as written, half shuffled; no sentence in both."""
    summaries = {
        document: text
        for document, text in passages.summaries(source).items()
        if source.pieces(f"acceptability sentence: {_uncapitalised(text)}") <= INPUT_PIECES
    }
    wrong, right = halves(summaries, "acceptability", limit)
    texts: dict[Document, tuple[str, int]] = {}
    for document in right:
        texts[document] = _uncapitalised(summaries[document]), 1
    for document in wrong:
        text = shuffled(_uncapitalised(summaries[document]), document.digest)
        assert text is not None, "a plain sentence has at least two different words"
        texts[document] = text, 0
    return [
        Example(
            f"acceptability-{document.digest[:16]}",
            f"acceptability sentence: {text}",
            task.labels[label],
            evidence=summaries[document],
        )
        for document, (text, label) in sorted(texts.items(), key=lambda item: item[0].digest)
    ]


def pair(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Half of the bodies with their own summaries, half with one from another module.

    Every body and every summary occurs once, so neither alone gives the label away.
    """
    texts = passages.texts(source, _PAIR)
    wrong, right = halves(texts, "pair", limit)
    # Sorted by place and moved on by half, neighbours in a package are the furthest apart.
    pairs = [item for item in _moved(wrong) if item[0].module != item[1].module]
    labelled = [(*item, 0) for item in pairs] + [(own, own, 1) for own in right[: len(pairs)]]
    return [
        _two_texts(source, "pair", _PAIR, texts, own, donor, task.labels[label])
        for own, donor, label in sorted(labelled, key=lambda item: item[0].digest)
    ]


def relation(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """A summary with the body of the same object, of its neighbour, of another package's object.

    The labels mean: the same object; another of its module, or of the closest package; one of
    another package. Neighbours are drawn two at a time and both get one label, so neither text
    alone, nor the number of a module's docstrings, gives the label away.
    """
    texts = passages.texts(source, _RELATION)
    couples = sorted(_neighbours(texts), key=lambda couple: couple[0].digest)
    elsewhere = [
        (own, donor)
        for own, donor in _moved([document for couple in couples[0::3] for document in couple])
        if passages.area(own) != passages.area(donor)
    ]
    same_object = [(own, own) for couple in couples[1::3] for own in couple]
    same_module = [item for one, other in couples[2::3] for item in ((one, other), (other, one))]
    size = min(len(same_object), len(same_module), len(elsewhere), limit // 3)
    labelled = [
        (*item, label)
        for label, items in zip(task.labels, (same_object, same_module, elsewhere), strict=True)
        for item in items[:size]
    ]
    return [
        _two_texts(source, "relation", _RELATION, texts, own, donor, label)
        for own, donor, label in sorted(labelled, key=lambda item: item[0].digest)
    ]


def _neighbours(documents: Iterable[Document]) -> list[tuple[Document, Document]]:
    """Documents two by two: of one module, and the rest of the closest package they share."""
    single = sorted(documents, key=lambda document: document.digest)
    couples: list[tuple[Document, Document]] = []
    for depth in range(_DEPTH, 0, -1):
        waiting: dict[tuple[str, ...], Document] = {}
        for document in single:
            place = (document.package, *document.module.split(".")[:depth])
            if other := waiting.pop(place, None):
                couples.append((other, document))
            else:
                waiting[place] = document
        single = sorted(waiting.values(), key=lambda document: document.digest)
    return couples


def _moved(documents: list[Document]) -> list[tuple[Document, Document]]:
    """Each document with the one half of the list away, in the order of packages."""
    ordered = sorted(documents, key=lambda d: (d.package, d.module, d.digest))
    half = len(ordered) // 2
    return list(zip(ordered, ordered[half:] + ordered[:half], strict=True))


def _two_texts(
    source: Source,
    task: str,
    prompt: str,
    texts: Mapping[Document, tuple[str, str]],
    own: Document,
    donor: Document,
    label: str,
) -> Example:
    """The summary of ``donor`` with the body of ``own``, cut to fit."""
    summary = texts[donor][0]
    body = source.cut(texts[own][1], passages.room(source, prompt, summary))
    return Example(
        f"{task}-{own.digest[:16]}",
        prompt.format(summary=summary, body=body),
        label,
        evidence=summary,
    )


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
