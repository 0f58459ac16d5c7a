"""The seqio Task over the corpus serves the very chunks that the arrays hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spactor.data import arrays, host_tensorflow, tasks


@pytest.mark.parametrize("chunk_tokens", [17, 64])
def test_chunks_equal_the_arrays(prepared: Path, chunk_tokens: int) -> None:
    task = host_tensorflow.seqio().get_mixture_or_task(tasks.register_docstrings(prepared))
    data = arrays.load_arrays(prepared)
    count = len(data.validation) // chunk_tokens
    served = task.get_dataset(
        sequence_length={"targets": chunk_tokens}, split="validation", shuffle=False
    )
    chunks = np.stack([example["targets"] for example in served.as_numpy_iterator()])
    expected = arrays.validation_chunks(data, count=count, chunk_tokens=chunk_tokens)
    assert chunks.dtype == np.int32
    np.testing.assert_array_equal(chunks, expected)


def test_the_training_split_starts_alike(prepared: Path) -> None:
    task = host_tensorflow.seqio().get_mixture_or_task(tasks.register_docstrings(prepared))
    data = arrays.load_arrays(prepared)
    served = task.get_dataset(sequence_length={"targets": 100}, split="train", shuffle=False)
    chunks = np.stack([e["targets"] for e in served.take(50).as_numpy_iterator()])
    np.testing.assert_array_equal(chunks, data.train[:5000].reshape(50, 100))
