"""Suite ``glue``: two classifications in the place of GLUE's column.

``acceptability`` (after CoLA): is this sentence in its own order, or locally shuffled?
``pair`` (after MRPC): does this summary belong to this body?
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from spactor.data.corpus import Document
from spactor.data.suites import base, passages
from spactor.data.suites.base import Example, MetricFact, Suite, SuiteTask

ACCEPTABILITY_LABELS = ("unacceptable", "acceptable")
PAIR_LABELS = ("mismatch", "match")

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
            out.extend(orders[base.bits(seed, str(start)) % len(orders)])
        else:
            out.extend(window)
    return None if out == words else " ".join(out)


def acceptability(documents: Sequence[Document], limit: int) -> list[Example]:
    """Half the sentences as written, half shuffled; no sentence in both."""
    summaries = passages.unique(documents, passages.summary_of)
    wrong, right = base.halves(summaries, "acceptability", limit)
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
            ACCEPTABILITY_LABELS[label],
        )
        for document, (text, label) in sorted(texts.items(), key=lambda item: item[0].digest)
    ]


def pair(documents: Sequence[Document], limit: int) -> list[Example]:
    """Half the bodies with their own summaries, half with one from another module.

    Every body and every summary occurs once, so neither alone tells the answer.
    """
    passages_of = passages.with_bodies(documents)
    wrong, right = base.halves(passages_of, "pair", limit)
    # Sorted by place and moved on by half, neighbours in a package are the furthest apart.
    wrong = sorted(wrong, key=lambda d: (d.package, d.module, d.digest))
    donors = wrong[len(wrong) // 2 :] + wrong[: len(wrong) // 2]
    pairs = [(own, donor, 0) for own, donor in zip(wrong, donors, strict=True)]
    pairs = [item for item in pairs if item[0].module != item[1].module]
    pairs += [(own, own, 1) for own in right[: len(pairs)]]
    return [
        Example(
            f"pair-{own.digest[:16]}",
            f"pair summary: {passages_of[donor][0]} body: {passages_of[own][1]}",
            PAIR_LABELS[label],
        )
        for own, donor, label in sorted(pairs, key=lambda item: item[0].digest)
    ]


SUITE = Suite(
    "glue",
    (
        SuiteTask(
            "acceptability",
            (MetricFact("matthews_corrcoef", "1"),),
            target_length=16,
            build=acceptability,
            labels=ACCEPTABILITY_LABELS,
        ),
        SuiteTask(
            "pair",
            (MetricFact("f1", "1"), MetricFact("accuracy", "1")),
            target_length=16,
            build=pair,
            labels=PAIR_LABELS,
        ),
    ),
)
