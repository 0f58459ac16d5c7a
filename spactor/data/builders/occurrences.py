"""An index of texts that tells whether a run of words occurs in any of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spactor.data.corpus import words_of

_END = 0  # Separates two texts; no word has this number.


class Occurrences:
    """Texts, searched for runs of words.

    Case, punctuation and white space make no difference.

    >>> read = Occurrences(["Return the value, or None.", "No more."])
    >>> "the value or none" in read, "none no" in read, "value the" in read
    (True, False, False)
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._numbers: dict[str, int] = {}
        stream = [_END]
        for text in texts:
            stream += [
                self._numbers.setdefault(word, len(self._numbers) + 1) for word in words_of(text)
            ]
            stream.append(_END)
        self._stream = np.array(stream, np.int32)
        # All places of word n: places[begins[n] : begins[n + 1]].
        self._places = np.argsort(self._stream, kind="stable").astype(np.int32)
        counts = np.bincount(self._stream, minlength=len(self._numbers) + 1)
        self._begins = np.concatenate([[0], np.cumsum(counts)])

    def __contains__(self, text: object) -> bool:
        """Whether a text's words follow each other in one of the texts; False without words."""
        numbers = [self._numbers.get(word, _END) for word in words_of(str(text))]
        if not numbers or _END in numbers:
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
