"""The seqio Task over the corpus serves the very chunks that the arrays hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spactor.data import arrays, host_tensorflow, tasks


@pytest.mark.parametrize(
    ("split", "chunk_tokens", "count"),
    [("validation", 17, None), ("validation", 64, None), ("train", 100, 50)],
)
def test_chunks_equal_the_arrays(
    prepared: Path, split: str, chunk_tokens: int, count: int | None
) -> None:
    task = host_tensorflow.seqio().get_mixture_or_task(tasks.register_docstrings(prepared))
    stream = getattr(arrays.load_arrays(prepared), split)
    count = count or len(stream) // chunk_tokens
    served = task.get_dataset(
        sequence_length={"targets": chunk_tokens}, split=split, shuffle=False
    ).take(count + 1 if split == "validation" else count)
    chunks = np.stack([example["targets"] for example in served.as_numpy_iterator()])
    assert chunks.dtype == np.int32
    expected = stream[: count * chunk_tokens].reshape(count, chunk_tokens)
    np.testing.assert_array_equal(chunks, expected)
