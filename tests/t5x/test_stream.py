"""The data stream of a T5X run, on a made-up task; T5X is not needed."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_t5x import assert_same_batches

from repro import step_lines
from spactor.data import host_tensorflow, tasks
from spactor.data.digest import batch_digest
from spactor.errors import UserError
from spactor.t5x import stream
from spactor.t5x.features import ChunkFeatureConverter, vocabulary_facts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TASK = "spactor_made_up"
LENGTH = 7
CHUNKS = 40


def register(name: str, examples: list[list[int]], vocabulary: Any, *features: str) -> None:
    """Registers a task of made-up tokens, whose lengths are known only when they are read."""
    seqio, tf = host_tensorflow.seqio(), host_tensorflow.tensorflow()

    def dataset(split: str, shuffle_files: bool, seed: int | None = None) -> Any:
        rows = tf.ragged.constant(examples, tf.int32)
        return tf.data.Dataset.from_tensor_slices({"targets": rows})

    tasks.replace_in_registry(seqio.TaskRegistry, name)
    feature = seqio.Feature(vocabulary, add_eos=False, required=False)
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(dataset, splits=("train",)),
        preprocessors=[],
        output_features=dict.fromkeys(features, feature),
        metric_fns=[],
    )


@pytest.fixture(scope="module", autouse=True)
def task(seqio_vocabulary) -> Iterator[None]:
    # Chunk c is c + 3 all along, so that a batch shows which chunks it holds.
    chunks = [[token] * LENGTH for token in range(3, CHUNKS + 3)]
    register(TASK, chunks, seqio_vocabulary, "targets")
    yield
    tasks.replace_in_registry(host_tensorflow.seqio().TaskRegistry, TASK)


CONVERTER = functools.partial(ChunkFeatureConverter, chunk_tokens=LENGTH, highest_id=410)


def settings(**changes: Any) -> SimpleNamespace:
    values = {
        "mixture_or_task_name": TASK,
        "module": None,
        "task_feature_lengths": {"targets": LENGTH},
        "split": "train",
        "batch_size": 8,
        "shuffle": True,
        "seed": 5,
        "use_cached": False,
        "pack": False,
        "use_custom_packing_ops": False,
        "trim_output_features": True,
    }
    return SimpleNamespace(**(values | changes))


def opened(
    home: Path,
    host: int = 0,
    hosts: int = 1,
    *,
    data_shards: int = 4,
    finetuning_from: int | None = None,
    log_period: int = 2,
    hardware_rng: bool = False,
    **changes: Any,
) -> stream.TrainStream:
    home.mkdir(parents=True, exist_ok=True)
    return stream.get_dataset(
        settings(**changes),
        host,
        hosts,
        CONVERTER,
        model_dir=str(home),
        data_shards=data_shards,
        finetuning_from=finetuning_from,
        log_period=log_period,
        hardware_rng=hardware_rng,
    )


def take(source: stream.TrainStream, count: int) -> list[dict[str, np.ndarray]]:
    return [next(source) for _ in range(count)]


@pytest.mark.parametrize("hosts", [2, 4])
def test_a_batch_does_not_depend_on_the_number_of_hosts(tmp_path: Path, hosts: int) -> None:
    whole = take(opened(tmp_path), 12)
    parts = [take(opened(tmp_path, host, hosts), 12) for host in range(hosts)]
    joined = [
        {name: np.concatenate([part[number][name] for part in parts]) for name in whole[0]}
        for number in range(12)
    ]
    assert_same_batches(joined, whole)
    for number, batch in enumerate(whole):
        np.testing.assert_array_equal(batch["step"], [number] * 8)
        np.testing.assert_array_equal(batch["row"], np.arange(8))
    # What T5X makes its arrays from.
    spec = opened(tmp_path, 1, hosts).element_spec
    assert {name: (one.shape, one.dtype) for name, one in spec.items()} == {
        name: (array.shape, array.dtype) for name, array in parts[1][0].items()
    }


def test_an_epoch_holds_every_chunk_once_and_the_seed_matters(tmp_path: Path) -> None:
    # 40 chunks are 5 batches of 8, and each of the 4 virtual shards has 10 of them. seqio shuffles
    # across the seam of two epochs, so epochs are seen apart without shuffling only.
    seen = np.concatenate([b["tokens"][:, 0] for b in take(opened(tmp_path, shuffle=False), 5)])
    np.testing.assert_array_equal(np.sort(seen), np.arange(3, CHUNKS + 3))
    first, second = take(opened(tmp_path), 5), take(opened(tmp_path, seed=6), 5)
    assert any((a["tokens"] != b["tokens"]).any() for a, b in zip(first, second, strict=True))


def checkpoint(home: Path, step: int) -> Path:
    folder = home / f"checkpoint_{step}.orbax-checkpoint-tmp-1" / "dataset"
    folder.mkdir(parents=True)
    return folder / "train_ds-000-of-001"


def finished(home: Path, step: int) -> str:
    (home / f"checkpoint_{step}.orbax-checkpoint-tmp-1").rename(home / f"checkpoint_{step}")
    return str(home / f"checkpoint_{step}" / "dataset" / "train_ds-000-of-001")


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("start", [0, 1000])
def test_a_stream_resumes_where_it_was_saved(tmp_path: Path, ahead: int, start: int) -> None:
    """``ahead``: T5X reads a first batch before it saves the initial checkpoint."""
    origin = start or None  # Fine-tuning's first checkpoint is at any step.
    whole = take(opened(tmp_path, finetuning_from=origin), 12)
    source = opened(tmp_path, finetuning_from=origin)
    take(source, ahead)
    source.save(checkpoint(tmp_path, start))
    again = opened(tmp_path, finetuning_from=origin)
    again.restore(finished(tmp_path, start))
    # T5X reads ahead once more, and saves no second initial checkpoint.
    assert_same_batches(take(again, 7), whole[:7])
    again.save(checkpoint(tmp_path, start + 7))
    third = opened(tmp_path, finetuning_from=origin)
    third.restore(finished(tmp_path, start + 7))
    assert_same_batches(take(third, 5), whole[7:])


def test_stage_2_reads_on_in_a_folder_of_its_own_and_in_a_bucket(bucket, tmp_path: Path) -> None:
    whole = take(opened(tmp_path), 6)
    first, second = (
        bucket / home / "checkpoint_2" / "dataset" / "train_ds-000-of-001" for home in "ab"
    )
    for path in (first, second):
        path.parent.mkdir(parents=True)
    source = opened(bucket / "a")
    assert_same_batches(take(source, 2), whole[:2])
    source.save(first)
    assert_same_batches(take(source, 4), whole[2:])
    child = opened(bucket / "b")
    child.restore(str(first))
    take(child, 1)  # T5X reads a batch before it saves.
    child.save(second)
    (bucket / "a" / "checkpoint_2").rmtree()
    again = opened(bucket / "b")
    again.restore(str(second))
    assert_same_batches(take(again, 4), whole[2:])
    lines = (tmp_path / step_lines.DIGESTS).read_text()
    assert (bucket / "a" / step_lines.DIGESTS).read_text() == lines
    index = second.parent / f"{second.name}.index"
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged"):
        opened(bucket / "b").restore(str(second))


def test_fine_tuning_ignores_the_stream_of_pre_training(tmp_path: Path) -> None:
    source = opened(tmp_path / "stage2")
    take(source, 4)
    source.save(checkpoint(tmp_path / "stage2", 4))
    path = finished(tmp_path / "stage2", 4)
    tuning = opened(tmp_path / "tuning", finetuning_from=4)
    tuning.restore(path)
    fresh = take(opened(tmp_path / "tuning", finetuning_from=4), 3)
    assert_same_batches(take(tuning, 3), fresh)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 6}, "read with seed 5 and this run has 6"),
        ({"batch_size": 16}, "batch_size 8 and this run has 16"),
        ({"data_shards": 2}, "data_shards 4 and this run has 2"),
        ({"hosts": 2}, "hosts 1 and this run has 2"),
    ],
)
def test_other_data_are_refused(tmp_path: Path, changes: dict[str, int], message: str) -> None:
    source = opened(tmp_path)
    source.save(checkpoint(tmp_path, 0))
    with pytest.raises(UserError, match=message):
        opened(tmp_path, **changes).restore(finished(tmp_path, 0))


def test_a_missing_or_misplaced_state_is_refused(tmp_path: Path) -> None:
    source = opened(tmp_path)
    take(source, 3)
    with pytest.raises(UserError, match="stream is at step 3 and the checkpoint at step 2"):
        source.save(checkpoint(tmp_path, 2))
    other = tmp_path / "checkpoint_9" / "dataset" / "process_1-of-2" / "train_ds-001-of-002"
    with pytest.raises(UserError, match="as many processes as wrote"):
        source.restore(str(other))


def test_a_damaged_state_never_reaches_tensorflow(tmp_path: Path) -> None:
    """TensorFlow checks nothing: some flipped bytes end the process."""
    source = opened(tmp_path)
    take(source, 1)
    source.save(checkpoint(tmp_path, 1))
    state = finished(tmp_path, 1)
    again = opened(tmp_path)
    for part in (".index", ".data-00000-of-00001"):
        path = Path(state + part)
        whole = path.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        for damaged in (flipped, whole[:-1], None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            with pytest.raises(UserError, match=r"damaged .*move its checkpoint away, and run ag"):
                again.restore(state)
        path.write_bytes(whole)
    again.restore(state)


def digests(home: Path) -> list[tuple[int, dict[str, str]]]:
    return [(line.step, line.read) for line in step_lines.read_digests(home / step_lines.DIGESTS)]


def test_batches_of_logged_steps_have_digests(tmp_path: Path) -> None:
    """An update that ends at step n reads batch n - 1; a batch read again is named again."""
    source = opened(tmp_path)
    whole = take(source, 4)
    source.save(checkpoint(tmp_path, 4))
    whole += take(source, 3)
    named = [(step, {"batch": batch_digest(whole[step - 1])}) for step in (2, 4, 6)]
    assert digests(tmp_path) == named
    again = opened(tmp_path)
    again.restore(finished(tmp_path, 4))
    take(again, 2)
    assert digests(tmp_path) == [*named, named[-1]]
    # Fine-tuning's steps continue those of pre-training.
    (batch,) = take(opened(tmp_path / "other", seed=6, finetuning_from=1000, log_period=1), 1)
    assert digests(tmp_path / "other") == [(1001, {"batch": batch_digest(batch)})]
    assert batch_digest(batch) != batch_digest({"tokens": whole[0]["tokens"]})


def test_unseeded_and_indivisible_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unseeded runs are refused"):
        opened(tmp_path, seed=None)
    with pytest.raises(UserError, match="USE_HARDWARE_RNG"):
        opened(tmp_path, hardware_rng=True)
    with pytest.raises(UserError, match="DATA_SHARDS 3"):
        opened(tmp_path, data_shards=3)
    with pytest.raises(UserError, match="DATA_SHARDS 4 must be a multiple of the 3 hosts"):
        opened(tmp_path, 0, 3)


def converted(pieces: list[list[int]], length: int = LENGTH, **changes: Any) -> list[Any]:
    tf = host_tensorflow.tensorflow()
    # Their lengths are only known when they are read.
    dataset = tf.data.Dataset.from_generator(
        lambda: [{"targets": piece} for piece in pieces],
        output_signature={"targets": tf.TensorSpec([None], tf.int32)},
    )
    converter = CONVERTER(**({"pack": False} | changes))
    found = converter(dataset, {"targets": length}).as_numpy_iterator()
    return [chunk["tokens"].tolist() for chunk in found]


def test_pieces_of_any_length_are_one_stream_of_tokens() -> None:
    tokens = list(range(3, 3 + 3 * LENGTH))
    chunks = [tokens[:7], tokens[7:14], tokens[14:]]
    assert converted(chunks) == chunks
    # A short one, an empty one, a document, and a rest that is too short for a chunk.
    assert converted([tokens[:5], [], tokens[5:20], tokens[20:], [9]]) == chunks


def test_tokens_are_checked() -> None:
    tf = host_tensorflow.tensorflow()
    whole = list(range(404, 411))
    for values, message in (
        ([*whole[:-1], 411], "not a piece of text"),
        ([*whole[:-1], 0], "padding"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            converted([values])
    with pytest.raises(ValueError, match="must be defined in the subclass if pack=True"):
        converted([whole], pack=True)
    with pytest.raises(UserError, match="chunks of 8 tokens"):
        CONVERTER(pack=False).get_model_feature_lengths({"targets": 8})


def test_a_task_of_ones_own_is_read_in_documents(seqio_vocabulary, tmp_path: Path) -> None:
    """Its short ends are carried over to the next document, also at the end of an epoch."""
    name = "spactor_documents"
    documents = [list(range(3, 3 + size)) for size in (5, 9, 1, 2)]
    register(name, documents, seqio_vocabulary, "targets")
    source = opened(
        tmp_path,
        mixture_or_task_name=name,
        shuffle=False,
        batch_size=2,
        data_shards=1,
        trim_output_features=False,
    )
    read = np.concatenate([batch["tokens"] for batch in take(source, 17)]).reshape(-1)
    # 17 batches of 14 tokens are 14 epochs of 17.
    np.testing.assert_array_equal(
        read, 14 * [token for document in documents for token in document]
    )
    register(name, documents, seqio_vocabulary, "inputs", "targets")
    with pytest.raises(UserError, match="has inputs and targets, and pre-training corrupts raw"):
        opened(tmp_path, mixture_or_task_name=name)
    tasks.replace_in_registry(host_tensorflow.seqio().TaskRegistry, name)


def test_sentinels_have_the_ids_that_t5_gives_them(seqio_vocabulary) -> None:
    facts = vocabulary_facts(seqio_vocabulary)
    # 411 pieces, 100 sentinels, [M].
    assert (facts.sentencepiece_size, facts.sentinel_id(0), facts.mask_token_id) == (411, 510, 511)
    with pytest.raises(UserError, match="0 sentinels"):
        vocabulary_facts(host_tensorflow.seqio().PassThroughVocabulary(511))
