"""Collecting from folders that the fake engine wrote; `test_collect_replayed` alters their logs."""

from pathlib import Path

import pandas as pd
import pytest
from untrained import BRANCH, FIRST, LEAF, edited, folder_of, rows

import tables
from analysis.flops import step_flops
from analysis.schema import published, records
from analysis.schema.quantities import VOCABULARY_SIZE
from repro import collect, folders, profile_records, step_lines
from repro.plan import Tree
from repro.specs import load_profile
from spactor.errors import UserError


def test_a_series_runs_through_the_shared_prefix_of_every_tau(tree: Tree, finished: Path) -> None:
    metrics = collect.collect(tree, finished).metrics
    for tau in ("0", "250K", "inf"):
        series = rows(metrics, tau=tau, metric="validation/sc_loss_clean")
        assert list(series["step"]) == [5, 10, 15, 20]
        assert list(series["paper_step"]) == [250_000, 500_000, 750_000, 1_000_000]
        assert list(series["value"]) == [9.5, 9.0, 8.5, 8.0]
    shared = rows(metrics, node=FIRST, metric="train/loss")
    assert sorted(shared["tau"]) == ["250K", "inf"]
    assert shared["fingerprint"].nunique() == 1


def test_scores_costs_and_facts(tree: Tree, finished: Path) -> None:
    metrics = collect.collect(tree, finished).metrics
    scores = rows(metrics, suite="glue", tau="250K", checkpoint=1_000_000)
    assert set(scores["task"]) == {"pair"} and set(scores["finetune_seed"]) == {0}
    found = scores[["selection", "step", "value"]].itertuples(index=False, name=None)
    assert sorted(found) == [
        ("", 2, 52.0),
        ("", 4, 54.0),
        ("best_average", 4, 54.0),
        ("last", 4, 54.0),
    ]
    cost = rows(metrics, metric="cost/pretraining_flops").set_index(["tau", "checkpoint"])["value"]
    # 20 steps: 5 hybrid ones and the rest span corruption, or one kind only.
    config = tree.profile.sizes["base"]
    hybrid, plain = (step_flops(config, stage) for stage in ("hybrid", "span_corruption"))
    assert cost["250K", 1_000_000] == 5 * hybrid + 15 * plain
    assert cost["0", 500_000] == 10 * plain and cost["inf", 1_000_000] == 20 * hybrid
    assert list(rows(metrics, metric="cost/step_flops/hybrid")["value"]) == [hybrid]
    assert list(rows(metrics, metric="data/unigram_entropy_nats")["value"]) == [5.5]
    # 64 positions hold 70 tokens: 10 noise tokens in 3 spans, a target of 10 + 3 + 1 positions.
    assert list(rows(metrics, metric="data/target_text_fraction")["value"]) == [10 / 14]
    assert list(rows(metrics, metric=VOCABULARY_SIZE)["value"]) == [config.model.vocab_size]


def test_settings_have_the_names_and_the_digits_of_the_published_ones(
    tree: Tree, finished: Path
) -> None:
    metrics = collect.collect(tree, finished).metrics
    settings = rows(metrics, size="base").set_index("metric")
    wanted = published.load(5)
    assert set(wanted["metric"]) == {n for n in settings.index if n.startswith("setting/")}
    config = tree.profile.sizes["base"]
    assert settings.loc["setting/batch_size", "value"] == config.batch_size
    assert settings.loc["setting/noise_density", ["value", "decimals"]].tolist() == [0.15, 2]
    assert settings.loc["setting/rtd_activation", "text"] == "GELU"
    factor = config.optimizer.learning_rate_factor
    assert settings.loc["setting/learning_rate_schedule", "text"] == f"{factor}/√max(n, κ)"
    finetuning = metrics[metrics["metric"].str.startswith("finetuning/")].set_index("metric")
    default = published.load_finetuning()["metric"]
    # The tiny profile has GLUE alone, so there are no settings of FLAN.
    assert set(finetuning.index) == {n for n in default if n.startswith("finetuning/default/")}
    length = tree.profile.finetuning["glue"].total_steps
    assert finetuning.loc["finetuning/default/most_steps", "value"] == length


