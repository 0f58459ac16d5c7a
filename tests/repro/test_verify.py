"""Determinism: the same numbers whatever the devices and threads, and where runs first differ."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from repro import cli, comparison, folders
from repro.comparison import STREAMS, Compared
from repro.plan import Tree
from repro.progress import Display
from repro.runner import Runner
from spactor import predictions, provenance
from spactor.data import manifest
from spactor.data.arrays import TokenArrays, train_batch
from spactor.data.digest import batch_digest
from spactor.data.vocabulary import VocabularyFacts
from spactor.errors import UserError

PROFILE = Path(__file__).parent / "deterministic.toml"
HYBRID, BRANCH = "hybrid/0-60K", "tau60K/60K-500K"
VOCABULARY = VocabularyFacts(
    sentencepiece_size=411, extra_ids=100, mask_token_id=511, padded_size=512
)
FIRST = "base/s0/hybrid/0-250K"
LEAF = "base/s0/sc/500K/finetune-glue/f0"


def made_up(folder: Path) -> Path:
    """A prepared data folder for pre-training alone, of random tokens."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for split, tokens in (("train", 20_000), ("validation", 2_000)):
        stream = rng.integers(3, VOCABULARY.sentencepiece_size, tokens).astype(np.uint16)
        np.save(folder / manifest.tokens_file(split), stream)
    facts = {
        "format": manifest.FORMAT,
        "corpus": {"packages": []},
        "files": {path.name: manifest.digest_of_file(path) for path in folder.iterdir()},
        "vocabulary": dataclasses.asdict(VOCABULARY),
        "unigram_entropy_nats": 6.0,
        "most_frequent_token_rate": 0.01,
    }
    manifest.write(folder, facts | {"fingerprint": manifest.fingerprint_of(facts)})
    return folder


def trained(runs: Path, data: Path, *patterns: str, **environment: str) -> Path:
    nodes = [argument for pattern in patterns for argument in ("--node", pattern)]
    common = ("--profile", str(PROFILE), "--runs", str(runs))
    for command in (("run", *common, *nodes, "--data", str(data)), ("collect", *common)):
        subprocess.run(
            [sys.executable, "-m", "repro", *command],
            env=os.environ | environment,
            check=True,
            capture_output=True,
        )
    return runs


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Runs on one device and one thread, the switch at τ and another seed among them; the data."""
    home = tmp_path_factory.mktemp("verify")
    data = made_up(home / "data")
    nodes = (f"base/s0/{HYBRID}", f"base/s0/{BRANCH}", f"base/s1/{HYBRID}")
    one = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1", "NPROC": "1"}
    return trained(home / "alone", data, *nodes, **one), data


def verify(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main(["verify", *map(str, arguments)])
    return int(caught.value.code or 0), *capsys.readouterr()


@pytest.mark.slow
def test_two_devices_and_four_threads_change_no_byte(
    alone: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """XLA's threads; on two devices the state lives on the first."""
    runs, data = alone
    other = folders.open_runs(tmp_path / "other", create=True)
    two = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "NPROC": "4"}
    trained(other, data, f"base/s0/{HYBRID}", f"base/s0/{BRANCH}", f"base/s1/{HYBRID}", **two)
    devices = [
        folders.read_json(home / "deterministic/base/s0" / HYBRID / folders.PROVENANCE)["device"]
        for home in (runs, other)
    ]
    assert [device[0] for device in devices] == ["1", "2"]
    code, out, err = verify(capsys, runs, other, "--profile", PROFILE)
    assert (code, err) == (0, "")
    # 28 steps have two digests each; more than that was compared.
    assert out.startswith("equal: ") and int(out.split()[1].replace(",", "")) > 28 * 2
    for name in ("metrics.jsonl", "digests.jsonl"):
        mine, others = (
            [
                {k: v for k, v in json.loads(line).items() if not k.startswith("timing/")}
                for line in (home / "deterministic/base/s0" / BRANCH / name)
                .read_text()
                .splitlines()
            ]
            for home in (runs, other)
        )
        assert mine == others and len(mine) == 22
    records = "deterministic/records/metrics.parquet"
    assert (runs / records).read_bytes() == (other / records).read_bytes()
    assert verify(capsys, (runs / records).parent, other / records)[0] == 0


@pytest.mark.slow
def test_another_seed_differs_from_the_first_batch_on(
    alone: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    home = alone[0] / "deterministic" / "base"
    code, out, err = verify(capsys, home / "s0" / HYBRID, home / "s1" / HYBRID)
    assert code == 1
    assert "note: 0-60K: inputs differ: seed was 0, is 1" in err
    starts = [line.partition(" differ")[0] for line in out.splitlines()]
    assert starts == [
        "0-60K: step 1: batch",
        "0-60K: step 1: masks",
        "0-60K: step 1: train metrics",
        "0-60K: step 3: validation",
        "0-60K: step 3: parameters",
    ]


@pytest.mark.slow
def test_parameters_are_compared_by_name(
    alone: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint of another seed under the same numbers."""
    home = alone[0] / "deterministic" / "base"
    doctored = tmp_path / "0-60K"
    shutil.copytree(home / "s0" / HYBRID, doctored)
    shutil.rmtree(doctored / "checkpoints")
    shutil.copytree(home / "s1" / HYBRID / "checkpoints", doctored / "checkpoints")
    code, out, _ = verify(capsys, home / "s0" / HYBRID, doctored)
    assert code == 1 and out.count("\n") == 1
    assert out.startswith("0-60K: step 3: parameters differ (params/decoder/")


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
    for run, batches in zip(runs, (("aa", "bb"), ("aa", "cc")), strict=True):
        shutil.copytree(Path(__file__).parent / "t5x_golden" / "stage1", run)
        node = {"format": 1, "name": "node", "fingerprint": "1f", "inputs": {}}
        (run / "node.json").write_text(json.dumps(node))
        read = enumerate(batches, start=1)
        lines = [{"step": 5 * n, "run": "", "seed": 0, "batch": batch} for n, batch in read]
        (run / "digests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
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
    code, _, err = verify(capsys, tmp_path / "nowhere", tmp_path / "empty")
    assert code == 2 and "there is no runs folder" in err and err.count("\n") == 1
