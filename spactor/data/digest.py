"""Digests that identify batches in logs, errors and `repro verify`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

_DIGITS = 16


def batch_digest(batch: np.ndarray | Mapping[str, np.ndarray]) -> str:
    """First 16 hexadecimal digits of SHA-256 over a batch's names, types, shapes and values.

    Args:
      batch: an array, or arrays by feature; their order does not count.

    >>> tokens = np.arange(6, dtype=np.int32).reshape(2, 3)
    >>> batch_digest(tokens)
    '47107671c42c1643'
    >>> batch_digest(tokens) == batch_digest(tokens.reshape(3, 2))
    False
    """
    features = batch if isinstance(batch, Mapping) else {"": batch}
    digest = hashlib.sha256()
    for name, values in sorted(features.items()):
        array = np.asarray(values)
        # Little-endian, so that every machine agrees.
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:_DIGITS]