@pytest.fixture
def settings_of_paper() -> pd.DataFrame:
    """The settings of the paper's profile, as records."""
    shared = {"source": "measured", "profile": "paper"}
    settings = profile_records.setting_rows(load_profile("paper"))
    return records.from_rows(shared | row for row in settings)


def test_the_paper_profile_is_fine_tuned_as_published(settings_of_paper: pd.DataFrame) -> None:
    frame = published.load_finetuning()
    both = frame.merge(
        settings_of_paper, on=["size", "metric"], suffixes=("", "_ours"), validate="one_to_one"
    )
    assert len(both) == len(frame)
    printed = both[both["value"].notna()]
    typical = printed["metric"].str.endswith("_steps")
    assert list(printed.loc[~typical, "value_ours"]) == list(printed.loc[~typical, "value"])
    # A.2: typically 250K to 300K; ours is one length in between.
    assert printed.loc[typical, "value_ours"].between(250_000, 300_000).all()


def test_table_5_of_the_paper_profile_reads_as_published(settings_of_paper: pd.DataFrame) -> None:
    module = tables.get(5)
    ours, paper = module.compute(settings_of_paper), module.compute(published.load(5))
    for own, printed in zip(ours.rows, paper.rows, strict=True):
        assert [cell.text() for cell in own.cells] == [cell.text() for cell in printed.cells]


def test_the_clock_stays_out_of_the_metrics(tree: Tree, finished: Path) -> None:
    result = collect.collect(tree, finished)
    assert not result.metrics["metric"].str.startswith("timing/").any()
    assert set(result.timing["metric"]) == {
        "timing/seqs_per_second/hybrid",
        "timing/seqs_per_second/span_corruption",
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rubbish", "not a JSON object"),
        ("[1]", "has no step"),
        ('{"x": 1}', "has no step"),
        ('{"step": "2", "x": 1}', "has no step"),
        ('{"step": true, "x": 1}', "has no step"),
        ('{"step": -1, "x": 1}', "has no step"),
        ('{"step": 2, "x": "high"}', "x is 'high', not a number"),
        ('{"step": 2, "x": NaN}', "not a JSON object"),
        ('{"step": 2, "x": 1e999}', "1e999 is not a finite number"),
        ('{"step": 2, "x": 1}}', "not a JSON object"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "x": 1}\n' + line + '\n{"step": 3, "x": 1}\n')
    with pytest.raises(UserError, match=message) as caught:
        step_lines.read_steps(path)
    assert f"{path}, line 2: " in str(caught.value)


def test_only_finished_nodes_count(tree: Tree, finished: Path) -> None:
    (folder_of(finished, FIRST) / folders.DONE).unlink()
    result = collect.collect(tree, finished)
    assert result.unfinished[FIRST] == "not finished"
    assert set(result.metrics["tau"].unique()) <= {"", "0", "250K", "inf"}
    assert set(rows(result.metrics, metric="train/loss")["tau"]) == {"0"}
    assert result.unfinished[LEAF] == f"its parent {BRANCH} is left out"


def test_a_parent_that_ran_again_excludes_what_is_below(tree: Tree, finished: Path) -> None:
    for name in (folders.NODE, folders.DONE, folders.PROVENANCE):
        path = folder_of(finished, FIRST) / name
        folders.write_json(path, folders.read_json(path) | {"fingerprint": "other"})
    digests = folder_of(finished, FIRST) / "digests.jsonl"
    edited(digests, lambda lines: [line | {"run": "other"} for line in lines])
    result = collect.collect(tree, finished)
    assert result.unfinished[BRANCH] == f"its parent {FIRST} was trained again since"


def test_nothing_finished_is_an_error(tree: Tree, runs: Path) -> None:
    with pytest.raises(UserError, match="nothing of profile tiny is finished"):
        collect.collect(tree, runs)
