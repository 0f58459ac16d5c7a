"""A run on released data, from C4's files to records: a shrunk `mini` on made-up rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import made_c4
import made_up
import pytest
from commands import exit_code

from analysis.schema import records
from analysis.schema.quantities import DIAGNOSTICS
from repro import folders, workers
from spactor.data import suites

pytestmark = pytest.mark.slow

PROFILE = """
extends = "smoke"
suites = ["glue", "mmlu", "bbh"]
[data]
corpus = "c4"
"""
ROWS = 250
"""Documents of a shard; two hold the tokens of a hundred steps."""
SUITES = ("glue", "mmlu", "bbh")
ROOT = "base/s0/sc/0-500K"
LEAVES = tuple(f"base/s0/sc/500K/finetune-{suite}/f0" for suite in SUITES)
GLUE = LEAVES[0]
WANTED = tuple(word for name in (ROOT, *LEAVES) for word in ("--node", name))
FREE = {"stsb", "dyck_languages", "multistep_arithmetic_two", "object_counting", "word_sorting"}
"""Tasks whose answers are no fixed labels."""


@pytest.fixture(scope="module", autouse=True)
def few_rows() -> Iterator[None]:
    """Benchmarks that expect as many rows as were made up; of MMLU two subjects, of BBH six tasks.

    The nodes run in this process, since a worker has the benchmarks of the releases.
    """
    with pytest.MonkeyPatch.context() as patch:
        made_up.shrink_all(patch, mmlu=2, bbh=6)
        patch.setattr(
            workers, "Workers", lambda make, display, jobs: workers.ThisProcess(make, display)
        )
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the user's data, a profile, and what a run of it left."""
    folder = tmp_path_factory.mktemp("released")
    data = folder / "data"
    made_up.write_all(data, SUITES)
    made_c4.write_json(data, rows=ROWS)
    made_c4.write_vocabulary(data)
    made_c4.write_instructions(data)
    (folder / "tiny.toml").write_text(PROFILE)
    repro(folder, "run", *WANTED)
    return folder


def repro(home: Path, command: str, *more: str, code: int = 0) -> None:
    given = ["--profile", str(home / "tiny.toml"), "--runs", str(home / "runs")]
    if command not in ("collect", "table"):
        given += ["--data-dir", str(home / "data")]
    assert exit_code(command, *given, *more) == code


def node(home: Path, name: str) -> Path:
    return folders.node_folder(home / "runs", "tiny", name)


def test_scores_of_real_tasks_become_records(home: Path) -> None:
    repro(home, "collect")
    frame = records.read(home / "runs" / "tiny" / "records" / "metrics.parquet")
    scores = frame[frame["suite"].isin(SUITES) & (frame["selection"] == "")]
    found = {(row.suite, row.task, row.metric) for row in scores.itertuples()}
    assert {each for each in found if each[2] not in DIAGNOSTICS} == {
        (suite, task, metric)
        for suite in SUITES
        for task, metrics in suites.BENCHMARKS[suite].metric_versions.items()
        for metric in metrics
    }
    assert {("glue", "mnli", "accuracy_matched"), ("glue", "mnli", "accuracy_mismatched")} <= found
    of_labels = {each for each in found if each[2] in DIAGNOSTICS}
    assert of_labels == {
        (suite, task, f"{name}{half}")
        for suite in SUITES
        for task in suites.BENCHMARKS[suite].metric_versions
        if task not in FREE
        for name in ("invalid_rate", "predicted_classes")
        for half in (("_matched", "_mismatched") if task == "mnli" else ("",))
    }
    assert sorted(set(scores["step"])) == [2, 4]
    assert scores["value"].between(-100, 100).all()
    losses = frame[frame["metric"] == "validation/sc_loss_clean"]
    assert losses["value"].between(0, 20).all() and len(losses)
    record = json.loads((node(home, GLUE) / folders.PROVENANCE).read_text())
    assert record["data"]["corpus"] == {"name": "c4/en", "form": "json"}
    assert record["metric_versions"] == suites.BENCHMARKS["glue"].metric_versions


def test_a_real_classification_that_collapsed_is_in_a_footnote(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After four steps of fine-tuning every prediction is the same."""
    repro(home, "collect")
    capsys.readouterr()
    repro(home, "table", "2")
    out = " ".join(capsys.readouterr().out.split())
    assert "the whole validation set with one class" in out and "BBH boolean_expressions" not in out
    repro(home, "table", "2", "--notes")
    assert "BBH boolean_expressions τ = 0 500K, 1 run." in " ".join(capsys.readouterr().out.split())


def test_a_second_run_has_nothing_to_do(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repro(home, "run", *WANTED)
    assert "0 nodes ran" in capsys.readouterr().out


def test_another_shard_is_other_data(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = sorted((home / "data" / "c4" / "en").glob("c4-train.*"))
    contents = [shard.read_bytes() for shard in shards]
    before = json.loads((node(home, ROOT) / folders.NODE).read_text())["inputs"]["data"]
    try:
        made_c4.write_file(shards[0], made_c4.documents(ROWS, first=7_000))
        repro(home, "run", "--node", GLUE, code=2)
    finally:
        shards[0].write_bytes(contents[0])
    err = capsys.readouterr().err
    assert f"starts from {ROOT}, which is stale" in err
    # No suite is encoded from C4, so fine-tuning's own data are the same.
    fingerprints = {path.name for path in (home / "runs" / "cache").glob("corpus-*")}
    assert len(fingerprints) == 2
    tokens = {
        json.loads(path.read_text())["files"]["tokens_train.npy"]
        for path in (home / "runs" / "cache").glob("corpus-*/manifest.json")
    }
    assert before["tokens_train.npy"] in tokens and len(tokens) == 2
    suites = {
        json.loads(path.read_text())["files"]["suites/glue/tokens.npy"]
        for path in (home / "runs" / "cache").glob("corpus-*/manifest.json")
    }
    assert len(suites) == 1
