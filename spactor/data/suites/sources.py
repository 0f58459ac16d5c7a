"""The two sources of all examples: documents, what was read in training, and a vocabulary."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

from spactor.data import corpus, vocabulary
from spactor.data.occurrences import Occurrences
from spactor.data.suites.base import Source, Split

SEED = 0
"""Of generated questions in a prepared folder."""


def sources(
    documents: Mapping[corpus.Split, Sequence[corpus.Document]], model: bytes
) -> dict[Split, Source]:
    """What training and validation examples are made from.

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
