"""Builders of suite ``bbh``: generated questions that stand in for BBH; exact match.

Questions are drawn from the source's seed, without documents. The split that a question belongs to
depends on its words alone, so no two seeds mix the splits. All are operations on short lists, which
models can learn that were trained for a few thousand steps. None has the name of a task of BBH, so
that scores are not mistaken for them.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

from spactor.data.builders.source import INPUT_PIECES, Source, bits
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask, Split

_VALIDATION_SHARE = 4  # One question in this many belongs to validation.
_TRIES = 200  # Draws per example, at most.
_WORDS = (
    *("add", "all", "and", "any", "axis", "base", "be", "byte", "call", "data", "file", "for"),
    *("from", "get", "if", "in", "is", "key", "line", "list", "map", "name", "no", "of", "one"),
    *("path", "read", "set", "size", "test", "text", "time", "type", "use", "value", "with"),
)

Generate = Callable[[random.Random], tuple[str, str]]
"""Draws a question and its answer."""
Build = Callable[[Source, EmbeddedTask, int], list[Example]]


def split_of(prompt: str) -> Split:
    """The only split a question may belong to.

    >>> split_of("last: add all")
    'train'
    """
    return "validation" if bits("bbh", prompt) % _VALIDATION_SHARE == 0 else "train"


def _generated(generate: Generate) -> Build:
    """Turns a generator of one question into a builder of different ones."""

    @functools.wraps(generate)
    def build(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
        name = task.name
        draw = random.Random(bits("bbh", name, source.split, str(source.seed)))
        found: dict[str, Example] = {}
        for place in range(_TRIES * limit):
            if len(found) == limit:
                break
            question, answer = generate(draw)
            prompt = f"{name}: {question}"
            if (
                prompt not in found
                and split_of(prompt) == source.split
                and source.pieces(prompt) <= INPUT_PIECES
            ):
                found[prompt] = Example(
                    f"{name}-{source.split}-{source.seed}-{place}", prompt, answer
                )
        return list(found.values())

    return build


def _list(draw: random.Random, least: int, most: int) -> list[str]:
    return draw.sample(_WORDS, draw.randint(least, most))


@_generated
def last(draw: random.Random) -> tuple[str, str]:
    """The last of three to six words."""
    words = _list(draw, 3, 6)
    return " ".join(words), words[-1]


@_generated
def second(draw: random.Random) -> tuple[str, str]:
    """The second of three to six words."""
    words = _list(draw, 3, 6)
    return " ".join(words), words[1]


@_generated
def last_two(draw: random.Random) -> tuple[str, str]:
    """The last two of three to six words."""
    words = _list(draw, 3, 6)
    return " ".join(words), " ".join(words[-2:])


@_generated
def reverse(draw: random.Random) -> tuple[str, str]:
    """Two to four words backwards."""
    words = _list(draw, 2, 4)
    return " ".join(words), " ".join(words[::-1])
