"""Builders of suite ``superglue``: three classifications that stand in for SuperGLUE.

``question`` (after BoolQ): has this parameter this type?
``word`` (after WiC): is this word used in one package, or in two?
``cause`` (after COPA): which of two causes has this effect?
"""

from __future__ import annotations

import collections
import itertools

from spactor.data.builders import choices, entries, passages
from spactor.data.builders.choices import Item
from spactor.data.builders.source import INPUT_PIECES, Source, bits
from spactor.data.corpus import Document, words_of
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

_LEAST_LETTERS = 4
_COMMON_SHARE = 0.02


def question(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Two questions on two parameters, whether each has the type of one of them.

    Both questions of a pair name the same type, so neither type nor text gives the label away.
    """
    items = [
        Item(
            id=f"question-{statement.document.digest[:16]}-{statement.name}",
            question=statement.name,
            answer=statement.answer,
            evidence=statement.text,
            conflicts=frozenset({statement.name}),
        )
        for found in entries.statements_of(source).values()
        for statement in found
        if statement.aspect == "type"
    ]
    examples: list[Example] = []
    for couple in choices.groups(items, 2):
        turn = bits("question", *(item.id for item in couple))
        asked = couple[turn & 1].answer
        first, second = couple if turn & 2 else couple[::-1]
        texts = _shortened(source, first, second)
        if texts is None:
            continue
        prompts = [f"question: is {item.question} {asked}? {texts}" for item in couple]
        if max(map(source.pieces, prompts)) <= INPUT_PIECES:
            examples += [
                Example(item.id, prompt, task.labels[item.answer == asked], item.evidence)
                for item, prompt in zip(couple, prompts, strict=True)
            ]
    return examples[: limit - limit % 2]


def _shortened(source: Source, *items: Item) -> str | None:
    """The items' texts, cut to equal shares; None if a cut would remove a type."""
    share = INPUT_PIECES // 3
    texts = [source.cut(item.evidence, share) for item in items]
    whole = all(item.answer in text for item, text in zip(items, texts, strict=True))
    return " / ".join(texts) if whole else None


def word(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Two summaries that share a word, of one package or of two.

    Each word occurs with both labels equally often, and each summary once.
    """
    sentences = passages.summaries(source)
    users: dict[str, list[Document]] = {}
    for document, sentence in sentences.items():
        for name in dict.fromkeys(words_of(sentence)):
            if len(name) >= _LEAST_LETTERS and name.isalpha():
                users.setdefault(name, []).append(document)
    common = max(_COMMON_SHARE * len(sentences), 2 * len(task.labels))
    used: set[Document] = set()
    couples: list[list[Example]] = []
    # The rarest first: their sense is the narrowest.
    for name, documents in sorted(users.items(), key=lambda item: (len(item[1]), item[0])):
        while len(documents) <= common:
            found = _couples([document for document in documents if document not in used])
            if found is None:
                break
            used.update(itertools.chain(*found))
            prompts = [
                f"word: {name} / {sentences[one]} / {sentences[other]}" for one, other in found
            ]
            if max(map(source.pieces, prompts)) <= INPUT_PIECES:
                couples.append(
                    [
                        Example(f"word-{one.digest[:16]}", prompt, label, sentences[one])
                        for (one, _), prompt, label in zip(found, prompts, task.labels, strict=True)
                    ]
                )
    couples.sort(key=lambda couple: couple[0].id)
    return list(itertools.chain(*couples[: limit // 2]))


def _couples(documents: list[Document]) -> tuple[tuple[Document, Document], ...] | None:
    """A pair of documents of two packages and a pair of one; None if there are none."""
    areas = collections.defaultdict(list)
    for document in sorted(documents, key=lambda document: document.digest):
        areas[passages.area(document)].append(document)
    for of_one in areas.values():
        if len(of_one) < 2:
            continue
        same = of_one[0], of_one[1]
        rest = [document for document in documents if document not in same]
        for one, other in itertools.combinations(rest, 2):
            if passages.area(one) != passages.area(other):
                return (one, other), same
    return None


def cause(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """An effect, and two causes of which the other belongs to another effect."""
    items = [
        Item(
            id=f"cause-{found.document.digest[:16]}-{bits(found.clause) % 16**6:06x}",
            question=found.effect,
            answer=found.clause,
            evidence=found.clause,
            conflicts=frozenset({found.effect, found.document.digest}),
        )
        for found in entries.causes_of(source)
    ]
    return choices.questions(source, items, task.labels, limit, "cause")
