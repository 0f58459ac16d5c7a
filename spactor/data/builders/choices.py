"""Builders of suites ``rainbow`` and ``mmlu``, and of multiple-choice questions in general.

``ending`` (after HellaSwag): which of four endings has this sentence?
``goal`` (after PIQA): which of two functions does this goal call for?
``package`` (after MMLU; one task a package): which of its objects has this summary?

No choice is likelier than another. Items are put into groups. Each item of a group becomes one
question, and all questions of a group have the same choices, the items' answers. Every choice of a
group is right once and wrong in all its other questions, so its length and words reveal nothing;
every letter is right once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from spactor.data.builders import passages
from spactor.data.builders.source import INPUT_PIECES, Source, bits
from spactor.data.corpus import Document, words_of
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

_LEAST_PIECES = 4  # Reserved for each answer that a group still lacks.
_NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LEAST_LETTERS = 3
_LEAST_BEGINNING_WORDS = 4
_ENDING_WORDS = 4
_BEGINNING_PIECES = 20
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n\s*\n|\n\s*[-*>]")


@dataclass(frozen=True)
class Item:
    """One question with its own answer.

    Attributes:
      id: unique in its task.
      question, answer: what is asked, and the choice that is right.
      evidence: see `Example`.
      conflicts: items that share one of these are never in one group.
    """

    id: str
    question: str
    answer: str
    evidence: str
    conflicts: frozenset[str]


def groups(
    items: Iterable[Item], size: int, fit: Callable[[Sequence[Item]], bool] = lambda group: True
) -> list[tuple[Item, ...]]:
    """Groups items of different answers and without common conflicts, each item once.

    Items that fill no group are left out. The order of ``items`` makes no difference.

    Args:
      items: what is grouped.
      size: of every group.
      fit: whether some items may share a group, complete or not.
    """
    # In digest order, which is unrelated to any property of the text.
    ordered = sorted(items, key=lambda item: (bits("group", item.id), item.id))
    incomplete: list[list[Item]] = []
    complete: list[tuple[Item, ...]] = []
    for item in ordered:
        for group in incomplete:
            if all(_compatible(item, other) for other in group) and fit([*group, item]):
                group.append(item)
                break
        else:
            group = [item]
            incomplete.append(group)
        if len(group) == size:
            incomplete.remove(group)
            complete.append(tuple(group))
    return complete


def _compatible(one: Item, other: Item) -> bool:
    same = one.answer.casefold() == other.answer.casefold()
    return not same and not one.conflicts & other.conflicts


def questions(
    source: Source, items: Iterable[Item], letters: Sequence[str], limit: int, word: str
) -> list[Example]:
    """Questions of complete groups of as many items as there are letters, at most ``limit``.

    Args:
      source: knows how long texts are.
      items: questions with their answers.
      letters: names of the choices.
      limit: largest number of examples.
      word: what the prompt begins with.
    """
    size = len(letters)
    room = INPUT_PIECES - source.pieces(f"{word}: {': '.join(letters)}:")

    def fit(group: Sequence[Item]) -> bool:
        answers = sum(source.pieces(item.answer) for item in group)
        longest = max(source.pieces(item.question) for item in group)
        return answers + longest <= room - (size - len(group)) * _LEAST_PIECES

    found: list[Example] = []
    for group in groups(items, size, fit)[: limit // size]:
        turn = bits("turn", *(item.id for item in group))
        for place, item in enumerate(group):
            # Rotated by one from question to question: each letter is right once.
            right = (place + turn) % size
            others = [other.answer for other in group if other is not item]
            choices = [*others[:right], item.answer, *others[right:]]
            named = (f"{letter}: {choice}" for letter, choice in zip(letters, choices, strict=True))
            prompt = f"{word}: {item.question} {' '.join(named)}"
            found.append(Example(item.id, prompt, letters[right], evidence=item.evidence))
    return found


def name_of(document: Document) -> str:
    """The last part of an object's name; empty for modules and for methods that Python names."""
    name = document.name.rpartition(".")[2]
    return "" if name.startswith("__") or len(name) < _LEAST_LETTERS else name


def quotes(text: str, name: str) -> bool:
    """Whether a text has more than half of the words that a name is made of.

    >>> quotes("Is it alive?", "_is_alive"), quotes("Does it live?", "_is_alive")
    (True, False)
    """
    parts = {part.lower() for part in _NAME_PART.findall(name)}
    return 2 * len(parts & set(words_of(text))) > len(parts)


def named_summaries(source: Source) -> Mapping[Document, tuple[str, str]]:
    """Name and summary of the objects that have both, the summary not quoting the name."""
    return {
        document: (name, summary)
        for document, summary in passages.summaries(source).items()
        if (name := name_of(document)) and not quotes(summary, name)
    }


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
        question = " ".join(beginning)
        whole = f"{question} {end}"
        if len(beginning) >= _LEAST_BEGINNING_WORDS and source.fresh(whole):
            items.append(_item("ending", document, question, end, whole))
    return questions(source, items, task.labels, limit, "ending")


def goal(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Summaries of functions, and the names of two functions with their modules' names."""
    items = [
        _item("goal", document, summary, function, summary)
        for document, (name, summary) in named_summaries(source).items()
        if document.kind in ("function", "method")
        and not quotes(summary, function := f"{document.module.rpartition('.')[2]}.{name}")
    ]
    return questions(source, items, task.labels, limit, "goal")


def package(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Summaries of one package's objects, each with four objects' names."""
    items = [
        _item(document.package, document, summary, name, summary)
        for document, (name, summary) in named_summaries(source).items()
        if document.package.replace("-", "_") == task.name
    ]
    return questions(source, items, task.labels, limit, "name")


def _item(kind: str, document: Document, question: str, answer: str, evidence: str) -> Item:
    """An item of which a document makes no more than one."""
    name, conflicts = f"{kind}-{document.digest[:16]}", frozenset({document.digest})
    return Item(name, question, answer, evidence, conflicts)
