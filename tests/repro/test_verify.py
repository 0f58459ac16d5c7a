"""Where two runs first differ; `test_same_numbers` trains runs that must be equal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from untrained import BASELINE, FIRST, SCORES, World, edited, write_lines

from repro import comparison, folders
from repro.comparison import STREAMS, compare_runs
from repro.plan import Tree
from spactor import checkpoints, predictions, provenance
from spactor.errors import UserError

TRUNK, LEAF = "base/s0/sc/0-500K", "base/s0/sc/500K/finetune-glue/f0"
CLEAN = "validation/sc_loss_clean"


@pytest.fixture
def pair(finished: World, tmp_path: Path) -> tuple[Path, Path]:
    """One profile's folder twice, equal, without checkpoints."""
    shutil.copytree(finished.runs / "tiny", tmp_path / "copy")
    return finished.runs / "tiny", tmp_path / "copy"


def change(path: Path, step: int, **changes: object) -> None:
    """Changes values of one step in a log."""
    edited(path, lambda lines: [each | (changes if each["step"] == step else {}) for each in lines])


def test_equal_runs_are_equal_whatever_the_clock_says(pair: tuple[Path, Path], tree: Tree) -> None:
    change(pair[1] / FIRST / "metrics.jsonl", 5, **{"timing/seqs_per_second": 99.0})
    found = compare_runs(*pair)
    assert found.equal and found.missing == () and found.differences == ()
    assert len(comparison.nodes_in(pair[0])) == len(tree.nodes)
    missing = "not compared, missing on a side: parameters"
    assert found.notes and all(missing in note for note in found.notes)


def test_batches_of_two_t5x_runs_are_compared(tmp_path: Path) -> None:
    """A line is as `spactor.t5x.stream.TrainStream` writes it."""
    runs = tmp_path / "first", tmp_path / "second"
    for folder, batches in zip(runs, (("aa", "bb"), ("aa", "cc")), strict=True):
        shutil.copytree(Path(__file__).parent / "t5x_golden" / "stage1", folder)
        node = {"format": 1, "name": "node", "fingerprint": "1f", "inputs": {}}
        (folder / "node.json").write_text(json.dumps(node))
        read = enumerate(batches, start=1)
        lines = [{"step": 5 * n, "run": "", "seed": 0, "batch": batch} for n, batch in read]
        write_lines(folder / "digests.jsonl", lines)
    found = comparison.compare_nodes("node", *runs)
    assert [each.line() for each in found.differences] == ["node: step 10: batch differ: bb and cc"]
    (note,) = found.notes
    assert "not compared, missing on a side: parameters" in note


DOCTORED = [
    ("digests.jsonl", FIRST, 5, {"batch": "ff"}, "batch differ: b0-5 and ff"),
    ("digests.jsonl", FIRST, 5, {"masks": "ff"}, "masks differ: m0-5 and ff"),
    ("metrics.jsonl", TRUNK, 10, {"train/loss": 90.00000001}, "(loss): 90.0 and 90.00000001"),
    ("metrics.jsonl", BASELINE, 15, {CLEAN: 1.0}, "validation differ (sc_loss_clean): 8.5 and 1.0"),
    (SCORES, LEAF, 4, {"accuracy": 1.0}, "(spactor_glue_order/accuracy): 54.0 and 1.0"),
]


@pytest.mark.parametrize(("file", "node", "step", "changes", "expected"), DOCTORED)
def test_a_doctored_number_is_named(
    pair: tuple[Path, Path], file: str, node: str, step: int, changes: dict, expected: str
) -> None:
    change(pair[1] / node / file, step, **changes)
    found = compare_runs(*pair)
    (line,) = (difference.line() for difference in found.differences)
    assert line.startswith(f"{node}: step {step}: ") and line.endswith(expected)
    assert not found.equal
    assert compare_runs(*reversed(pair)).differences[0].step == step


def test_the_earliest_difference_comes_first_and_the_cause_before_the_effect(
    pair: tuple[Path, Path],
) -> None:
    home = pair[1] / BASELINE
    change(home / "metrics.jsonl", 15, **{"validation/sc_loss_clean": 1.0, "train/loss": 1.0})
    change(home / "digests.jsonl", 20, batch="ff")
    change(home / "digests.jsonl", 15, masks="ff")
    assert [(each.step, each.stream) for each in compare_runs(*pair).differences] == [
        (15, "masks"),
        (15, "train metrics"),
        (15, "validation"),
        (20, "batch"),
    ]


def test_the_cloze_is_compared_at_steps_where_both_sides_measured_it(
    pair: tuple[Path, Path],
) -> None:
    for folder, step, accuracy in ((pair[0], 15, 40.0), (pair[1], 15, 41.0), (pair[1], 20, 41.0)):
        change(folder / BASELINE / "metrics.jsonl", step, **{"cloze/accuracy": accuracy})
    (difference,) = compare_runs(*pair).differences
    assert difference.line() == f"{BASELINE}: step 15: cloze differ (accuracy): 40.0 and 41.0"


def test_what_one_side_lacks_is_a_difference(pair: tuple[Path, Path]) -> None:
    path = pair[1] / FIRST / "metrics.jsonl"
    path.write_text("")
    line = compare_runs(*pair).differences[0].line()
    assert line.startswith(f"{FIRST}: step 5: ") and line.endswith("(loss): 95.0 and nothing")
    shutil.rmtree(pair[1] / LEAF)
    found = compare_runs(*pair)
    assert found.missing == (f"{LEAF}: only in {pair[0]}",) and not found.equal


def test_predictions_and_parameters_are_streams(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.engine.predicts = True
    world.run(TRUNK, LEAF)
    ours, theirs = world.folder(LEAF), tmp_path / "copy"
    (ours / "checkpoints").mkdir()
    shutil.copytree(ours, theirs)
    predictions.write(theirs, 2, {"order": np.full((1, 1), 3)})

    def digests(folder: Path) -> dict:
        return {4: {"params/a": "1f"}} if folder == ours else {2: {}, 4: {"params/a": "2e"}}

    monkeypatch.setattr(checkpoints, "digests", digests)
    found = comparison.compare_nodes("leaf", ours, theirs)
    assert [(each.step, each.stream, each.name) for each in found.differences] == [
        (2, "predictions", "order"),
        (4, "parameters", "params/a"),
    ]
    assert {each.stream for each in found.differences} < set(STREAMS)


def test_inputs_that_differ_are_notes_and_not_differences(pair: tuple[Path, Path]) -> None:
    path = pair[1] / FIRST / folders.NODE
    recorded = folders.read_json(path)
    recorded["inputs"]["versions"]["jax"] = "0.1"
    folders.write_json(path, recorded)
    installed = provenance.versions(("jax",))["jax"]
    found = compare_runs(*pair)
    assert found.equal
    assert f"{FIRST}: inputs differ: jax was {installed}, is 0.1" in found.notes


def test_what_can_not_be_compared_is_refused(
    pair: tuple[Path, Path], tmp_path: Path, refused
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="have no node in common"):
        compare_runs(pair[0], tmp_path / "empty")
    with pytest.raises(UserError, match=r"is not a node's folder \(it has no node.json\)"):
        comparison.compare_nodes("a", pair[0] / FIRST, tmp_path / "empty")
    assert "there is no runs folder" in refused("verify", tmp_path / "nowhere", tmp_path / "empty")
