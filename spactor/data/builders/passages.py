"""Summaries and bodies of docstrings, which the embedded tasks are made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from spactor.data.builders.source import Source
from spactor.data.corpus import Document, words_of

SUMMARY_WORDS = range(4, 15)
SUMMARY_CHARACTERS = 72
BODY_WORDS = 8
BODY_CHARACTERS = 240
_PLAIN_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*[,;:]?")
_PLAIN_SHARE = 0.9


def _normal(text: str) -> str:
    return " ".join(words_of(text))


def plain(sentence: str) -> bool:
    """Whether nine words in ten are letters, and neither end looks like a list or a table."""
    words = sentence.split()
    letters = sum(_PLAIN_WORD.fullmatch(word) is not None for word in words)
    return (
        letters >= _PLAIN_SHARE * len(words)
        and words[0][0].isalpha()
        and not sentence.endswith(":")
    )


def summary_of(document: Document) -> str | None:
    """The first paragraph, if it is one plain sentence that does not quote the object's name.

    >>> summary_of(Document("p", "m", "scale", "function", "Return the value, times two.\\n\\nNo."))
    'Return the value, times two'
    """
    paragraph = re.split(r"\n\s*\n", document.text, maxsplit=1)[0]
    sentence = " ".join(paragraph.split()).removesuffix(".")
    words = sentence.split()
    if len(words) not in SUMMARY_WORDS or len(sentence) > SUMMARY_CHARACTERS:
        return None
    if not plain(sentence):
        return None
    name = document.name.rpartition(".")[2] or document.module.rpartition(".")[2]
    if _normal(name) in _normal(sentence).split():
        return None
    return sentence


def body_of(document: Document, summary: str) -> str | None:
    """The text after the summary on one line, cut at a word; None if short or quoting it."""
    parts = re.split(r"\n\s*\n", document.text, maxsplit=1)
    body = " ".join(parts[1].split()) if len(parts) == 2 else ""
    if len(body) > BODY_CHARACTERS:
        body = body[: BODY_CHARACTERS + 1].rpartition(" ")[0]
    if len(body.split()) < BODY_WORDS or _normal(summary) in _normal(" ".join(parts[1:])):
        return None
    return body


def unique(
    documents: Iterable[Document], key: Callable[[Document], str | None]
) -> Mapping[Document, str]:
    """Documents that have a key, the first of each (in digest order) of its normalised form."""
    found: dict[Document, str] = {}
    seen: set[str] = set()
    for document in sorted(documents, key=lambda document: document.digest):
        text = key(document)
        if text is not None and (normal := _normal(text)) not in seen:
            seen.add(normal)
            found[document] = text
    return found


def summaries(source: Source) -> Mapping[Document, str]:
    """Summaries of the documents that have one, none twice and none seen in training."""
    found = unique(source.documents, summary_of)
    return {document: text for document, text in found.items() if source.fresh(text)}


def with_bodies(source: Source) -> Mapping[Document, tuple[str, str]]:
    """Summary and body of the documents that have both, neither twice nor seen in training."""
    found = summaries(source)
    bodies = unique(found, lambda document: body_of(document, found[document]))
    return {
        document: (found[document], body) for document, body in bodies.items() if source.fresh(body)
    }
