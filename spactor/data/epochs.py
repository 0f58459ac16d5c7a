"""Examples that a step reads: a pure function of seed and step, without replacement.

NumPy promises that the raw stream of the Philox generator never changes, unlike its shuffles; so
the order of an old run can always be recomputed.
"""

from __future__ import annotations

import functools
import hashlib

import numpy as np

from spactor.errors import UserError


@functools.lru_cache(maxsize=8)
def permutation(count: int, seed: int, epoch: int, role: str) -> np.ndarray:
    """Order of the ``count`` examples in one epoch, int64[count], read-only.

    Args:
      seed: 0 to 2**64 - 1.
      role: purpose of the order; roles have independent orders.
    """
    tag = int.from_bytes(hashlib.sha256(role.encode()).digest()[:8], "little")
    key = np.array([seed, tag], np.uint64)
    counter = np.array([0, 0, 0, epoch], np.uint64)
    draws = np.random.Philox(key=key, counter=counter).random_raw(count)
    order = np.argsort(draws, kind="stable")
    order.setflags(write=False)
    return order


def batch_indices(count: int, *, seed: int, step: int, batch_size: int, role: str) -> np.ndarray:
    """Examples of step ``step``: int64[batch_size].

    Steps count from 0. Examples are numbered on from step to step; each run of ``count`` of
    them is one epoch, which holds every example once. A batch may span epochs.

    Raises:
      UserError: no examples, a negative step, or a seed that does not fit.

    >>> import numpy as np
    >>> two = [batch_indices(6, seed=0, step=s, batch_size=3, role="demo") for s in (0, 1)]
    >>> sorted(np.concatenate(two).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    if count < 1:
        raise UserError("there are no examples to draw from: prepare more data")
    if step < 0 or batch_size < 1:
        raise UserError(f"step {step} of {batch_size} examples: give step >= 0, batch_size >= 1")
    if not 0 <= seed < 2**64:
        raise UserError(f"seed {seed}: give a whole number from 0 to 2**64 - 1")
    numbers = np.arange(step * batch_size, (step + 1) * batch_size, dtype=np.int64)
    epochs, places = np.divmod(numbers, count)
    out = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        out[here] = permutation(count, seed, int(epoch), role)[places[here]]
    return out
