"""The feature converter of T5X's pre-training: any raw tokens to full chunks, without padding."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from spactor.config import NUM_SENTINELS
from spactor.data import host_tensorflow
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError

host_tensorflow.seqio()  # Keeps TensorFlow off accelerators before it is imported by name.
import seqio  # noqa: E402
import tensorflow as tf  # noqa: E402


def vocabulary_facts(vocabulary: Any) -> VocabularyFacts:
    """Returns the ids of a seqio vocabulary's sentinels, and of [M] above them.

    Raises:
      UserError: the vocabulary has fewer extra ids than T5's 100 sentinels.
    """
    extra = vocabulary.extra_ids
    if extra < NUM_SENTINELS:
        raise UserError(
            f"the vocabulary has {extra} sentinels and T5's has {NUM_SENTINELS}: make it with "
            f"extra_ids = {NUM_SENTINELS}"
        )
    return VocabularyFacts.of_pieces(vocabulary.vocab_size - extra, extra)


def vocabulary_name(vocabulary: Any) -> str:
    """Returns an identifier of a vocabulary: its size and a digest of its pieces."""
    pieces = getattr(vocabulary, "sp_model", None)
    digest = type(vocabulary).__name__ if pieces is None else hashlib.sha256(pieces).hexdigest()
    return f"{vocabulary.vocab_size}-{digest[:12]}"


class ChunkFeatureConverter(seqio.FeatureConverter):
    """``{"targets": int32[any]}`` to ``{"tokens": int32[N]}``.

    All pieces of a task, whole documents or chunks, are one stream of tokens, which is cut every N
    tokens. What a short last chunk lacks comes from the next piece; chunks of N tokens stay as they
    are. T5X repeats a split, in validation too, so its end is joined to its beginning.

    Args:
      chunk_tokens: N.
      highest_id: of a piece of text; sentinels and [M] are above it.
      others: seqio's arguments; it refuses ``pack``, which chunks don't need.

    Raises:
      UserError: the feature length is not N.
      tf.errors.InvalidArgumentError: while reading, an id is padding or not text;
        `stream.TrainStream` raises it as a UserError.
    """

    TASK_FEATURES = {"targets": seqio.FeatureConverter.FeatureSpec(dtype=tf.int32)}  # noqa: RUF012
    MODEL_FEATURES = {"tokens": seqio.FeatureConverter.FeatureSpec(dtype=tf.int32)}  # noqa: RUF012
    PACKING_FEATURE_DTYPES = None

    def __init__(self, *, chunk_tokens: int, highest_id: int, **others: Any) -> None:
        # Documents may be longer than a chunk.
        super().__init__(**(others | {"apply_length_check": False}))
        self._chunk_tokens = chunk_tokens
        self._highest_id = highest_id

    def _convert_features(self, ds: Any, task_feature_lengths: Mapping[str, int]) -> Any:
        length = self.get_model_feature_lengths(task_feature_lengths)["tokens"]

        def checked(features: Mapping[str, Any]) -> Any:
            tokens = features["targets"]
            tf.debugging.assert_positive(tokens, "a text with padding in it")
            tf.debugging.assert_less_equal(
                tokens, self._highest_id, "a text with an id that is not a piece of text"
            )
            return tokens

        stream = ds.map(checked, num_parallel_calls=tf.data.AUTOTUNE)
        chunks = stream.rebatch(length, drop_remainder=True)
        return chunks.map(lambda tokens: {"tokens": tf.ensure_shape(tokens, [length])})

    def get_model_feature_lengths(self, task_feature_lengths: Mapping[str, int]) -> dict[str, int]:
        """Returns the lengths of the model's features; refuses any but N."""
        given = task_feature_lengths["targets"]
        if given != self._chunk_tokens:
            raise UserError(
                f"TASK_FEATURE_LENGTHS sets chunks of {given} tokens, and this model corrupts "
                f"chunks of {self._chunk_tokens}: set it to that"
            )
        return {"tokens": given}
