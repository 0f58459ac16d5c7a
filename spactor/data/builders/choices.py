"""Builder of suite ``rainbow``: ``ending`` (after HellaSwag), which of four endings has a sentence?

No choice is likelier than another. Items are put into groups. Each item of a group becomes one
question, and all questions of a group have the same choices, the items' answers. Every choice of a
group is right once and wrong in all its other questions, so its length and words reveal nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spactor.data.builders.cloze import GAP, pieces_of, sentences_of
from spactor.data.builders.source import INPUT_PIECES, Source, bits
from spactor.data.corpus import words_of
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

_CHOICES = 4
_END_WORDS = 2


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


def examples(found: Iterable[Sequence[Item]], limit: int) -> list[Example]:
    """The questions of groups, all of a group or none, at most ``limit``."""
    made: list[Example] = []
    for group in found:
        if len(made) + len(group) > limit:
            break
        choices = tuple(item.answer for item in group)
        made += [
            Example(item.id, item.question, item.answer, item.evidence, choices) for item in group
        ]
    return made


def ending(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Sentences without their last two words, and the last words of four."""
    items = []
    seen: set[tuple[str, ...]] = set()
    for document in sorted(source.documents, key=lambda document: document.digest):
        for number, sentence in enumerate(sentences_of(document)):
            words = sentence.split()
            beginning, answer = " ".join(words[:-_END_WORDS]), " ".join(words[-_END_WORDS:])
            normal = tuple(words_of(beginning))
            question = f"{beginning} {GAP}"
            if (
                normal not in seen
                and source.fresh(beginning)
                and pieces_of(source, question) <= INPUT_PIECES
                and source.pieces(answer) < task.target_length
            ):
                name = f"ending-{document.digest[:16]}-{number}"
                conflicts = frozenset({document.digest})
                items.append(Item(name, question, answer, sentence, conflicts))
            seen.add(normal)
    return examples(groups(items, _CHOICES), limit)
