"""Builder of word clozes: a sentence without one of its words, and words that may fill the gap.

The missing word is one sentinel, as in a span that pre-training masks. The wrong words are about as
frequent as the right one, so that no choice is likelier than another without the sentence::

    inputs    Return the <extra_id_0> of the largest element
    targets   index                          choices   index, group, module, method
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from spactor.data.builders import passages
from spactor.data.builders.source import INPUT_PIECES, WORD, Source, Words, bits
from spactor.data.corpus import Document, words_of
from spactor.data.examples import Example
from spactor.data.suites import EmbeddedTask

GAP = "<extra_id_0>"
CHOICES = 4
_LEAST_WORDS = 6
_PACKAGE_GAPS = 2
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n\s*\n|\n\s*[-*>]")


@dataclass(frozen=True)
class Gap:
    """A sentence with a gap.

    Attributes:
      left, right: the sentence before and after the gap, without the spaces beside it.
      word: what was there.
      wrong: words that were not.
    """

    left: str
    right: str
    word: str
    wrong: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The sentence with the gap's sentinel."""
        return " ".join(filter(None, (self.left, GAP, self.right)))

    @property
    def choices(self) -> tuple[str, ...]:
        """All words, in alphabetical order."""
        return tuple(sorted((self.word, *self.wrong)))


def pieces_of(source: Source, prompt: str) -> int:
    """Pieces of a prompt with one gap, whose sentinel is one piece and may follow a space."""
    return source.pieces(prompt.replace(GAP, "")) + 2


def sentences_of(document: Document) -> Iterator[str]:
    """Plain sentences of a document, white space normalised, without the final full stop."""
    for part in _SENTENCE.split(document.text):
        sentence = " ".join(part.split()).removesuffix(".")
        if len(sentence.split()) >= _LEAST_WORDS and passages.plain(sentence):
            yield sentence


def gaps_in(sentence: str, words: Words, count: int = CHOICES) -> Iterator[Gap]:
    """Takes single words out of a sentence, in an order in which each is equally likely the first.

    Args:
      sentence: whose words are separated by single spaces.
      words: that may be taken out or offered.
      count: number of choices.

    Yields:
      One gap for every word that has enough similar ones that are not in the sentence.
    """
    present = frozenset(words_of(sentence))
    places = [found for found in WORD.finditer(sentence) if found[0] in words]
    for found in sorted(places, key=lambda found: bits("gap", sentence, str(found.start()))):
        if wrong := words.similar(found[0], count - 1, sentence, present):
            left, right = sentence[: found.start()].strip(), sentence[found.end() :].strip()
            yield Gap(left, right, found[0], wrong)


def clozes(
    source: Source,
    limit: int,
    pieces: int = INPUT_PIECES,
    word_pieces: int = INPUT_PIECES,
    count: int = CHOICES,
    gaps: int = 1,
) -> list[Example]:
    """Sentences with gaps, in the order of the documents' digests.

    Args:
      source: of the documents; its words may be taken out or offered.
      limit: largest number of examples.
      pieces, word_pieces: the most that a sentence and a choice may have.
      count: number of choices.
      gaps: the most examples that one sentence makes.
    """
    found: list[Example] = []
    seen: set[tuple[str, ...]] = set()
    for document in sorted(source.documents, key=lambda document: document.digest):
        for number, sentence in enumerate(sentences_of(document)):
            normal = tuple(words_of(sentence))
            # A gap may take one piece more than its word.
            if normal in seen or source.pieces(sentence) >= pieces or not source.fresh(sentence):
                continue
            seen.add(normal)
            of_sentence = itertools.islice(gaps_in(sentence, source.words, count), gaps)
            found += [
                Example(
                    f"cloze-{document.digest[:16]}-{number}-{place}",
                    gap.sentence,
                    gap.word,
                    evidence=sentence,
                    choices=gap.choices,
                )
                for place, gap in enumerate(of_sentence)
                if all(source.pieces(word) <= word_pieces for word in gap.choices)
            ]
        if len(found) >= limit:
            break
    return found[:limit]


def four_words(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Which of four words is missing?"""
    return clozes(source, limit)


def two_words(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Which of two words is missing?"""
    return clozes(source, limit, count=2)


def package(source: Source, task: EmbeddedTask, limit: int) -> list[Example]:
    """Which of four words is missing in a sentence of the package that the task is named after?"""
    documents = [
        document for document in source.documents if document.package.replace("-", "_") == task.name
    ]
    return clozes(dataclasses.replace(source, documents=documents), limit, gaps=_PACKAGE_GAPS)
