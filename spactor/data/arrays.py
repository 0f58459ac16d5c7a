"""Prepared tokens as NumPy arrays, and the batches a step reads from them.

Only NumPy is imported, so pre-training needs neither TensorFlow nor seqio. The token stream does
not depend on the chunk length: chunk i of length N is ``stream[i*N:(i+1)*N]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spactor import npy
from spactor.data import epochs, manifest, suite_tokens
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError
from spactor.ranking import Items

_FILES = (manifest.tokens_file("train"), manifest.tokens_file("validation"))


@dataclass(frozen=True)
class TokenArrays:
    """A prepared corpus.

    Attributes:
      train, validation: token streams, uint16 or int32 [tokens], memory-mapped.
      vocabulary: ids of pieces, sentinels and [M].
      fingerprint: SHA-256 that names the content of the prepared folder.
      unigram_entropy_nats: entropy per token of the training tokens' frequencies; the loss
        of the best model that ignores context.
      most_frequent_token_rate: share of the commonest training token; the accuracy of the
        best guess that ignores context.
      cloze: items of the zero-shot cloze; None where the folder has none.
    """

    train: np.ndarray
    validation: np.ndarray
    vocabulary: VocabularyFacts
    fingerprint: str
    unigram_entropy_nats: float
    most_frequent_token_rate: float
    cloze: Items | None = None


def load_arrays(folder: Path) -> TokenArrays:
    """Opens a prepared folder and checks the token files against its manifest.

    Raises:
      UserError: the folder is missing, damaged, or of another format.
    """
    facts = manifest.require(folder, *_FILES)
    try:
        streams = [npy.read(folder / name) for name in _FILES]
        if any(stream.ndim != 1 or stream.dtype.kind not in "iu" for stream in streams):
            raise ValueError("not a stream of tokens")
        return TokenArrays(
            train=streams[0],
            validation=streams[1],
            vocabulary=VocabularyFacts(**facts["vocabulary"]),
            fingerprint=facts["fingerprint"],
            unigram_entropy_nats=float(facts["unigram_entropy_nats"]),
            most_frequent_token_rate=float(facts["most_frequent_token_rate"]),
            cloze=suite_tokens.cloze_items(folder),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: the prepared data cannot be read; run 'repro prepare' to build it again"
        ) from error


def _chunks(stream: np.ndarray, chunk_tokens: int, what: str) -> np.ndarray:
    if chunk_tokens < 1:
        raise UserError(f"chunks of {chunk_tokens} tokens: give at least 1")
    count = len(stream) // chunk_tokens
    if not count:
        raise UserError(
            f"the {what} split has {len(stream)} tokens, fewer than one chunk of {chunk_tokens}: "
            'use data.packages = "all" or shorter chunks'
        )
    return stream[: count * chunk_tokens].reshape(count, chunk_tokens)


def train_batch(
    arrays: TokenArrays, *, seed: int, step: int, batch_size: int, chunk_tokens: int
) -> np.ndarray:
    """Chunks of training step ``step``, a pure function of the arguments.

    Every chunk of N tokens is read once per epoch, in an order that seed and epoch decide.
    So branches of a run read the same data at the same step.

    Args:
      seed: of the run; 0 to 2**64 - 1.
      step: counted from 0.
      batch_size: B; may exceed the number of chunks.
      chunk_tokens: N.

    Returns:
      int32[B, N].

    Raises:
      UserError: the split is shorter than one chunk, or an argument is out of range.
    """
    chunks = _chunks(arrays.train, chunk_tokens, "training")
    rows = epochs.batch_indices(
        len(chunks), seed=seed, step=step, batch_size=batch_size, role="pretraining"
    )
    return chunks[rows].astype(np.int32)


def validation_chunks(arrays: TokenArrays, *, count: int, chunk_tokens: int) -> np.ndarray:
    """The first ``count`` chunks of the validation split, int32[count, N]; always the same.

    Documents are shuffled, so the first chunks are a fair sample.

    Raises:
      UserError: the split holds fewer chunks.
    """
    chunks = _chunks(arrays.validation, chunk_tokens, "validation")
    if not 1 <= count <= len(chunks):
        raise UserError(
            f"{count} validation chunks of {chunk_tokens} tokens: the prepared data has "
            f"{len(chunks)}; ask for 1 to {len(chunks)}"
        )
    return chunks[:count].astype(np.int32)
