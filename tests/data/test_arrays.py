"""Batches are pure functions of their arguments, without TensorFlow anywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spactor.data import arrays, epochs, manifest
from spactor.data.arrays import TokenArrays
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError


def counting(tokens: int) -> TokenArrays:
    stream = np.arange(tokens, dtype=np.uint16)
    return TokenArrays(stream, stream, VocabularyFacts.of_pieces(411), "0" * 64, 1.0, 0.5)


def test_an_epoch_reads_every_chunk_once_whole_and_in_another_order() -> None:
    data = counting(23)
    first, second = (
        arrays.train_batch(data, seed=1, step=step, batch_size=5, chunk_tokens=4) for step in (0, 1)
    )
    assert first.dtype == np.int32 and first.shape == (5, 4)
    assert sorted(first.tolist()) == [[i, i + 1, i + 2, i + 3] for i in range(0, 20, 4)]
    assert sorted(second.tolist()) == sorted(first.tolist())
    assert second.tolist() != first.tolist()


@given(
    count=st.integers(1, 30),
    size=st.integers(1, 70),
    step=st.integers(0, 10),
    seed=st.integers(0, 2**64 - 1),
)
def test_batches_are_slices_of_one_endless_order(
    count: int, size: int, step: int, seed: int
) -> None:
    def draw(step: int, size: int) -> list[int]:
        return epochs.batch_indices(count, seed=seed, step=step, batch_size=size, role="r").tolist()

    stop = (step + 1) * size
    endless = draw(0, stop)
    assert draw(step, size) == endless[step * size : stop]
    for start in range(0, stop - count + 1, count):
        assert sorted(endless[start : start + count]) == list(range(count))


def test_seed_epoch_and_role_matter_and_nothing_else_does() -> None:
    def order(**changes: object) -> list[int]:
        return epochs.permutation(
            **{"count": 50, "seed": 3, "epoch": 0, "role": "a"} | changes
        ).tolist()

    state = np.random.get_state()[1].tolist()
    orders = [order(), order(seed=4), order(epoch=1), order(role="b")]
    epochs.permutation.cache_clear()
    assert order() == orders[0]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))
    assert np.random.get_state()[1].tolist() == state


def test_the_order_is_fixed_for_good() -> None:
    # Made with numpy 2.4.6; the raw Philox stream is one that NumPy promises to keep.
    assert epochs.permutation(8, 0, 0, "pretraining").tolist() == [5, 0, 4, 2, 1, 6, 7, 3]


def test_first_places_are_uniform_over_seeds() -> None:
    firsts = [int(epochs.permutation(4, seed, 0, "r")[0]) for seed in range(400)]
    # Chi-square with 3 degrees of freedom: above 21.1 with probability 1e-4.
    counts = np.bincount(firsts, minlength=4)
    assert ((counts - 100) ** 2 / 100).sum() < 21.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed -1: give a whole number"),
        ({"step": -1}, "give step >= 0"),
        ({"batch_size": 0}, "give step >= 0, batch_size >= 1"),
        ({"chunk_tokens": 24}, "has 23 tokens, fewer than one chunk of 24"),
        ({"chunk_tokens": 0}, "chunks of 0 tokens"),
    ],
)
def test_bad_arguments(changes: dict[str, int], message: str) -> None:
    wanted = {"seed": 0, "step": 0, "batch_size": 2, "chunk_tokens": 4} | changes
    with pytest.raises(UserError, match=message):
        arrays.train_batch(counting(23), **wanted)


def test_validation_chunks_are_the_first_ones() -> None:
    chunks = arrays.validation_chunks(counting(23), count=2, chunk_tokens=4)
    assert chunks.dtype == np.int32 and chunks.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(UserError, match="has 5; ask for 1 to 5"):
        arrays.validation_chunks(counting(23), count=6, chunk_tokens=4)


def test_loading_neither_copies_nor_changes_anything(prepared: Path) -> None:
    data = arrays.load_arrays(prepared)
    facts = manifest.read(prepared)
    assert isinstance(data.train, np.memmap) and not data.train.flags.writeable
    assert {"train": len(data.train), "validation": len(data.validation)} == facts["tokens"]
    assert data.fingerprint == facts["fingerprint"]
    assert int(data.train.max()) < data.vocabulary.sentencepiece_size
    assert not np.isin(data.train, [0, 1]).any()
    shares = np.bincount(data.train) / len(data.train)
    assert data.most_frequent_token_rate == pytest.approx(shares.max(), abs=1e-6)
    entropy = -sum(p * np.log(p) for p in shares if p > 0)
    assert data.unigram_entropy_nats == pytest.approx(entropy, abs=1e-6)


def test_a_damaged_folder_is_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read .*run 'repro prepare'"):
        arrays.load_arrays(tmp_path)
    folder = shutil.copytree(prepared, tmp_path / "copy")
    tokens = folder / manifest.tokens_file("train")
    tokens.write_bytes(tokens.read_bytes()[:-2])
    with pytest.raises(UserError, match=r"tokens_train.npy has changed .*run 'repro prepare'"):
        arrays.load_arrays(folder)
    facts = json.loads((folder / manifest.FILE_NAME).read_text())
    (folder / manifest.FILE_NAME).write_text(json.dumps(facts | {"unigram_entropy_nats": 1.0}))
    with pytest.raises(UserError, match="changed since it was written"):
        arrays.load_arrays(folder)
    (folder / manifest.FILE_NAME).write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        arrays.load_arrays(folder)
