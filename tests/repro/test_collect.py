"""Collecting from folders that the fake engine wrote, and from altered ones."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from t5x_events import write_start
from untrained import (
    BASELINE,
    BRANCH,
    FIRST,
    LEAF,
    SCORES,
    World,
    edited,
    rows,
    write_lines,
)

import tables
from analysis.flops import step_flops
from analysis.schema import published, records
from analysis.schema.quantities import VOCABULARY_SIZE
from repro import folders, profile_records, step_lines, validation
from repro.plan import Tree
from repro.specs import load_profile
from repro.step_lines import DIGESTS
from repro.step_lines import METRICS as SERIES
from spactor.errors import UserError


def test_a_series_runs_through_the_shared_prefix_of_every_tau(finished: World) -> None:
    metrics = finished.collect().metrics
    for tau in ("0", "250K", "inf"):
        series = rows(metrics, tau=tau, metric="validation/sc_loss_clean")
        assert list(series["step"]) == [5, 10, 15, 20]
        assert list(series["paper_step"]) == [250_000, 500_000, 750_000, 1_000_000]
        assert list(series["value"]) == [9.5, 9.0, 8.5, 8.0]
    shared = rows(metrics, node=FIRST, metric="train/loss")
    assert sorted(shared["tau"]) == ["250K", "inf"]
    assert shared["fingerprint"].nunique() == 1


def test_scores_costs_and_facts(finished: World) -> None:
    metrics = finished.collect().metrics
    scores = rows(metrics, suite="glue", tau="250K", checkpoint=1_000_000)
    assert set(scores["task"]) == {"order"} and set(scores["finetune_seed"]) == {0}
    found = scores[["selection", "step", "value"]].itertuples(index=False, name=None)
    assert sorted(found) == [
        ("", 2, 52.0),
        ("", 4, 54.0),
        ("best_average", 4, 54.0),
        ("last", 4, 54.0),
    ]
    cost = rows(metrics, metric="cost/pretraining_flops").set_index(["tau", "checkpoint"])["value"]
    # 20 steps: 5 hybrid ones and the rest span corruption, or one kind only.
    config = finished.tree.profile.sizes["base"]
    hybrid, plain = (step_flops(config, stage) for stage in ("hybrid", "span_corruption"))
    assert cost["250K", 1_000_000] == 5 * hybrid + 15 * plain
    assert cost["0", 500_000] == 10 * plain and cost["inf", 1_000_000] == 20 * hybrid
    assert list(rows(metrics, metric="cost/step_flops/hybrid")["value"]) == [hybrid]
    assert list(rows(metrics, metric="data/unigram_entropy_nats")["value"]) == [5.5]
    # 64 positions hold 70 tokens: 10 noise tokens in 3 spans, a target of 10 + 3 + 1 positions.
    assert list(rows(metrics, metric="data/target_text_fraction")["value"]) == [10 / 14]
    assert list(rows(metrics, metric=VOCABULARY_SIZE)["value"]) == [config.model.vocab_size]


def test_settings_have_the_names_and_the_digits_of_the_published_ones(finished: World) -> None:
    metrics = finished.collect().metrics
    settings = rows(metrics, size="base").set_index("metric")
    wanted = published.load(5)
    assert set(wanted["metric"]) == {n for n in settings.index if n.startswith("setting/")}
    config = finished.tree.profile.sizes["base"]
    assert settings.loc["setting/batch_size", "value"] == config.batch_size
    assert settings.loc["setting/noise_density", ["value", "decimals"]].tolist() == [0.15, 2]
    assert settings.loc["setting/rtd_activation", "text"] == "GELU"
    factor = config.optimizer.learning_rate_factor
    assert settings.loc["setting/learning_rate_schedule", "text"] == f"{factor}/√max(n, κ)"
    finetuning = metrics[metrics["metric"].str.startswith("finetuning/")].set_index("metric")
    default = published.load_finetuning()["metric"]
    # The tiny profile has GLUE alone, so there are no settings of FLAN.
    assert set(finetuning.index) == {n for n in default if n.startswith("finetuning/default/")}
    length = finished.tree.profile.finetuning["glue"].total_steps
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


def test_the_clock_stays_out_of_the_metrics(finished: World) -> None:
    result = finished.collect()
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


def test_only_finished_nodes_count(finished: World) -> None:
    (finished.folder(FIRST) / folders.DONE).unlink()
    result = finished.collect()
    assert result.unfinished[FIRST] == "not finished"
    assert set(result.metrics["tau"].unique()) <= {"", "0", "250K", "inf"}
    assert set(rows(result.metrics, metric="train/loss")["tau"]) == {"0"}
    assert result.unfinished[LEAF] == f"its parent {BRANCH} is left out"


def test_a_parent_that_ran_again_excludes_what_is_below(finished: World) -> None:
    for name in (folders.NODE, folders.DONE, folders.PROVENANCE):
        path = finished.folder(FIRST) / name
        folders.write_json(path, folders.read_json(path) | {"fingerprint": "other"})
    digests = finished.folder(FIRST) / "digests.jsonl"
    edited(digests, lambda lines: [line | {"run": "other"} for line in lines])
    result = finished.collect()
    assert result.unfinished[BRANCH] == f"its parent {FIRST} was trained again since"


def test_nothing_finished_is_an_error(world: World) -> None:
    with pytest.raises(UserError, match="nothing of profile tiny is finished"):
        world.collect()


# Logs of several attempts, and logs that are incomplete.


@pytest.mark.parametrize(
    ("node", "name", "wrong", "step"),
    [(BASELINE, "metrics.jsonl", {"train/loss": 1.0}, 20), (LEAF, SCORES, {"accuracy": 1.0}, 4)],
)
def test_overlapping_attempts_give_one_series_and_the_last_one_counts(
    finished: World, tmp_path: Path, node: str, name: str, wrong: dict, step: int
) -> None:
    """Of two points the last was logged twice, with another value, before both were logged again.

    A kill cut a line short.
    """
    home = finished.folder(node)
    before = finished.collected_bytes(tmp_path / "a")
    [(metric, other)] = wrong.items()
    right = json.loads((home / name).read_text().splitlines()[-1])[metric]
    edited(home / name, lambda lines: [lines[1] | wrong, *lines])
    edited(home / "digests.jsonl", lambda lines: [lines[1], *lines])
    (home / name).write_text(f'{{"step": {step}, "{metric}": 9, "tr\n{(home / name).read_text()}')
    (remark,) = finished.collect().remarks
    assert f"{node}: {home / name}: " in remark
    assert f"step {step} " in remark and f"({metric} {other:g} and {right:g})" in remark
    assert finished.collected_bytes(tmp_path / "b") == before
    assert finished.collected_bytes(tmp_path / "c") == before, "collecting changes nothing"


def test_attempts_that_agree_are_not_remarked(finished: World) -> None:
    home = finished.folder(BASELINE)
    # Times may differ: the last one counts, and a step without one has the earlier attempt's.
    edited(
        home / "metrics.jsonl",
        lambda lines: [
            *lines,
            lines[0] | {"timing/seqs_per_second": 9.0},
            {name: value for name, value in lines[1].items() if "timing" not in name},
        ],
    )
    result = finished.collect()
    assert result.remarks == () and result.unfinished == {}
    clock = rows(result.timing, node=BASELINE, metric="timing/seqs_per_second/span_corruption")
    assert list(clock["value"]) == [9.0, 7.0]


def without(*steps: int) -> Callable[[list[dict]], list[dict]]:
    return lambda lines: [line for line in lines if line["step"] not in steps]


def with_line(number: int, **changes: object) -> Callable[[list[dict]], list[dict]]:
    return lambda lines: [lines[number] | changes, *lines]


FAULTS = [
    (BASELINE, SERIES, without(15), "gap in train/, validation/: step 15 missing"),
    (BASELINE, SERIES, without(20), "gap in train/, validation/: step 20 missing"),
    (BASELINE, SERIES, without(15, 20), "nothing of train/, validation/, where 2 points are due"),
    (
        *(BASELINE, SERIES),
        lambda lines: [{k: v for k, v in line.items() if "valid" not in k} for line in lines],
        "nothing of validation/, where 2 points are due",
    ),
    (BASELINE, SERIES, with_line(-1, step=25), "this run does not log step 25 (15 to 20"),
    (BASELINE, SERIES, with_line(0, step=5), "this run does not log step 5"),
    (BASELINE, SERIES, with_line(0, step=12), "this run does not log step 12"),
    (BASELINE, DIGESTS, with_line(0, run="0123456789abcdef"), "of another run (0123456789ab)"),
    (BASELINE, DIGESTS, with_line(0, seed=7), "step 15 is of seed 7, and this run has 0"),
    (BASELINE, DIGESTS, with_line(0, masks="ff"), "attempts read different data at step 15"),
    (LEAF, SCORES, without(4), "gap in scores: step 4 missing"),
    (LEAF, SCORES, without(2), "gap in scores: step 2 missing"),
    (LEAF, SCORES, with_line(0, step=3), "this run does not log step 3"),
    (LEAF, SCORES, without(2, 4), "nothing of scores, where 2 points are due"),
]


@pytest.mark.parametrize(("node", "name", "edit", "fault"), FAULTS, ids=[f[3] for f in FAULTS])
def test_a_node_with_a_faulty_log_is_left_out_with_all_below_it_in_one_line(
    finished: World, node: str, name: str, edit, fault: str
) -> None:
    path = finished.folder(node) / name
    edited(path, edit)
    result = finished.collect()
    reason = result.unfinished[node]
    assert f"{path}: " in reason and fault in reason and "\n" not in reason
    below = {child.name: f"its parent {node} is left out" for child in finished.tree.children(node)}
    assert result.unfinished == {node: reason} | below
    left = set(result.metrics["node"])
    assert left.isdisjoint(result.unfinished) and FIRST in left


def test_a_series_with_many_holes_is_called_sampled(tree: Tree) -> None:
    profile = dataclasses.replace(tree.profile, log_period_steps=1, validation_period_steps=10)
    node = next(node for node in tree.segments() if node.name == BASELINE)
    logged = {step: {"train/loss": 1.0} for step in (12, 13, 16, 20)}
    logged[20] |= {"validation/sc_loss_clean": 1.0}
    absent = validation.segment_gaps(profile, node, logged, by_metric=False)
    path = Path("metrics.jsonl")
    (line,) = validation._gap_lines(path, absent)
    assert "metrics.jsonl: train/: sampled, 4 of 10" in line


def test_the_provenance_of_another_run_is_named(finished: World) -> None:
    path = finished.folder(BASELINE) / folders.PROVENANCE
    folders.write_json(path, folders.read_json(path) | {"fingerprint": "0123456789abcdef"})
    reason = finished.collect().unfinished[BASELINE]
    assert reason.startswith(f"{path} is of another run (0123456789ab)")


def test_folders_without_digests_are_remarked_together(finished: World) -> None:
    for name in (FIRST, LEAF):
        (finished.folder(name) / "digests.jsonl").unlink()
    assert finished.collect().remarks == (f"{FIRST} and 1 more: {validation.NO_DIGESTS}",)


def test_steps_without_digests_are_remarked(finished: World) -> None:
    """A loss of power may take the end of one file and not of the other."""
    path = finished.folder(BASELINE) / "digests.jsonl"
    edited(path, without(15))
    result = finished.collect()
    (remark,) = result.remarks
    assert result.unfinished == {} and f"{BASELINE}: {path} has no line of step 15" in remark


def test_a_fine_tuning_without_scores_is_left_out(finished: World) -> None:
    (finished.folder(LEAF) / SCORES).unlink()
    assert "has no scores" in finished.collect().unfinished[LEAF]


@pytest.fixture
def by_t5x(finished: World) -> tuple[Path, dict[int, dict[str, float]]]:
    """The baseline's later half as T5X would have left it, without its event files; its numbers."""
    pytest.importorskip("jax", reason="JAX is missing: install the tier train")
    home = finished.folder(BASELINE)
    logged = {
        step: dict(values) for step, values in step_lines.read_steps(home / "metrics.jsonl").items()
    }
    for name in ("metrics.jsonl", "digests.jsonl"):
        (home / name).unlink()
    (home / "config.gin").write_text("RANDOM_SEED = 0\nMODEL_DIR = '/here'\n", "utf-8")
    for values in logged.values():
        values["train/grad_norm"] = values["train/loss"] / 2
    return home, logged


