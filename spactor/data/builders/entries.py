"""Statements on parameters in docstrings: four styles of sections, and prose.

Builder of suite ``squad``: ``span``, the type or the default of a parameter from the docstring
around its statement.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from spactor.data.builders.source import INPUT_PIECES, Source, bits
from spactor.data.corpus import Document, words_of
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

Aspect = Literal["type", "default"]


@dataclass(frozen=True)
class Statement:
    """A sentence that gives a parameter's type or default.

    Attributes:
      document: that makes the statement.
      place: where it begins in the document's text.
      name: of the parameter.
      aspect: what is stated.
      answer: the type or default, a span of ``text``.
      text: on one line.
    """

    document: Document
    place: int
    name: str
    aspect: Aspect
    answer: str
    text: str


_TYPE_WORDS = (
    r"strings?|str|integers?|int|lists?|tuples?|dict|dictionary|bool|boolean|floats?|callable|"
    r"function|file-like|file|sequence|iterable|mapping|bytes|number|class|object|set|array_like|"
    r"array|ndarray|tensor|instance|iterator|generator|regex|path|scalar"
)
_NOUN = rf"`{{0,2}}(?:{_TYPE_WORDS}|[A-Z]\w+)`{{0,2}}"
_NAME = r"[`*'\"]*(?P<name>\*{0,2}[A-Za-z_]\w*)[`*'\"]*"
_BEGIN = r"(?<![\w`*'\"])"
_VALUE = r"[`'\"*]*(?P<answer>-?\w[\w.+-]*\w|\w)[`'\"*]*"
_PATTERNS: tuple[tuple[Aspect, re.Pattern[str]], ...] = (
    # axis : int, optional
    ("type", re.compile(rf"^[ \t]*{_NAME} : (?P<answer>[^\n,(:{{=]+)", re.M)),
    # axis (`int`, *optional*): or axis (int): The axis.
    ("type", re.compile(rf"^[ \t]+{_NAME} \((?P<answer>[^()\n,:=]+)[^()\n]*\):", re.M)),
    # :param int axis: or :type axis: int
    ("type", re.compile(rf":param (?P<answer>\w[\w.]*) {_NAME}:")),
    ("type", re.compile(rf":type {_NAME}: (?P<answer>[^\n,(]+)")),
    # axis: An integer.
    (
        "type",
        re.compile(rf"^[ \t]*{_NAME}: (?:Optional )?An? (?:optional )?(?P<answer>{_NOUN})\b", re.M),
    ),
    # axis must be an integer
    (
        "type",
        re.compile(
            rf"{_BEGIN}{_NAME}\s+(?:is|must be|should be|may be|can be)\s+an?\s+"
            rf"(?P<answer>{_NOUN})\b"
        ),
    ),
    # axis: The axis. Defaults to 0. The name stands at the beginning of its entry.
    (
        "default",
        re.compile(
            rf"^[ \t]*{_NAME} ?(?::|--|\()[^\n]+(?:\n[ \t]+[^\n]+)??"
            rf"[Dd]efaults?(?: value)?(?: to| is|:|=)?:? ?{_VALUE}",
            re.M,
        ),
    ),
    ("default", re.compile(rf"{_BEGIN}{_NAME}\s+defaults\s+to\s+{_VALUE}")),
    ("default", re.compile(rf"{_BEGIN}{_NAME}\s+\(default(?:s to|:| is)?\s+{_VALUE}\)")),
)
_NO_NAME = re.compile(
    r"it|this|that|which|there|what|arg(ument)?s?|values?|parameters?|types?|defaults?|results?|"
    r"returns?|raises|notes?|examples?|the|each|and|one|otherwise|also|only|given",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"the|an?|to|is|of|and|or|if|value|optional|required|whether|not", re.IGNORECASE
)
_MOST_ANSWER_WORDS = 3
_MOST_WORDS = 14
_LEAST_WORDS = 5


def statements(document: Document) -> tuple[Statement, ...]:
    """Every statement on a parameter, in the order they stand; one a name and aspect.

    >>> text = "Turn it.\\n\\nParameters\\n---\\naxis : int, optional\\n    Axis to turn around."
    >>> (found,) = statements(Document("p", "m", "turn", "function", text))
    >>> found.name, found.aspect, found.answer, found.text
    ('axis', 'type', 'int', 'axis : int, optional Axis to turn around.')
    """
    found: dict[tuple[str, Aspect], _Match] = {}
    for aspect, pattern in _PATTERNS:
        for match in pattern.finditer(document.text):
            name = match["name"].strip("*")
            answer = match["answer"].strip(" `*'\".")
            if _is_plausible(name, answer):
                start = match.start() + len(match[0]) - len(match[0].lstrip())
                found.setdefault((name, aspect), _Match(start, match.end(), name, aspect, answer))
    ordered = sorted(found.values())
    # A statement ends where the next one begins.
    texts = (_text(document, match, ordered) for match in ordered)
    return tuple(
        Statement(document, match.start, match.name, match.aspect, match.answer, text)
        for match, text in zip(ordered, texts, strict=True)
        if len(text.split()) >= _LEAST_WORDS and match.answer in text
    )


class _Match(NamedTuple):
    start: int
    end: int
    name: str
    aspect: Aspect
    answer: str


def _is_plausible(name: str, answer: str) -> bool:
    words = answer.split()
    return (
        _NO_NAME.fullmatch(name) is None
        and 1 <= len(words) <= _MOST_ANSWER_WORDS
        and not any(map(_NO_ANSWER.fullmatch, words))
        and bool(words_of(answer))
        and name != answer
    )


def _text(document: Document, match: _Match, ordered: Sequence[_Match]) -> str:
    """The statement and what follows it in its paragraph, on one line."""
    following = min((other.start for other in ordered if other.start >= match.end), default=None)
    paragraph = document.text[match.start : following].partition("\n\n")[0]
    least = len(document.text[match.start : match.end].split())
    return " ".join(paragraph.split()[: max(_MOST_WORDS, least)])


def statements_of(source: Source) -> Mapping[Document, list[Statement]]:
    """Fresh statements of the documents that make any, documents in digest order."""
    found: dict[Document, list[Statement]] = {}
    seen: set[str] = set()
    for document in sorted(source.documents, key=lambda document: document.digest):
        for statement in statements(document):
            normal = " ".join([statement.aspect, *words_of(statement.text)])
            if normal not in seen and source.fresh(statement.text):
                found.setdefault(document, []).append(statement)
            seen.add(normal)
    return found


_ANSWER_PIECES = 10
_STATEMENT_PIECES = 22
_PER_DOCUMENT = 3
_COMMONEST_SHARE = 0.1


def span(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Questions on parameters with statements as context; the answer is a span of the context.

    No answer makes up more than a tenth of all.
    """
    found: list[tuple[Statement, str]] = []
    for of_document in statements_of(source).values():
        ordered = sorted(of_document, key=_digest)
        prompts = ((statement, _prompt(source, statement, of_document)) for statement in ordered)
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
