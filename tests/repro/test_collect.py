"""Collecting from node folders made by hand (by the fake engine, then doctored)."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import tables
from analysis import scores as selecting
from repro import collect, folders, published, records, series, step_lines, t5x_folder
from repro.plan import Tree
from repro.progress import Display
from repro.runner import Runner
from repro.specs import load_profile
from spactor.errors import UserError
from spactor.metrics import Events

FIRST = "base/s0/hybrid/0-250K"
LEAF = "base/s0/tau250K/1M/finetune-glue/f0"


def step_flops(config, stage: str) -> float:
    return 3.0 if stage == "hybrid" else 2.0


def pretraining_flops(config, tau_steps: float, steps: int) -> float:
    return 3.0 * min(tau_steps, steps) + 2.0 * max(0.0, steps - tau_steps)


def collected(tree: Tree, runs: Path) -> collect.Collected:
    return collect.collect(
        tree,
        runs,
        step_flops=step_flops,
        pretraining_flops=pretraining_flops,
        select=selecting.marked,
    )


@pytest.fixture
def finished(tree: Tree, runs: Path, engine, display: Display) -> Path:
    Runner(tree, runs, engine, display).run()
    return runs


def folder_of(runs: Path, node: str) -> Path:
    return folders.node_folder(runs, "tiny", node)


def rows(frame: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    for name, value in wanted.items():
        frame = frame[frame[name] == value]
    return frame


def test_a_series_runs_through_the_shared_prefix_of_every_tau(tree: Tree, finished: Path) -> None:
    metrics = collected(tree, finished).metrics
    for tau in ("0", "250K", "inf"):
        series = rows(metrics, tau=tau, metric="validation/sc_loss_clean")
        assert list(series["step"]) == [5, 10, 15, 20]
        assert list(series["paper_step"]) == [250_000, 500_000, 750_000, 1_000_000]
        assert list(series["value"]) == [9.5, 9.0, 8.5, 8.0]
    shared = rows(metrics, node=FIRST, metric="train/loss")
    assert sorted(shared["tau"]) == ["250K", "inf"]
    assert shared["fingerprint"].nunique() == 1


def test_scores_costs_and_facts(tree: Tree, finished: Path) -> None:
    metrics = collected(tree, finished).metrics
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
    # 20 steps: 5 hybrid ones at 3 and the rest at 2, or one kind only.
    assert cost["250K", 1_000_000] == 5 * 3 + 15 * 2
    assert cost["0", 500_000] == 20 and cost["inf", 1_000_000] == 60
    assert list(rows(metrics, metric="cost/step_flops/hybrid")["value"]) == [3.0]
    assert list(rows(metrics, metric="data/unigram_entropy_nats")["value"]) == [5.5]
    # 64 positions hold 70 tokens: 10 noise tokens in 3 spans, a target of 10 + 3 + 1 positions.
    assert list(rows(metrics, metric="data/target_text_fraction")["value"]) == [10 / 14]


def test_settings_have_the_names_and_the_digits_of_the_published_ones(
    tree: Tree, finished: Path
) -> None:
    metrics = collected(tree, finished).metrics
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
    # The tiny profile has GLUE alone, so there is nothing to say of FLAN.
    assert set(finetuning.index) == {n for n in default if n.startswith("finetuning/default/")}
    length = tree.profile.finetuning["glue"].total_steps
    assert finetuning.loc["finetuning/default/most_steps", "value"] == length


@pytest.mark.parametrize("table", [5, "finetuning"])
def test_the_paper_profile_has_the_published_settings(table: object) -> None:
    found = records.from_rows(
        {"source": "measured", "profile": "paper", **row}
        for row in collect._setting_rows(load_profile("paper"))
    )
    frame = published.load_finetuning() if table == "finetuning" else published.load(5)
    key = ["size", "metric"]
    both = frame.merge(found, on=key, suffixes=("", "_ours"), validate="one_to_one")
    assert len(both) == len(frame)
    numbers = both[both["value"].notna()]
    typical = numbers["metric"].str.endswith("_steps") & (table == "finetuning")
    exact = numbers[~typical]
    assert list(exact["value_ours"]) == list(exact["value"])
    # A.2: typically 250K to 300K; ours is one length in between.
    assert numbers.loc[typical, "value_ours"].between(250_000, 300_000).all()
    words = both[both["text"] != ""]
    assert list(words["text_ours"]) == list(words["text"])


def test_table_5_of_the_paper_profile_reads_as_published() -> None:
    found = records.from_rows(
        {"source": "measured", "profile": "paper", **row}
        for row in collect._setting_rows(load_profile("paper"))
    )
    ours, paper = tables.get(5).compute(found), tables.get(5).compute(published.load(5))
    for own, printed in zip(ours.rows, paper.rows, strict=True):
        assert [cell.text() for cell in own.cells] == [cell.text() for cell in printed.cells]


def test_the_clock_stays_out_of_the_metrics(tree: Tree, finished: Path) -> None:
    result = collected(tree, finished)
    assert not result.metrics["metric"].str.startswith("timing/").any()
    assert set(result.timing["metric"]) == {
        "timing/seqs_per_second/hybrid",
        "timing/seqs_per_second/span_corruption",
    }


def test_collecting_twice_and_after_a_resume_gives_the_same_bytes(
    tree: Tree, finished: Path, tmp_path: Path
) -> None:
    first = collect.write(collected(tree, finished), tmp_path / "a")
    path = folder_of(finished, FIRST) / "metrics.jsonl"
    # A kill tore the line of step 5; the resumed run wrote steps 3 to 5 again.
    whole = path.read_text()
    path.write_text('{"step": 4, "train/loss": 1.0}\n{"step": 5, "val\n' + whole)
    path.write_text(path.read_text().replace('{"step": 4, "train/loss": 1.0}\n', ""))
    second = collect.write(collected(tree, finished), tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_the_last_line_of_a_step_holds(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 2, "x": 1}\n{"step": 1, "x": 5}\n{"step": 2, "x": 3}\n{"step": 3, "')
    assert step_lines.read_steps(path) == {1: {"x": 5.0}, 2: {"x": 3.0}}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rubbish", "no JSON object"),
        ("[1]", "no step"),
        ('{"x": 1}', "no step"),
        ('{"step": "2", "x": 1}', "no step"),
        ('{"step": true, "x": 1}', "no step"),
        ('{"step": -1, "x": 1}', "no step"),
        ('{"step": 2, "x": "high"}', "x is 'high', no number"),
        ('{"step": 2, "x": NaN}', "no JSON object"),
        ('{"step": 2, "x": 1e999}', "1e999 is no finite number"),
        ('{"step": 2, "x": 1}}', "no JSON object"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "x": 1}\n' + line + '\n{"step": 3, "x": 1}\n')
    with pytest.raises(UserError, match=message) as caught:
        step_lines.read_steps(path)
    assert f"{path}, line 2: " in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"metrics\.jsonl: can't be read"):
        step_lines.read_steps(path)


def test_only_finished_nodes_count(tree: Tree, finished: Path) -> None:
    (folder_of(finished, FIRST) / folders.DONE).unlink()
    result = collected(tree, finished)
    assert result.unfinished[FIRST] == "not finished"
    assert set(result.metrics["tau"].unique()) <= {"", "0", "250K", "inf"}
    assert set(rows(result.metrics, metric="train/loss")["tau"]) == {"0"}
    assert result.unfinished[LEAF] == "its parent base/s0/tau250K/500K-1M does not count"


def test_a_parent_that_ran_again_excludes_what_is_below(tree: Tree, finished: Path) -> None:
    for name in (folders.NODE, folders.DONE, folders.PROVENANCE):
        path = folder_of(finished, FIRST) / name
        folders.write_json(path, folders.read_json(path) | {"fingerprint": "other"})
    path = folder_of(finished, FIRST) / "digests.jsonl"
    lines = [json.loads(line) | {"run": "other"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = collected(tree, finished)
    branch = "base/s0/tau250K/250K-500K"
    assert result.unfinished[branch] == f"its parent {FIRST} ran again since"


def test_nothing_finished_is_said(tree: Tree, runs: Path) -> None:
    with pytest.raises(UserError, match="nothing of profile tiny is finished"):
        collected(tree, runs)


def edited(path: Path, edit: Callable[[list[dict]], list[dict]]) -> None:
    lines = edit([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def bytes_of(tree: Tree, runs: Path, folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in collect.write(collected(tree, runs), folder)]


BASELINE = "base/s0/sc/500K-1M"


def test_overlapping_attempts_give_one_series_and_the_last_holds(
    tree: Tree, finished: Path, tmp_path: Path
) -> None:
    """Two preemptions: 15 was logged twice, 20 three times, by two attempts that disagree."""
    home = folder_of(finished, BASELINE)
    before = bytes_of(tree, finished, tmp_path / "a")
    wrong = {"train/loss": 1.0}
    edited(home / "metrics.jsonl", lambda lines: [*lines, lines[1] | wrong, *lines])
    edited(home / "digests.jsonl", lambda lines: [*lines, lines[1], *lines])
    result = collected(tree, finished)
    assert result.remarks == (
        f"{BASELINE}: {home / 'metrics.jsonl'}: two attempts logged step 20 differently "
        "(train/loss 80 and 1): the last one holds",
    )
    assert bytes_of(tree, finished, tmp_path / "b") == before
    assert bytes_of(tree, finished, tmp_path / "c") == before, "collecting changes nothing"


def test_attempts_that_agree_are_not_remarked(tree: Tree, finished: Path) -> None:
    home = folder_of(finished, BASELINE)
    # The clock may differ: what was logged last holds, and a step without one keeps the other.
    edited(
        home / "metrics.jsonl",
        lambda lines: [
            *lines,
            lines[0] | {"timing/seqs_per_second": 9.0},
            {name: value for name, value in lines[1].items() if "timing" not in name},
        ],
    )
    result = collected(tree, finished)
    assert result.remarks == () and result.unfinished == {}
    clock = rows(result.timing, node=BASELINE, metric="timing/seqs_per_second/span_corruption")
    assert list(clock["value"]) == [9.0, 7.0]


def without(*steps: int) -> Callable[[list[dict]], list[dict]]:
    return lambda lines: [line for line in lines if line["step"] not in steps]


FAULTS = {
    "gap": (
        "metrics.jsonl",
        without(15),
        "{path}: gap in train/, validation/: step 15 missing",
    ),
    "end": ("metrics.jsonl", without(20), "gap in train/, validation/: step 20 missing"),
    "nothing": (
        "metrics.jsonl",
        without(15, 20),
        "nothing of train/, validation/, where 2 points are due",
    ),
    "no validation": (
        "metrics.jsonl",
        lambda lines: [{k: v for k, v in line.items() if "valid" not in k} for line in lines],
        "nothing of validation/, where 2 points are due",
    ),
    "behind the end": (
        "metrics.jsonl",
        lambda lines: [*lines, lines[-1] | {"step": 25}],
        "step 25 is none that this run logs (15 to 20 in its periods)",
    ),
    "before the start": (
        "metrics.jsonl",
        lambda lines: [lines[0] | {"step": 5}, *lines],
        "step 5 is none that this run logs",
    ),
    "another period": (
        "metrics.jsonl",
        lambda lines: [*lines, lines[0] | {"step": 12}],
        "step 12 is none that this run logs",
    ),
    "another fingerprint": (
        "digests.jsonl",
        lambda lines: [lines[0] | {"run": "0123456789abcdef"}, *lines],
        "step 15 is of another run (0123456789ab)",
    ),
    "another seed": (
        "digests.jsonl",
        lambda lines: [lines[0] | {"seed": 7}, *lines],
        "step 15 is of seed 7, and this run has 0",
    ),
    "other data": (
        "digests.jsonl",
        lambda lines: [lines[0] | {"masks": "ff"}, *lines],
        "two attempts read different data at step 15",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_series_is_left_out_with_all_below_it_in_one_line(
    tree: Tree, finished: Path, fault: str
) -> None:
    name, edit, said = FAULTS[fault]
    path = folder_of(finished, BASELINE) / name
    edited(path, edit)
    result = collected(tree, finished)
    reason = result.unfinished[BASELINE]
    assert said.format(path=path) in reason and "\n" not in reason
    assert reason.endswith("mend that, or move the folder away and run again")
    leaf = "base/s0/sc/1M/finetune-glue/f0"
    assert result.unfinished == {
        BASELINE: reason,
        leaf: f"its parent {BASELINE} does not count",
    }
    left = set(result.metrics["node"])
    assert BASELINE not in left and leaf not in left and FIRST in left


def test_a_series_with_many_holes_is_called_sampled(tree: Tree) -> None:
    profile = dataclasses.replace(tree.profile, log_period_steps=1, validation_period_steps=10)
    node = next(node for node in tree.segments() if node.name == BASELINE)
    logged = {step: {"train/loss": 1.0} for step in (12, 13, 16, 20)}
    logged[20] |= {"validation/sc_loss_clean": 1.0}
    absent = series.missing(profile, node, logged, by_name=False)
    path = Path("metrics.jsonl")
    assert list(series._gaps(path, absent)) == [
        "metrics.jsonl: train/: sampled, 4 of 10 points are there"
    ]


def test_the_provenance_of_another_run_is_named(tree: Tree, finished: Path) -> None:
    path = folder_of(finished, BASELINE) / folders.PROVENANCE
    folders.write_json(path, folders.read_json(path) | {"fingerprint": "0123456789abcdef"})
    said = collected(tree, finished).unfinished[BASELINE]
    assert said.startswith(f"{path} is of another run (0123456789ab)")


def test_folders_without_digests_are_remarked_together(tree: Tree, finished: Path) -> None:
    for name in (FIRST, LEAF):
        (folder_of(finished, name) / "digests.jsonl").unlink()
    assert collected(tree, finished).remarks == (f"{FIRST} and 1 more: {series.NO_DIGESTS}",)


def test_steps_without_digests_are_remarked(tree: Tree, finished: Path) -> None:
    """A loss of power may take the end of one file and not of the other."""
    path = folder_of(finished, BASELINE) / "digests.jsonl"
    edited(path, without(15))
    result = collected(tree, finished)
    assert result.unfinished == {}
    assert result.remarks == (
        f"{BASELINE}: {path} has no line of step 15: whether what was logged there is of this run "
        "can't be checked",
    )


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (without(4), "gap in scores: step 4 missing"),
        (without(2), "gap in scores: step 2 missing"),
        (lambda lines: [*lines, lines[0] | {"step": 3}], "step 3 is none that this run logs"),
    ],
)
def test_faulty_scores_are_left_out(tree: Tree, finished: Path, edit, said: str) -> None:
    path = folder_of(finished, LEAF) / "inference_eval" / "spactor_glue_pair-metrics.jsonl"
    edited(path, edit)
    assert f"{path}: {said}" in collected(tree, finished).unfinished[LEAF]
    path.unlink()
    assert "no scores are there" in collected(tree, finished).unfinished[LEAF]


def test_scores_of_a_run_that_went_on_are_counted_once(
    tree: Tree, finished: Path, tmp_path: Path
) -> None:
    before = bytes_of(tree, finished, tmp_path / "a")
    path = folder_of(finished, LEAF) / "inference_eval" / "spactor_glue_pair-metrics.jsonl"
    edited(path, lambda lines: [lines[0], lines[1] | {"accuracy": 1.0}, *lines])
    assert bytes_of(tree, finished, tmp_path / "b") == before
    assert "accuracy 1 and 54" in collected(tree, finished).remarks[0]


class Started:
    """One start of T5X in a folder: its event files, as T5X names them."""

    def __init__(self, folder: Path, *, time: int, seed: int = 0) -> None:
        self.train = Events(folder / "train")
        self.evaluation = Events(folder / "training_eval" / "task")
        for events, number in ((self.train, 0), (self.evaluation, 1)):
            path = Path(events._file.name)
            path.rename(path.with_name(f"events.out.tfevents.{time}.vm.1.{number}.v2"))
        self._configure(seed)
        (folder / "config.gin").write_text("RANDOM_SEED = 0\nMODEL_DIR = '/here'\n", "utf-8")

    def _configure(self, seed: int) -> None:
        text = f"    RANDOM_SEED = {seed}\n    MODEL_DIR = '/elsewhere'\n".encode()
        summary = self.train._summary()
        value = summary.value.add(tag="config")
        value.tensor.dtype = 7
        value.tensor.string_val.append(text)
        value.metadata.plugin_data.plugin_name = "text"
        self.train._append(step=0, summary=summary)

    def log(self, lines: dict[int, dict[str, float]]) -> None:
        for step, values in lines.items():
            named = {k: v for k, v in values.items() if k.startswith("validation/")}
            others = {k.removeprefix("train/"): v for k, v in values.items() if k not in named}
            self.train.write(step, others)
            self.evaluation.write(
                step, {k.removeprefix("validation/"): v for k, v in named.items()}
            )

    def end(self) -> None:
        self.train.close()
        self.evaluation.close()


@pytest.fixture
def by_t5x(finished: Path) -> tuple[Path, dict[int, dict[str, float]]]:
    """The baseline's later half as T5X would have left it, without its event files; its numbers."""
    home = folder_of(finished, BASELINE)
    logged = {
        step: dict(values) for step, values in step_lines.read_steps(home / "metrics.jsonl").items()
    }
    for name in ("metrics.jsonl", "digests.jsonl"):
        (home / name).unlink()
    for values in logged.values():
        values["train/grad_norm"] = values["train/loss"] / 2
    return home, logged


