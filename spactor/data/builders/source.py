"""What examples are made from: held-out documents, the texts that were trained on, a vocabulary."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from spactor.data import corpus, vocabulary
from spactor.data.builders.occurrences import Occurrences
from spactor.data.corpus import Document
from spactor.data.suites import Split

INPUT_PIECES = 63
"""Pieces of a whole prompt: 64 encoder positions less eos, the fewest that any profile has."""

SEED = 0
"""Seed of the generated questions in a prepared folder."""


@dataclass(frozen=True)
class Source:
    """What the examples of one split are made from.

    Attributes:
      split: name.
      documents: the split's own, held out from pre-training.
      read: sentences that a model may have been trained on; validation examples avoid them.
      pieces: number of tokens of a text, without eos.
      seed: of generated questions.
    """

    split: Split
    documents: Sequence[Document]
    read: Container[str] = field(repr=False)
    pieces: Callable[[str], int] = field(repr=False)
    seed: int = 0

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
    return {
        "train": Source("train", documents["suite_train"], frozenset(), pieces, SEED),
        "validation": Source("validation", documents["suite_validation"], read, pieces, SEED),
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