def test_overlapping_event_files_give_one_series_and_the_newest_counts(
    finished: World, by_t5x, tmp_path: Path
) -> None:
    """The time in a file's name decides, not the order of names or of writing."""
    home, logged = by_t5x
    write_start(home, logged, time=8, seed=0)
    once = finished.collect()
    assert once.remarks == () and once.unfinished == {}
    losses = rows(once.metrics, node=BASELINE, metric="validation/sc_loss_clean")
    assert list(losses["value"]) == [8.5, 8.0]
    (config,) = (each["config_gin"] for each in once.provenance if "config_gin" in each)
    assert config.startswith("RANDOM_SEED = 0\n")
    # Preempted after step 20: the second start goes on from 10, and is preempted after 15.
    second = {15: logged[15] | {"train/loss": 1.0, "train/rtd_precision": 0.5}}
    write_start(home, logged, time=10, seed=0)
    write_start(home, second, time=9, seed=0)
    twice = finished.collect()
    pd.testing.assert_frame_equal(twice.metrics, once.metrics)
    (remark,) = twice.remarks
    assert f"{home / 'train'}: " in remark and "(train/loss 85 and 1)" in remark
    assert finished.collected_bytes(tmp_path / "b") == finished.collected_bytes(tmp_path / "c")


@pytest.mark.parametrize(
    ("steps", "drop", "seed", "fault"),
    [
        ((20,), "", 0, "gap in train/grad_norm, train/loss and 1 more: step 15 missing"),
        ((15, 20), "train/grad_norm", 0, "gap in train/grad_norm: step 20 missing"),
        ((15, 20, 18), "", 0, "this run does not log step 18"),
        ((15, 20), "", 1, "is of another run: its RANDOM_SEED is 1, and this run's 0"),
    ],
)
def test_faulty_event_files_are_named(
    finished: World, by_t5x, steps, drop: str, seed: int, fault: str
) -> None:
    home, logged = by_t5x
    logged[18] = logged[20]
    logged[20] = {name: value for name, value in logged[20].items() if name != drop}
    write_start(home, {step: logged[step] for step in steps}, time=5, seed=seed)
    reason = finished.collect().unfinished[BASELINE]
    assert fault in reason and str(home / "train") in reason


def test_attempts_of_t5x_that_read_other_data_are_of_two_runs(finished: World, by_t5x) -> None:
    """Lines as `spactor.t5x.stream.TrainStream` writes them."""
    home, logged = by_t5x
    write_start(home, logged, time=5, seed=0)

    def read(*batches: str) -> None:
        lines = [{"step": 15, "run": "", "seed": 0, "batch": batch} for batch in batches]
        write_lines(home / "digests.jsonl", lines)

    read("aa", "aa")
    assert finished.collect().unfinished == {}
    read("aa", "bb")
    reason = finished.collect().unfinished[BASELINE]
    assert "two attempts read different data at step 15" in reason
