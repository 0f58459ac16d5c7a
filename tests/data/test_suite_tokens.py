"""Token ids written at preparation are those that seqio makes of the same examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_sources import each_suite

from spactor import npy
from spactor.data import epochs, host_tensorflow, manifest, suite_registry, suite_tokens, suites
from spactor.data.digest import batch_digest
from spactor.errors import UserError

ROWS = 300
"""Training examples of each task that are compared: hundreds of each kind, not thousands."""


@each_suite
def test_arrays_are_what_seqio_feeds_a_model(prepared: Path, suite: suites.Suite) -> None:
    """At a length to which some inputs are cut and others padded."""
    input_length = 48
    arrays = suite_tokens.load(prepared, suite.name, input_length=input_length)
    suite_registry.register_prepared(prepared, suite.name)
    seqio = host_tensorflow.seqio()

    def from_seqio(task: str, split: str) -> list[dict[str, np.ndarray]]:
        dataset = seqio.get_dataset(
            suite.registered_name(task),
            task_feature_lengths={"inputs": input_length, "targets": arrays.target_length},
            dataset_split=split,
            shuffle=False,
            num_epochs=1,
            feature_converter=seqio.EncDecFeatureConverter(pack=False),
            verbose=False,
        )
        rows = ROWS if split == "train" else -1  # All.
        return list(dataset.take(rows).as_numpy_iterator())

    # A task without examples in this small corpus, such as a package's, is nowhere.
    tokens = suite_tokens.read(prepared, suite.name)
    tasks, first = tokens.tasks, 0
    assert set(tasks) <= {task.name for task in suite.tasks} and tasks
    for task in tasks:
        lines = (prepared / manifest.examples_file(suite.name, task, "train")).read_bytes()
        count = lines.count(b"\n")
        rows = from_seqio(task, "train")
        assert len(rows) == min(count, ROWS)
        for name, padded in arrays.training(np.arange(first, first + len(rows))).items():
            np.testing.assert_array_equal(padded, [row[name] for row in rows])
        first += count
    assert first == len(arrays)
    assert {*arrays.validation_inputs, *arrays.ranked} == {*tasks}
    for task, inputs in arrays.validation_inputs.items():
        rows = [row["encoder_input_tokens"] for row in from_seqio(task, "validation")]
        np.testing.assert_array_equal(inputs, rows)
    for task, items in arrays.ranked.items():
        pairs = [(row, n) for n, count in enumerate(items.counts) for row in range(count)]
        every = from_seqio(task, "validation")
        assert len(every) == len(pairs)
        for row, (choice, item) in zip(every, pairs, strict=True):
            np.testing.assert_array_equal(row["encoder_input_tokens"], items.inputs[item])
            of_row, ours = row["decoder_target_tokens"], items.targets[item, choice]
            assert of_row[of_row > 0].tolist() == ours[ours > 0].tolist()


def test_batches_are_rows_of_the_whole_suite(prepared: Path) -> None:
    arrays = suite_tokens.load(prepared, "glue", input_length=48)
    size = 64
    # The last of these steps reads on into the next epoch, so all tasks have their turn.
    for step in (0, 1, len(arrays) // size):
        batch = suite_tokens.train_batch(arrays, seed=3, step=step, batch_size=size)
        rows = epochs.batch_indices(
            len(arrays), seed=3, step=step, batch_size=size, role="finetuning"
        )
        expected = arrays.training(rows)
        assert batch_digest(batch) == batch_digest(expected) and list(batch) == list(expected)
        assert {array.dtype for array in batch.values()} == {np.dtype(np.int32)}


def test_training_rows_stay_in_the_file(prepared: Path) -> None:
    tokens = suite_tokens.load(prepared, "glue", input_length=48).tokens.tokens
    assert isinstance(tokens, np.memmap) and not tokens.flags.writeable


@pytest.mark.parametrize(
    ("tokens", "offsets", "index", "fault"),
    [
        ([3, 4, 5], [0, 1, 4], None, "don't span the tokens"),
        ([3, 4, 5], [0, 4, 3], None, "don't rise"),
        ([3.5, 4, 5], [0, 1, 3], None, "lists of integers"),
        ([[3, 4, 5]], [0, 1, 3], None, "lists of integers"),
        ([3, 4, 5], [0, 1, 3], {"target_length": 0, "parts": []}, "target_length is 0"),
        ([3, 4, 5], [0, 1, 3], {"target_length": 7, "parts": []}, "0 rows of 2"),
        (
            [3, 4, 5],
            [0, 1, 3],
            {"target_length": 7, "parts": [["order", "train", "inputs", 3]]},
            "order, train, inputs: 3 rows",
        ),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(
    tokens: object, offsets: object, index: object, fault: str
) -> None:
    whole = {"target_length": 7, "parts": [["order", "train", "inputs", 2]]}
    found = suite_tokens._suite_tokens(np.array([3, 4, 5]), np.array([0, 1, 3]), whole)
    rows = found.rows["order", "train", "inputs"]
    assert found.padded(rows, 3).tolist() == [[3, 1, 0], [4, 5, 1]]
    with pytest.raises(ValueError, match=fault):
        suite_tokens._suite_tokens(np.array(tokens), np.array(offsets), index or whole)


def test_an_array_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    npy.write(path, np.arange(5))
    np.testing.assert_array_equal(npy.read(path), np.arange(5), strict=True)
    # More numbers announced than there are.
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(5,)", b"(9,)"))
    with pytest.raises(ValueError, match="not a readable"):
        npy.read(path)
    # An archive, which np.load would open.
    with path.open("wb") as file:
        np.savez(file, a=np.arange(5))
    with pytest.raises(ValueError, match="an archive of arrays"):
        npy.read(path)


def test_padding_by_hand() -> None:
    rows = suite_tokens.SuiteTokens(
        2, np.array([7, 8, 9, 5], np.uint16), np.array([0, 3, 3, 4]), {}
    )
    # Cut to one less than the length, eos behind; an empty row is eos alone.
    assert rows.padded([0, 1, 2], 3).tolist() == [[7, 8, 1], [1, 0, 0], [5, 1, 0]]
    assert rows.padded([0, 1], 5).tolist() == [[7, 8, 9, 1, 0], [1, 0, 0, 0, 0]]
    assert rows.padded([0], 3).dtype == np.int32
    assert rows.padded(np.array([2, 0, 2]), 3).tolist() == [[5, 1, 0], [7, 8, 1], [5, 1, 0]]


def test_token_ids_are_part_of_the_prepared_content(prepared: Path) -> None:
    files = set(manifest.read(prepared)["files"])
    assert all(files.issuperset(suite_tokens.files_of(name)) for name in suites.EMBEDDED)


def test_a_suite_that_is_not_there(prepared: Path) -> None:
    with pytest.raises(UserError, match="holds no examples of suite 'glu'"):
        suite_tokens.read(prepared, "glu")