def test_overlapping_event_files_give_one_series_and_the_last_holds(
    tree: Tree, finished: Path, by_t5x, tmp_path: Path
) -> None:
    home, logged = by_t5x
    only = Started(home, time=5)
    only.log(logged)
    only.end()
    once = collected(tree, finished)
    assert once.remarks == () and once.unfinished == {}
    # Preempted behind 20: the second start goes on from 10, and is preempted behind 15.
    second, third = Started(home, time=6), Started(home, time=7)
    second.log({15: logged[15] | {"train/loss": 1.0}})
    third.log(logged)
    for start in (second, third):
        start.end()
    twice = collected(tree, finished)
    pd.testing.assert_frame_equal(twice.metrics, once.metrics)
    assert twice.remarks == (
        f"{BASELINE}: {home / 'train'}: two attempts logged step 15 differently "
        "(train/loss 85 and 1): the last one holds",
    )
    assert bytes_of(tree, finished, tmp_path / "b") == bytes_of(tree, finished, tmp_path / "c")


def test_of_a_replayed_step_nothing_of_the_earlier_attempt_stays(by_t5x) -> None:
    home, logged = by_t5x
    first, second = Started(home, time=5), Started(home, time=6)
    first.log({20: logged[20] | {"train/rtd_precision": 0.5}})
    second.log({20: logged[20]})
    for start in (first, second):
        start.end()
    assert "train/rtd_precision" not in t5x_folder.read_series(home)[20]


