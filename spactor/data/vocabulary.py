"""A SentencePiece vocabulary with T5's conventions, trained on the training split.

    ids    0 pad · 1 eos · 2 unk · 3 … P-1 pieces │ P … P+99 sentinels │ P+100 [M] │ padding
    P = 3995                                       <extra_id_99> … _0     4095       4096

Sentinels have the ids of ``seqio.SentencePieceVocabulary(extra_ids=100)``. This module imports
NumPy and the standard library alone; functions import SentencePiece and TensorFlow.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spactor.config import NUM_SENTINELS
from spactor.data import host_tensorflow, manifest
from spactor.errors import UserError

PAD_ID = 0
EOS_ID = 1
UNK_ID = 2

TRAINING_CHARACTERS = 5_000_000
"""Characters of the training split that the vocabulary is trained on."""

# The library's result depends on the number of threads (partial sums are added in a fixed
# order per thread), not on their timing; a constant makes it the same on every machine.
_THREADS = 2
_LINE_BYTES = 4000
_BATCH = 1024


@dataclass(frozen=True)
class VocabularyFacts:
    """The numbers of a vocabulary that the method needs.

    Attributes:
      sentencepiece_size: P, pieces of the model, pad, eos and unk among them.
      extra_ids: number of sentinels, after the pieces.
      mask_token_id: [M], the id after the last sentinel.
      padded_size: rows of the embedding; the next multiple of 128.

    >>> facts = VocabularyFacts.of_pieces(32_000)
    >>> facts.mask_token_id, facts.padded_size, facts.sentinel_id(0), facts.sentinel_id(99)
    (32100, 32128, 32099, 32000)
    """

    sentencepiece_size: int
    extra_ids: int
    mask_token_id: int
    padded_size: int

    @classmethod
    def of_pieces(cls, sentencepiece_size: int, extra_ids: int = NUM_SENTINELS) -> VocabularyFacts:
        """Places sentinels and [M] after ``sentencepiece_size`` pieces."""
        mask = sentencepiece_size + extra_ids
        return cls(sentencepiece_size, extra_ids, mask, -(-(mask + 1) // 128) * 128)

    @property
    def dtype(self) -> np.dtype:
        """The smallest type that holds every id: uint16, or int32."""
        return np.dtype(np.uint16 if self.padded_size <= 2**16 else np.int32)

    def sentinel_id(self, index: int) -> int:
        """Id of ``<extra_id_index>``.

        Raises:
          UserError: there is no such sentinel.
        """
        if not 0 <= index < self.extra_ids:
            raise UserError(f"sentinel {index}: this vocabulary has 0 to {self.extra_ids - 1}")
        return self.sentencepiece_size + self.extra_ids - 1 - index


def require(facts: VocabularyFacts, *, vocab_size: int, noise_spans: int) -> None:
    """Checks that a model and its corruption fit a vocabulary.

    Args:
      facts: of the prepared data.
      vocab_size: rows of the model's embedding.
      noise_spans: spans masked per example, each of which takes a sentinel.

    Raises:
      UserError: too few sentinels, an id without a row, or another padded size.
    """
    if noise_spans > facts.extra_ids:
        raise UserError(
            f"an example needs {noise_spans} sentinels and the vocabulary has {facts.extra_ids}: "
            "shorten the input or use a vocabulary with more extra ids"
        )
    if facts.mask_token_id >= vocab_size:
        raise UserError(
            f"[M] needs id {facts.mask_token_id} and model.vocab_size is {vocab_size}: set it to "
            f"{facts.padded_size}, or use a vocabulary of at most {pieces_for(vocab_size)} pieces"
        )
    if vocab_size != facts.padded_size:
        raise UserError(
            f"model.vocab_size is {vocab_size} and the prepared vocabulary has "
            f"{facts.padded_size} rows: set both to one value, or prepare the data again"
        )


def pieces_for(vocab_size: int) -> int:
    """Pieces that fill ``vocab_size`` rows beside the sentinels and [M].

    >>> pieces_for(4096)
    3995
    """
    return vocab_size - NUM_SENTINELS - 1


def _sample(texts: Iterable[str], characters: int) -> Iterator[str]:
    taken = 0
    for text in texts:
        for line in text.splitlines():
            line = line.strip()
            if not line:
                continue
            # SentencePiece skips longer lines, so they are cut.
            line = line.encode()[:_LINE_BYTES].decode(errors="ignore")
            taken += len(line)
            yield line
        if taken >= characters:
            return


def train(texts: Iterable[str], vocab_size: int, characters: int = TRAINING_CHARACTERS) -> bytes:
    """Trains a unigram model on the lines of the first texts, as a serialised model.

    Args:
      texts: documents of the training split, in their shuffled order.
      vocab_size: rows of the embedding the vocabulary must fill.
      characters: how much of the text to read; the order of ``texts`` is the sample.

    Raises:
      UserError: the text holds too few distinct pieces for ``vocab_size``.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_sample(texts, characters),
            model_writer=model,
            model_type="unigram",
            vocab_size=pieces_for(vocab_size),
            character_coverage=0.9995,
            pad_id=PAD_ID,
            eos_id=EOS_ID,
            unk_id=UNK_ID,
            bos_id=-1,
            input_sentence_size=0,
            shuffle_input_sentence=False,
            num_threads=_THREADS,
            minloglevel=2,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"no vocabulary of {vocab_size} could be trained on this text: give another "
            f"data.vocab_size ({' '.join(str(error).split())})"
        ) from error
    return model.getvalue()


