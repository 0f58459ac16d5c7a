"""Builders of suite ``bbh``: generated reasoning that stands in for BBH; exact match.

Questions are drawn from the source's seed, without documents. The split that a question belongs to
depends on its words alone, so no two seeds mix the splits.

Names differ from those of BBH's own tasks, so that scores are not mistaken for them: ``booleans``
(after boolean expressions), ``sorting`` (word sorting), ``counting`` (object counting), ``sums``
(multi-step arithmetic), ``brackets`` (Dyck languages), ``swaps`` (tracking shuffled objects) and
``steps`` (navigate).
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable

from spactor.data.builders.source import INPUT_PIECES, Source, bits
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask, Split

_VALIDATION_SHARE = 4  # One question in this many belongs to validation.
_TRIES = 200  # Draws per example, at most: few walks end where they began.
_WORDS = (
    *("add", "all", "and", "any", "axis", "base", "be", "byte", "call", "data", "file", "for"),
    *("from", "get", "if", "in", "is", "key", "line", "list", "map", "name", "no", "of", "one"),
    *("path", "read", "set", "size", "test", "text", "time", "type", "use", "value", "with"),
)
_PEOPLE = ("Al", "Bo", "Cy")
_THINGS = ("file", "key", "list", "map", "name", "path", "text")
_KINDS = {"text": ("line", "word", "name"), "number": ("size", "time", "index")}
_PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}

Generate = Callable[[random.Random], tuple[str, str]]
"""Draws a question and its answer."""
Build = Callable[[Source, EmbeddedTask, int], list[Example]]


def split_of(prompt: str) -> Split:
    """The only split a question may belong to.

    >>> split_of("sums: 1 + 1 =")
    'train'
    """
    return "validation" if bits("bbh", prompt) % _VALIDATION_SHARE == 0 else "train"


def _generated(generate: Generate) -> Build:
    """Turns a generator of one question into a builder of different ones.

    A classification's labels follow each other in turn and have equal shares.
    """

    @functools.wraps(generate)
    def build(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
        name, labels = task.name, task.labels
        draw = random.Random(bits("bbh", name, source.split, str(source.seed)))
        found: dict[str, Example] = {}
        for place in range(_TRIES * limit):
            if len(found) == limit:
                break
            question, answer = generate(draw)
            prompt = f"{name}: {question}"
            wanted = labels[len(found) % len(labels)] if labels else answer
            if prompt in found or answer != wanted or split_of(prompt) != source.split:
                continue
            if source.pieces(prompt) <= INPUT_PIECES:
                found[prompt] = Example(
                    f"{name}-{source.split}-{source.seed}-{place}", prompt, answer
                )
        examples = list(found.values())
        return examples[: len(examples) - len(examples) % len(labels)] if labels else examples

    return build


@_generated
def booleans(draw: random.Random) -> tuple[str, str]:
    """``not ( True and False ) or True``: two to four values."""
    terms = []
    for _ in range(draw.randint(2, 4)):
        value = draw.choice(("False", "True"))
        terms.append(f"not {value}" if draw.random() < 0.4 else value)
    text = terms[0]
    for place, term in enumerate(terms[1:]):
        text = f"{text} {draw.choice(('and', 'or'))} {term}"
        if place == 0 and len(terms) > 2 and draw.random() < 0.5:
            text = f"not ( {text} )" if draw.random() < 0.5 else f"( {text} )"
    inner_first = re.sub(r"\( (.*) \)", lambda inner: str(_truth(inner[1])), text)
    return text, str(_truth(inner_first))


def _truth(text: str) -> bool:
    """Value of an expression without brackets: ``not`` before ``and`` before ``or``."""
    return any(
        all(term in ("True", "not False") for term in terms.split(" and "))
        for terms in text.split(" or ")
    )


@_generated
def sorting(draw: random.Random) -> tuple[str, str]:
    """Two to four words, to be put in the order of the alphabet."""
    words = draw.sample(_WORDS, draw.randint(2, 4))
    return " ".join(words), " ".join(sorted(words))


@_generated
def counting(draw: random.Random) -> tuple[str, str]:
    """How many things of one kind: numbers of them, among things of another kind."""
    kind, other = draw.sample(sorted(_KINDS), 2)
    counted = [(draw.randint(1, 4), thing) for thing in draw.sample(_KINDS[kind], 2)]
    more = [(draw.randint(1, 4), thing) for thing in draw.sample(_KINDS[other], draw.randint(0, 1))]
    things = draw.sample(counted + more, len(counted + more))
    listed = ", ".join(f"{number} {thing}" for number, thing in things)
    return f"{kind} in {listed}?", str(sum(number for number, _ in counted))


@_generated
def sums(draw: random.Random) -> tuple[str, str]:
    """``( 2 + 3 ) * 2 - 1``: two to four small numbers, strictly from the brackets outwards."""
    value = draw.randint(0, 5)
    text = str(value)
    for place in range(draw.randint(1, 3)):
        sign, number = draw.choice("+-*"), draw.randint(0, 5)
        if sign == "*" and place:
            text = f"( {text} )"
        text = f"{text} {sign} {number}"
        value = {"+": value + number, "-": value - number, "*": value * number}[sign]
    return f"{text} =", str(value)


@_generated
def brackets(draw: random.Random) -> tuple[str, str]:
    """Opened brackets, some closed again; the answer closes the rest."""
    text: list[str] = []
    opened: list[str] = []
    for _ in range(draw.randint(2, 7)):
        if opened and draw.random() < 0.35:
            text.append(_PAIRS[opened.pop()])
        else:
            opened.append(draw.choice(sorted(_PAIRS)))
            text.append(opened[-1])
    if not opened:
        opened.append(draw.choice(sorted(_PAIRS)))
        text.append(opened[-1])
    return " ".join(text), " ".join(_PAIRS[bracket] for bracket in reversed(opened))


@_generated
def swaps(draw: random.Random) -> tuple[str, str]:
    """Three people with a thing each, and which thing one has after one to three swaps."""
    things = draw.sample(_THINGS, len(_PEOPLE))
    has = dict(zip(_PEOPLE, things, strict=True))
    sentences = [", ".join(f"{person} {thing}" for person, thing in has.items())]
    for _ in range(draw.randint(1, 3)):
        one, other = draw.sample(_PEOPLE, 2)
        has[one], has[other] = has[other], has[one]
        sentences.append(f"{one} - {other}")
    asked = draw.choice(_PEOPLE)
    return f"{'; '.join(sentences)}; {asked}?", has[asked]


@_generated
def steps(draw: random.Random) -> tuple[str, str]:
    """Steps to the left and to the right: do they end where they began?"""
    moves = [
        (draw.choice(("left", "right")), draw.randint(1, 4)) for _ in range(draw.randint(3, 4))
    ]
    home = sum(number if side == "right" else -number for side, number in moves) == 0
    return ", ".join(f"{side} {number}" for side, number in moves), ("no", "yes")[home]
