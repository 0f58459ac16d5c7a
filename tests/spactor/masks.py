"""Conversion between spans and T5's noise masks."""

from __future__ import annotations

import jax
import numpy as np

from spactor import corruption
from spactor.config import CorruptionLengths

_SPANS = jax.jit(jax.vmap(corruption.random_spans, in_axes=(0, None)), static_argnums=1)


def random_masks(keys: jax.Array, lengths: CorruptionLengths) -> np.ndarray:
    """A noise mask for each key: bool ``[rows, N]``."""
    return np.stack([mask_of(*spans) for spans in zip(*_SPANS(keys, lengths), strict=True)])


def mask_of(text: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Noise mask ``[N]`` of alternating spans, text first."""
    alternating = np.stack([np.asarray(text), np.asarray(noise)], axis=1).ravel()
    return np.repeat(np.arange(len(alternating)) % 2 == 1, alternating)


def spans_of(mask: np.ndarray, tail: int = 0, spans: int = 0) -> corruption.Spans:
    """Spans of a mask that begins with text and ends with noise.

    With ``spans``, more of them follow: one of ``tail`` text tokens, then empty ones.
    """
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    lengths = np.diff(edges, prepend=0).reshape(-1, 2).T.astype(np.int32)
    more = np.zeros((2, max(spans - lengths.shape[1], 0)), np.int32)
    more[0, :1] = tail
    return corruption.Spans(*np.concatenate([lengths, more], axis=1))