def encode(model: bytes, texts: Sequence[str], facts: VocabularyFacts) -> np.ndarray:
    """Texts as one stream without eos: T5's convention for pre-training.

    The tokenizer is TensorFlow's, as in seqio's datasets: where two segmentations are equally
    likely ("www" as "ww w" or "w ww") the Python library may choose the other one.

    Args:
      model: a serialised model, as `train` returns it.
      texts: documents, each encoded by itself.
      facts: of the vocabulary.

    Returns:
      Ids of pieces, uint16 [tokens] (int32 where 16 bits are too few).

    Raises:
      UserError: the ``train`` extra is not installed.
    """
    tf, tf_text = host_tensorflow.tensorflow(), host_tensorflow.tensorflow_text()
    tokenizer = tf_text.SentencepieceTokenizer(model=model)
    parts = [np.zeros(0, facts.dtype)]
    for start in range(0, len(texts), _BATCH):
        ids = tokenizer.tokenize(tf.constant(texts[start : start + _BATCH]))
        parts.append(ids.flat_values.numpy().astype(facts.dtype))
    return np.concatenate(parts)


def processor(model: bytes) -> Any:
    """SentencePiece's reader of a serialised model.

    Raises:
      UserError: it is not a SentencePiece model.
    """
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError:
        raise UserError(
            "the vocabulary is no SentencePiece model: give the file the model was trained with"
        ) from None


def piece_names(model: bytes, facts: VocabularyFacts, ids: Sequence[int]) -> list[str]:
    """Readable names of ids: pieces as SentencePiece writes them, [S0] …, [M], [eos].

    Args:
      model: a serialised model, as `train` returns it.
      facts: of the vocabulary.
      ids: of pieces, sentinels, [M], eos or pad.
    """
    reader = processor(model)
    named = {EOS_ID: "[eos]", PAD_ID: "[pad]", facts.mask_token_id: "[M]"}
    named |= {facts.sentinel_id(index): f"[S{index}]" for index in range(facts.extra_ids)}
    if wrong := [int(i) for i in ids if int(i) not in named and not 0 <= i < len(reader)]:
        raise UserError(
            f"the vocabulary has {len(reader)} pieces and none of id {wrong[0]}: give the file the "
            "model was trained with"
        )
    return [named.get(int(i)) or reader.id_to_piece(int(i)) for i in ids]


def seqio_vocabulary(folder: Path) -> Any:
    """A prepared folder's vocabulary as ``seqio.SentencePieceVocabulary``, sentinels included.

    Raises:
      UserError: the ``train`` extra is not installed.
    """
    return host_tensorflow.seqio().SentencePieceVocabulary(
        str(folder / manifest.VOCABULARY_FILE), extra_ids=NUM_SENTINELS
    )
