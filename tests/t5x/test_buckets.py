"""T5X's runs with every folder in a bucket: addresses, and files that can't be sought in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_c4
import pytest
from etils import epath
from tiny_t5x import assert_same_batches

from spactor.data import host_tensorflow
from spactor.errors import UserError
from spactor.t5x import checkpoint, tasks

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def copied(folder: Path, bucket: epath.Path) -> str:
    """Copies a folder into a bucket and returns its address."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            target = bucket / path.relative_to(folder).as_posix()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return str(bucket)


def rows(name: str, split: str, lengths: dict[str, int]) -> list[dict[str, Any]]:
    found = host_tensorflow.seqio().get_mixture_or_task(name)
    dataset = found.get_dataset(lengths, split=split, shuffle=False, num_epochs=1)
    return list(dataset.take(20).as_numpy_iterator())


def test_prepared_text_suites_and_vocabulary_are_read_from_a_bucket(data: Path, bucket) -> None:
    address = copied(data, bucket)
    assert address.startswith("ram://bucket/")
    for read, lengths in (
        (tasks.embedded, {"targets": 70}),
        (lambda folder: tasks.embedded_suite(folder, "glue"), {"inputs": 64, "targets": 8}),
    ):
        here, there = (rows(read(str(at)), "train", lengths) for at in (data, address))
        assert_same_batches(here, there)
    theirs = tasks.embedded_vocabulary(address)
    assert theirs.sp_model == tasks.embedded_vocabulary(str(data)).sp_model
    with pytest.raises(UserError, match=r"^ram://bucket/.*manifest.json: cannot be read"):
        tasks.embedded(f"{address}/nowhere")


@pytest.mark.slow
def test_c4_and_a_benchmark_are_read_from_a_bucket(
    tmp_path: Path, data: Path, bucket: epath.Path
) -> None:
    vocabulary = tasks.embedded_vocabulary(str(data))
    made_c4.write_tfds(tmp_path)
    made_c4.write_mmlu(tmp_path)
    made_c4.write_instructions(tmp_path)
    address = copied(tmp_path, bucket)
    for read, lengths in (
        (lambda folder: tasks.c4("3.0.1", vocabulary, folder), {"targets": 70}),
        (
            lambda folder: tasks.benchmark(folder, "mmlu", vocabulary),
            {"inputs": 64, "targets": 8},
        ),
    ):
        here, there = (rows(read(at), "validation", lengths) for at in (str(tmp_path), address))
        assert_same_batches(here, there)


def test_instructions_are_read_from_a_bucket(bucket, seqio_vocabulary) -> None:
    lines = [json.dumps({"inputs": f"Is {i} even?", "targets": "no"}) for i in range(1, 17, 2)]
    (bucket / "flan").mkdir()
    (bucket / "flan" / "some.jsonl").write_text("\n".join(lines))
    from spactor.data.readers import instructions
    from spactor.data.suites import suite_named

    suite = instructions.with_instructions(suite_named("bbh", "c4"), tasks._folder(str(bucket)))
    task = next(task for task in suite.released_tasks if task.name == instructions.TASK)
    found = task.examples(tasks._folder(str(bucket)), "train")
    assert [(one.inputs, one.targets) for one in found] == [
        (f"Is {i} even?", "no") for i in range(1, 17, 2)
    ]
    with pytest.raises(UserError, match=r"ram://bucket/.* is missing: put the release's file"):
        tasks.benchmark(str(bucket), "bbh", seqio_vocabulary)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("gs://b/d/", "gs://b/d"), ("/a/../b", "/b"), ("x", str(Path("x").absolute()))],
)
def test_addresses_stay_addresses(given: str, expected: str) -> None:
    assert str(checkpoint.absolute(given)) == expected
