"""Where two runs first differ; `test_same_numbers` trains runs that must not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from commands import run

from repro import comparison, folders
from repro.comparison import STREAMS, Compared
from repro.plan import Tree
from repro.progress import Display
from repro.runner import Runner
from spactor import predictions, provenance
from spactor.data.arrays import TokenArrays, train_batch
from spactor.data.digest import batch_digest
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError

VOCABULARY = VocabularyFacts(
    sentencepiece_size=411, extra_ids=100, mask_token_id=511, padded_size=512
)
FIRST = "base/s0/hybrid/0-250K"
LEAF = "base/s0/sc/500K/finetune-glue/f0"


def test_four_threads_read_the_batches_that_one_reads() -> None:
    rng = np.random.default_rng(0)
    arrays = TokenArrays(
        train=rng.integers(3, 400, 5_000).astype(np.int32),
        validation=rng.integers(3, 400, 500).astype(np.int32),
        vocabulary=VOCABULARY,
        fingerprint="",
        unigram_entropy_nats=6.0,
        most_frequent_token_rate=0.01,
    )

    def digest(step: int) -> str:
        return batch_digest(train_batch(arrays, seed=1, step=step, batch_size=4, chunk_tokens=70))

    steps = range(60)  # More than three epochs.
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(digest, reversed(steps)))
    assert found[::-1] == [digest(step) for step in steps]
    assert len(set(found)) == len(steps)


def nothing(folder: Path) -> dict:
    return {}


@pytest.fixture
def pair(
    tree: Tree, runs: Path, engine, displays: Callable[[Tree], Display], tmp_path: Path
) -> tuple[Path, Path]:
    """One profile's folder twice, equal, without checkpoints."""
    Runner(tree, runs, engine, displays(tree)).run()
    shutil.copytree(runs / "tiny", tmp_path / "copy")
    return runs / "tiny", tmp_path / "copy"


def edited(path: Path, step: int, **changes: object) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["step"] == step:
            line.update(changes)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def compared(pair: tuple[Path, Path]) -> Compared:
    return comparison.compare_runs(*pair, nothing)


def test_equal_runs_are_equal_whatever_the_clock_says(pair: tuple[Path, Path], tree: Tree) -> None:
    edited(pair[1] / FIRST / "metrics.jsonl", 5, **{"timing/seqs_per_second": 99.0})
    found = compared(pair)
    assert found.equal and found.missing == () and found.differences == ()
    assert len(comparison.nodes_in(pair[0])) == len(tree.nodes)
    assert {note.partition(": ")[2] for note in found.notes} == {
        "not compared, missing on a side: parameters"
    }


