"""What examples are made from: held-out documents, the texts that were trained on, a vocabulary."""

from __future__ import annotations

import bisect
import collections
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from spactor.data import corpus, vocabulary
from spactor.data.corpus import Document, words_of
from spactor.data.suites import Split

INPUT_PIECES = 63
"""Pieces of a whole prompt: 64 encoder positions less eos, the fewest that any profile has."""

SEED = 0
"""Seed of the generated questions in a prepared folder."""
LEAST_COUNT = 50
"""Occurrences in the training text of every word in `Words`."""
MOST_RATIO = 1.5
"""Frequencies of similar words differ by at most this factor."""
WORD = re.compile(r"(?<!\S)[a-z]{3,}(?!\S)")
"""A lower-case word that stands between white space."""
_STEM_LETTERS = 4
_BETWEEN = 0  # Separates two texts in an index; no word has this number.


class Occurrences:
    """Texts, searched for runs of words.

    Case, punctuation and white space make no difference.

    >>> read = Occurrences(["Return the value, or None.", "No more."])
    >>> "the value or none" in read, "none no" in read, "value the" in read
    (True, False, False)
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._numbers: dict[str, int] = {}
        stream = [_BETWEEN]
        for text in texts:
            stream += [
                self._numbers.setdefault(word, len(self._numbers) + 1) for word in words_of(text)
            ]
            stream.append(_BETWEEN)
        self._stream = np.array(stream, np.int32)
        # All places of word n: places[begins[n] : begins[n + 1]].
        self._places = np.argsort(self._stream, kind="stable").astype(np.int32)
        counts = np.bincount(self._stream, minlength=len(self._numbers) + 1)
        self._begins = np.concatenate([[0], np.cumsum(counts)])

    def __contains__(self, text: object) -> bool:
        """Whether a text's words follow each other in one of the texts; False without words."""
        numbers = [self._numbers.get(word, _BETWEEN) for word in words_of(str(text))]
        if not numbers or _BETWEEN in numbers:
            return False
        # The rarest word leaves the fewest places to compare.
        rarest = min(range(len(numbers)), key=lambda place: self._count(numbers[place]))
        start, end = self._begins[numbers[rarest]], self._begins[numbers[rarest] + 1]
        places = self._places[start:end] - rarest
        places = places[(places >= 0) & (places + len(numbers) <= len(self._stream))]
        for offset, number in enumerate(numbers):
            places = places[self._stream[places + offset] == number]
        return len(places) > 0

    def _count(self, number: int) -> int:
        return int(self._begins[number + 1] - self._begins[number])


class Words:
    """Lower-case words of a text, ordered by frequency.

    A word stands between white space; of names, numbers and code nothing is counted.

    Args:
      texts: that are counted.
      least: words with fewer occurrences are left out.

    >>> words = Words(["one fish two fish red fish blue fish", "one two red blue"], least=2)
    >>> "two" in words, "fish" in words, "Fish" in words
    (True, True, False)
    >>> words.similar("fish", 1, "a salt") is None  # No other word is as frequent.
    True
    """

    def __init__(self, texts: Iterable[str], least: int = LEAST_COUNT) -> None:
        counts = collections.Counter(word for text in texts for word in WORD.findall(text))
        ordered = sorted((count, word) for word, count in counts.items() if count >= least)
        self._counts = [count for count, _ in ordered]
        self._words = [word for _, word in ordered]
        self._places = {word: place for place, word in enumerate(self._words)}

    def __contains__(self, word: object) -> bool:
        return word in self._places

    def similar(
        self, word: str, count: int, salt: str, avoid: Container[str] = ()
    ) -> tuple[str, ...] | None:
        """Other words of nearly the same frequency, or None where there are too few.

        How many of them are more frequent than the word is uniform between none and all, so that a
        rank in frequency reveals nothing. They are drawn from the nearest twice as many; no two
        share their first four letters, as forms of a word do.

        Args:
          word: one of these words.
          count: number of words.
          salt: what the draw depends on, such as the sentence.
          avoid: words that are not drawn.
        """
        place = self._places[word]
        low = bisect.bisect_left(self._counts, self._counts[place] / MOST_RATIO)
        high = bisect.bisect_right(self._counts, self._counts[place] * MOST_RATIO)
        above = bits("above", salt, word) % (count + 1)
        found = [word]
        for side, wanted in (
            (self._words[place + 1 : high], above),
            (self._words[low:place][::-1], count - above),
        ):
            near = [other for other in side if other not in avoid][: 2 * count]
            for other in sorted(near, key=lambda other: bits("similar", salt, other)):
                if wanted and all(
                    other[:_STEM_LETTERS] != known[:_STEM_LETTERS] for known in found
                ):
                    found.append(other)
                    wanted -= 1
            if wanted:
                return None
        return tuple(found[1:])


@dataclass(frozen=True)
class Source:
    """What the examples of one split are made from.

    Attributes:
      split: name.
      documents: the split's own, held out from pre-training.
      read: sentences that a model may have been trained on; validation examples avoid them.
      pieces: number of tokens of a text, without eos.
      seed: of generated questions.
      words: of the pre-training text.
    """

    split: Split
    documents: Sequence[Document]
    read: Container[str] = field(repr=False)
    pieces: Callable[[str], int] = field(repr=False)
    seed: int = 0
    words: Words = field(default=Words([]), repr=False)

    def fresh(self, text: str) -> bool:
        """Whether no training text contains these words in this order."""
        return text not in self.read

    def cut(self, text: str, pieces: int) -> str:
        """The longest beginning of a text, in whole words, that has at most ``pieces`` tokens."""
        words: list[str] = []
        # Pieces never span white space, so the words' lengths add up.
        for word in text.split():
            pieces -= self.pieces(word)
            if pieces < 0:
                break
            words.append(word)
        return " ".join(words)


def sources(
    documents: Mapping[corpus.Split, Sequence[corpus.Document]], model: bytes
) -> dict[Split, Source]:
    """Sources of the training and of the validation examples.

    Args:
      documents: of every split of the corpus.
      model: a serialised SentencePiece vocabulary.
    """
    processor = vocabulary.processor(model)

    @functools.cache
    def pieces(text: str) -> int:
        return len(processor.encode(text))

    # Near-duplicates of documents fall into several splits: a summary of one may be read in
    # the body of another.
    read = Occurrences(
        document.text for document in itertools.chain(documents["train"], documents["suite_train"])
    )
    words = Words(document.text for document in documents["train"])
    train, validation = documents["suite_train"], documents["suite_validation"]
    return {
        "train": Source("train", train, frozenset(), pieces, SEED, words),
        "validation": Source("validation", validation, read, pieces, SEED, words),
    }


def bits(*parts: str) -> int:
    """SHA-256 of the parts as an integer, for choices that depend on nothing else."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest(), "big")


def halves(items: Iterable[Document], salt: str, count: int) -> tuple[list[Document], ...]:
    """Splits documents into two equally long lists, together at most ``count``, in digest order.

    The half of a document depends on its text alone; the longer half is cut.
    """
    split: tuple[list[Document], list[Document]] = ([], [])
    for item in sorted(items, key=lambda item: item.digest):
        split[bits(salt, item.digest) & 1].append(item)
    size = min(len(split[0]), len(split[1]), count // 2)
    return split[0][:size], split[1][:size]