@pytest.mark.parametrize(
    ("steps", "drop", "seed", "said"),
    [
        ((20,), "", 0, "gap in train/grad_norm, train/loss and 1 more: step 15 missing"),
        ((15, 20), "train/grad_norm", 0, "gap in train/grad_norm: step 20 missing"),
        ((15, 20, 18), "", 0, "step 18 is none that this run logs"),
        ((15, 20), "", 1, "is of another run: its RANDOM_SEED is 1, and this run's 0"),
    ],
)
def test_faulty_event_files_are_named(
    tree: Tree, finished: Path, by_t5x, steps, drop: str, seed: int, said: str
) -> None:
    home, logged = by_t5x
    logged[18] = logged[20]
    logged[20] = {name: value for name, value in logged[20].items() if name != drop}
    start = Started(home, time=5, seed=seed)
    start.log({step: logged[step] for step in steps})
    start.end()
    reason = collected(tree, finished).unfinished[BASELINE]
    assert said in reason and str(home / "train") in reason


def test_a_folder_that_t5x_wrote_is_read_as_t5x_writes(tree: Tree, finished: Path) -> None:
    """The segment's numbers as T5X would have left them: event files, no metrics.jsonl."""
    pytest.importorskip("jax")  # Of the tier `train`, as are the event files.
    folder = folder_of(finished, FIRST)
    before = collected(tree, finished).metrics
    logged = step_lines.read_steps(folder / "metrics.jsonl")
    (folder / "metrics.jsonl").unlink()
    train, evaluation = Events(folder / "train"), Events(folder / "training_eval" / "task")
    for step, values in logged.items():
        named = {k: v for k, v in values.items() if k.startswith("validation/")}
        train.write(
            step, {k.removeprefix("train/"): v for k, v in values.items() if k not in named}
        )
        evaluation.write(step, {k.removeprefix("validation/"): v for k, v in named.items()})
    train.close()
    evaluation.close()
    (folder / "config.gin").write_text("RANDOM_SEED = 0\n", "utf-8")
    after = collected(tree, finished)
    pd.testing.assert_frame_equal(
        rows(after.metrics, node=FIRST, metric="validation/sc_loss_clean").reset_index(drop=True),
        rows(before, node=FIRST, metric="validation/sc_loss_clean").reset_index(drop=True),
    )
    assert [r["config_gin"] for r in after.provenance if "config_gin" in r] == ["RANDOM_SEED = 0\n"]