def test_batches_of_two_t5x_runs_are_compared(tmp_path: Path) -> None:
    """A line is as `spactor.t5x.stream.TrainStream` writes it."""
    runs = tmp_path / "first", tmp_path / "second"
    for folder, batches in zip(runs, (("aa", "bb"), ("aa", "cc")), strict=True):
        shutil.copytree(Path(__file__).parent / "t5x_golden" / "stage1", folder)
        node = {"format": 1, "name": "node", "fingerprint": "1f", "inputs": {}}
        (folder / "node.json").write_text(json.dumps(node))
        read = enumerate(batches, start=1)
        lines = [{"step": 5 * n, "run": "", "seed": 0, "batch": batch} for n, batch in read]
        (folder / "digests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = comparison.compare_nodes("node", *runs, nothing)
    assert [each.line() for each in found.differences] == ["node: step 10: batch differ: bb and cc"]
    assert [note.partition(": ")[2] for note in found.notes] == [
        "not compared, missing on a side: parameters"
    ]


DOCTORED = [
    ("digests.jsonl", FIRST, 5, {"batch": "ff"}, "batch differ: b0-5 and ff"),
    ("digests.jsonl", FIRST, 5, {"masks": "ff"}, "masks differ: m0-5 and ff"),
    (
        "metrics.jsonl",
        "base/s0/sc/0-500K",
        10,
        {"train/loss": 90.00000001},
        "train metrics differ (loss): 90.0 and 90.00000001",
    ),
    (
        "metrics.jsonl",
        "base/s0/sc/500K-1M",
        15,
        {"validation/sc_loss_clean": 1.0},
        "validation differ (sc_loss_clean): 8.5 and 1.0",
    ),
    (
        "inference_eval/spactor_glue_pair-metrics.jsonl",
        LEAF,
        4,
        {"accuracy": 1.0},
        "scores differ (spactor_glue_pair/accuracy): 54.0 and 1.0",
    ),
]


@pytest.mark.parametrize(("file", "node", "step", "change", "expected"), DOCTORED)
def test_a_doctored_number_is_named(
    pair: tuple[Path, Path], file: str, node: str, step: int, change: dict, expected: str
) -> None:
    edited(pair[1] / node / file, step, **change)
    found = compared(pair)
    assert [difference.line() for difference in found.differences] == [
        f"{node}: step {step}: {expected}"
    ]
    assert not found.equal
    assert comparison.compare_runs(*reversed(pair), nothing).differences[0].step == step


def test_the_earliest_difference_comes_first_and_the_cause_before_the_effect(
    pair: tuple[Path, Path],
) -> None:
    home = pair[1] / "base/s0/sc/500K-1M"
    edited(home / "metrics.jsonl", 15, **{"validation/sc_loss_clean": 1.0, "train/loss": 1.0})
    edited(home / "digests.jsonl", 20, batch="ff")
    edited(home / "digests.jsonl", 15, masks="ff")
    assert [(each.step, each.stream) for each in compared(pair).differences] == [
        (15, "masks"),
        (15, "train metrics"),
        (15, "validation"),
        (20, "batch"),
    ]


def test_what_one_side_lacks_is_a_difference(pair: tuple[Path, Path]) -> None:
    path = pair[1] / FIRST / "metrics.jsonl"
    path.write_text("")
    assert compared(pair).differences[0].line() == (
        f"{FIRST}: step 5: train metrics differ (loss): 95.0 and nothing"
    )
    shutil.rmtree(pair[1] / LEAF)
    found = compared(pair)
    assert found.missing == (f"{LEAF}: only in {pair[0]}",) and not found.equal


def test_predictions_and_parameters_are_streams(
    tree: Tree, runs: Path, engine, displays: Callable[[Tree], Display], tmp_path: Path
) -> None:
    engine.predicts = True
    Runner(tree, runs, engine, displays(tree)).run()
    ours, theirs = runs / "tiny" / LEAF, tmp_path / "copy"
    shutil.copytree(ours, theirs)
    predictions.write(theirs, 2, {"pair": np.full((1, 1), 3)})

    def parameters(folder: Path) -> dict:
        return {4: {"params/a": "1f"}} if folder == ours else {2: {}, 4: {"params/a": "2e"}}

    found = comparison.compare_nodes("leaf", ours, theirs, parameters)
    assert [(each.step, each.stream, each.name) for each in found.differences] == [
        (2, "predictions", "pair"),
        (4, "parameters", "params/a"),
    ]
    assert {each.stream for each in found.differences} < set(STREAMS)


def test_inputs_that_differ_are_notes_and_not_differences(pair: tuple[Path, Path]) -> None:
    path = pair[1] / FIRST / folders.NODE
    recorded = folders.read_json(path)
    recorded["inputs"]["versions"]["jax"] = "0.1"
    folders.write_json(path, recorded)
    installed = provenance.versions(("jax",))["jax"]
    found = compared(pair)
    assert found.equal
    assert f"{FIRST}: inputs differ: jax was {installed}, is 0.1" in found.notes


def test_what_can_not_be_compared_is_refused(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="have no node in common"):
        comparison.compare_runs(pair[0], tmp_path / "empty", nothing)
    with pytest.raises(UserError, match=r"is not a node's folder \(no node.json in it\)"):
        comparison.compare_nodes("a", pair[0] / FIRST, tmp_path / "empty", nothing)
    code, _, err = run(capsys, "verify", tmp_path / "nowhere", tmp_path / "empty")
    assert code == 2 and "there is no runs folder" in err and err.count("\n") == 1
