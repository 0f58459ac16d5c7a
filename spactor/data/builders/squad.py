"""Builder of suite ``squad``: a span extraction that stands in for SQuAD.

``span``: the type or the default of a parameter, from the docstring around its statement.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

from spactor.data.builders import entries
from spactor.data.builders.entries import Statement
from spactor.data.builders.source import INPUT_PIECES, Source, bits
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

_ANSWER_PIECES = 10
_STATEMENT_PIECES = 22
_PER_DOCUMENT = 3
_COMMONEST_SHARE = 0.1


def span(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Questions on parameters with statements as context; the answer is a span of the context.

    No answer makes up more than a tenth of all.
    """
    found: list[tuple[Statement, str]] = []
    for statements in entries.statements_of(source).values():
        ordered = sorted(statements, key=_digest)
        prompts = ((statement, _prompt(source, statement, statements)) for statement in ordered)
        chosen = [(statement, prompt) for statement, prompt in prompts if prompt is not None]
        found += chosen[:_PER_DOCUMENT]
    found.sort(key=lambda item: _digest(item[0]))
    return [
        Example(
            f"span-{statement.document.digest[:16]}-{statement.name}-{statement.aspect}",
            prompt,
            statement.answer,
            evidence=statement.text,
        )
        for statement, prompt in _varied(found, limit)
    ]


def _digest(statement: Statement) -> int:
    return bits("span", statement.document.digest, statement.name, statement.aspect)


def _varied(found: list[tuple[Statement, str]], limit: int) -> list[tuple[Statement, str]]:
    """The first ``limit`` different questions, each answer at most `_COMMONEST_SHARE` of them."""
    most = max(1, int(_COMMONEST_SHARE * min(limit, len(found))))
    counts: collections.Counter[str] = collections.Counter()
    chosen: list[tuple[Statement, str]] = []
    questions: set[str] = set()
    for statement, prompt in found:
        answer = statement.answer.casefold()
        if counts[answer] < most and prompt not in questions:
            counts[answer] += 1
            questions.add(prompt)
            chosen.append((statement, prompt))
    return chosen[:limit]


def _prompt(source: Source, statement: Statement, others: Sequence[Statement]) -> str | None:
    """The question and as many neighbouring statements as fit; None if its own does not fit."""
    question = f"question: {statement.aspect} of {statement.name} context:"
    room = INPUT_PIECES - source.pieces(question)
    own = _short(source, statement)
    if own is None or source.pieces(statement.answer) > _ANSWER_PIECES:
        return None
    room -= source.pieces(own)
    chosen = {statement.place: own}
    # On which side to begin depends on the statement, so its place in the context varies.
    place = others.index(statement)
    before, after = others[:place][::-1], others[place + 1 :]
    sides = (before, after) if _digest(statement) & 1 else (after, before)
    for other in (*sides[0], *sides[1]):
        if other.place in chosen:
            continue
        text = _short(source, other)
        if text is None or (separated := source.pieces(f"{text} /")) > room:
            break
        chosen[other.place] = text
        room -= separated
    return (
        f"{question} {' / '.join(chosen[where] for where in sorted(chosen))}" if room >= 0 else None
    )


def _short(source: Source, statement: Statement) -> str | None:
    text = source.cut(statement.text, _STATEMENT_PIECES)
    return text if statement.answer in text else None
