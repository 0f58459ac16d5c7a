"""Multiple-choice questions in which no choice is likelier than another.

Items are put into groups. Each item of a group becomes one question, and all questions of a group
have the same choices, the items' answers. Every choice of a group is right once and wrong in all
its other questions, so its length and words reveal nothing; every letter is right once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spactor.data.builders.source import INPUT_PIECES, Source, bits
from spactor.data.examples import Example

_LEAST_PIECES = 4  # Reserved for each answer that a group still lacks.


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
