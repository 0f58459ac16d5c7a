"""The T5X engine without T5X: its command, its refusals, and the folders that it reads."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from untrained import BRANCH, FIRST, LEAF, SCORES, FakeEngine, run_nodes

from analysis.compiled.t5x_step import GIN
from repro import folders, identity
from repro.collect import collect
from repro.engines import t5x, t5x_command, t5x_gin_text
from repro.engines.contract import ALONE, Hosts, Work
from repro.engines.data import PreparedData
from repro.engines.factory import engine_for, with_engine
from repro.engines.t5x import T5XEngine
from repro.plan import Finetuning, Segment, Tree, build
from repro.specs import Profile, load_profile
from spactor.config import PAPER
from spactor.data.manifest import examples_file
from spactor.data.suites import EMBEDDED
from spactor.errors import UserError
from spactor.metrics import Events

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "repro" / "t5x_golden"
STUDY = TESTS.parent / "results" / "study" / "study.toml"


def thirty(**settings: Any) -> Profile:
    return dataclasses.replace(load_profile(str(TESTS / "t5x" / "thirty.toml")), **settings)


def switched(profile: Profile) -> Tree:
    """Stage 1, stage 2 and a fine-tuning."""
    return build(profile, profile.select(taus=["250K"]))


def work_on(name: str, tree: Tree, folder: Path, data: Path = Path("/data")) -> Work:
    node = tree.nodes[name]
    return Work(
        profile=tree.profile,
        node=node,
        data=PreparedData(folder=data, manifest={"corpus": {"version": "3.0.1"}}),
        folder=folder,
        parent=Path("/runs") / node.parent if node.parent else None,
    )


def arguments(
    name: str, tree: Tree, released: Path | None = None, hosts: Hosts = ALONE
) -> list[str]:
    return t5x_command.arguments(work_on(name, tree, Path("/runs") / name), released, hosts)


PERIODS = "STATS_PERIOD=5 EVAL_PERIOD=5 CHECKPOINT_PERIOD=5 EVAL_STEPS=2"
TUNED = "INITIAL_STEP=30 SUITE='glue' TARGET_LENGTH=16 DATA_SHARDS=4 STATS_PERIOD=2"
COMMANDS = {
    FIRST: ("size", "pretrain hybrid embedded", f"TRAIN_STEPS=15 DATA_SHARDS=4 {PERIODS}"),
    BRANCH: (
        *("size", "pretrain span_corruption embedded second_stage"),
        f"TRAIN_STEPS=30 DATA_SHARDS=4 {PERIODS} "
        f"INITIAL_CHECKPOINT_PATH='/runs/{FIRST}/checkpoint_15'",
    ),
    LEAF: (
        *("size finetune", "embedded_suite"),
        f"TRAIN_STEPS=34 {TUNED} INITIAL_CHECKPOINT_PATH='/runs/{BRANCH}/checkpoint_30'",
    ),
}
"""The node's own gin files, shipped ones, and settings, in the order of the command."""


def test_commands_of_a_tree() -> None:
    tree = switched(thirty())
    assert list(tree.nodes) == list(COMMANDS)
    for name, (own, shipped, settings) in COMMANDS.items():
        always = (f"MODEL_DIR='/runs/{name}'", "DATA_FOLDER='/data'", "RANDOM_SEED=0")
        assert arguments(name, tree) == [
            *(sys.executable, "-m", "t5x.train"),
            *(f"--gin_file=/runs/{name}/gin/{file}.gin" for file in own.split()),
            *(f"--gin_file=spactor/t5x/gin/{file}.gin" for file in shipped.split()),
            *(f"--gin.{setting}" for setting in (*always, *settings.split())),
        ]


def test_commands_on_released_data() -> None:
    paper = load_profile("paper")
    tree = build(paper, paper.select(["base"], ["250K"], [0]))
    mine = Path("/mine")
    own = ("DATA_FOLDER='/mine'", "VOCABULARY_FILE='/data/sentencepiece.model'")
    assert {segment.stage for segment in tree.segments()} == {"hybrid", "span_corruption"}
    for segment in tree.segments():
        given = arguments(segment.name, tree, mine)
        shipped = ("pretrain", segment.stage, "c4")
        assert [word for word in given if word.startswith("--gin_file=spactor")][:3] == [
            f"--gin_file=spactor/t5x/gin/{part}.gin" for part in shipped
        ]
        assert {f"--gin.{setting}" for setting in (*own, "C4_VERSION='3.0.1'")} <= set(given)
    leaf = next(node.name for node in tree.finetunings() if node.suite == "glue")
    given = arguments(leaf, tree, mine)
    assert "--gin_file=spactor/t5x/gin/benchmark.gin" in given
    wanted = (*own, "SUITE='glue'", "TARGET_LENGTH=84", "TRAIN_STEPS=762144")
    assert {f"--gin.{setting}" for setting in wanted} <= set(given)
    assert not any("C4_VERSION" in word for word in given)


def test_hosts_are_flags_of_t5x() -> None:
    tree = switched(thirty())
    known = "--coordinator_address=one:8476 --process_count=16 --process_index=3"
    for coordinator, named in (("", ""), ("one:8476", known)):
        given = arguments(FIRST, tree, hosts=Hosts(count=16, number=3, coordinator=coordinator))
        more = [word for word in given if word not in arguments(FIRST, tree)]
        assert more == ["--multiprocess_gpu", *named.split()]


def with_examples(folder: Path, *tasks: str) -> Path:
    """A prepared folder with examples of these tasks of ``glue`` and none of its others."""
    for task in EMBEDDED["glue"].tasks:
        path = folder / examples_file("glue", task.name, "validation")
        path.parent.mkdir(parents=True)
        path.write_text("{}\n" if task.name in tasks else "")
    return folder


def test_scored_tasks_are_those_whose_files_t5x_writes(tmp_path: Path) -> None:
    prepared = with_examples(tmp_path, "order", "acceptability")
    embedded = t5x_command.scored_tasks("embedded", "glue", prepared)
    assert embedded == ["spactor_glue_acceptability", "spactor_glue_order"]
    glue = t5x_command.scored_tasks("c4", "glue", tmp_path)
    assert glue[:2] == ["spactor_benchmark_glue_cola", "spactor_benchmark_glue_mnli_matched"]
    assert len(glue) == 9


def bindings(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_the_paper_profiles_nodes_have_the_shipped_gin() -> None:
    tree = build(load_profile("paper"))
    # Every segment begins and ends on a checkpoint.
    t5x_command.require_runnable(tree)
    for node in tree.nodes.values():
        texts = t5x_command.gin_texts(node)
        shipped = (GIN / f"{node.size}.gin").read_text("utf-8")
        assert bindings(texts["size.gin"]) == bindings(shipped)
        if isinstance(node, Finetuning):
            kind = "finetune_flan" if node.suite in ("mmlu", "bbh") else "finetune"
            shipped = (GIN / f"{kind}.gin").read_text("utf-8")
            assert bindings(texts["finetune.gin"]) == bindings(shipped)


def test_activations_are_bfloat16_only_in_the_papers_models() -> None:
    assert {t5x_gin_text.dtype_of(config) for config in PAPER.values()} == {"bfloat16"}
    sizes = [*load_profile("mini").sizes.values(), *load_profile("micro").sizes.values()]
    assert {t5x_gin_text.dtype_of(config) for config in sizes} == {"float32"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"total_steps": 48}, "250K ends at step 12, .* validation_period_steps a divisor of 12"),
        ({"validation_period_steps": 10}, "5 to be a multiple of validation_period_steps 10"),
        ({"log_period_steps": 2}, "to be one of log_period_steps 2"),
        ({"validation_chunks": 3}, "whole batches of 4, and validation_chunks is 3"),
    ],
)
def test_steps_that_t5x_would_not_save_are_refused(settings: dict[str, int], message: str) -> None:
    tree = build(thirty(**settings))
    with pytest.raises(UserError, match=message) as caught:
        t5x_command.require_runnable(tree)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["micro", "mini", "paper", str(STUDY)])
def test_t5x_trains_the_shipped_profiles(name: str) -> None:
    profile = load_profile(name)
    tree = build(with_engine(profile, "t5x"))
    t5x_command.require_runnable(tree)
    scratch = [node.name for node in tree.finetunings() if node.parent is None]
    assert bool(scratch) == (name not in ("mini", "paper"))
    for leaf in scratch:
        given = arguments(leaf, tree)
        assert {"--gin.INITIAL_CHECKPOINT_PATH=[]", "--gin.INITIAL_STEP=0"} <= set(given)


def test_a_curriculum_names_the_local_engine() -> None:
    curriculum = load_profile("curriculum")
    tree = build(with_engine(curriculum, "t5x"), curriculum.select(variants=["rtd-linear"]))
    with pytest.raises(UserError, match=r"rtd-linear/.*curriculum.*--engine local"):
        t5x_command.require_runnable(tree)
    # T5X's models would refuse it too.
    faded = next(node for node in tree.segments() if "rtd-linear" in node.name)
    assert "curriculum = @config.CurriculumConfig()" in t5x_command.gin_texts(faded)["size.gin"]


def test_without_t5x_the_error_names_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t5x.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"t5x and airio and jestimator.*t5x-sources\.txt"):
        T5XEngine(Path("cache")).check(build(thirty()))


def test_the_engine_of_a_profile_and_another(tmp_path: Path) -> None:
    smoke = load_profile("smoke")
    assert not isinstance(engine_for(smoke, tmp_path), T5XEngine)
    assert isinstance(engine_for(with_engine(smoke, "t5x"), tmp_path), T5XEngine)
    assert not isinstance(engine_for(with_engine(thirty(), "local"), tmp_path), T5XEngine)


def test_engines_share_no_node() -> None:
    files = {"tokens_train.npy": "1f", "documents_train.jsonl": "2e", "sentencepiece.model": "3d"}
    profile = load_profile("smoke")
    local = identity.identities(build(profile), files, {})
    other = identity.identities(build(with_engine(profile, "t5x")), files, {})
    assert not {found.fingerprint for found in local.values()} & {
        found.fingerprint for found in other.values()
    }
    first = next(iter(other))
    assert set(other[first].inputs["data"]) == {"documents_train.jsonl", "sentencepiece.model"}
    assert set(local[first].inputs["data"]) == {"tokens_train.npy"}
    lines = identity.differences(local[first].inputs, other[first].inputs)
    assert "engine was local, is t5x" in lines


def test_code_of_t5x_that_trains_nothing_changes_no_node() -> None:
    digests = identity.program(Segment, "t5x")["code"]
    ours = {name for name in digests if name.startswith(("spactor.t5x.", "repro."))}
    names = ("checkpoint", "features", "models", "restore", "stream", "tasks")
    assert ours == {"repro.engines.t5x_gin_text", *(f"spactor.t5x.{name}" for name in names)}


def test_a_folder_of_runs_has_one_engine(tree: Tree, runs: Path, engine: FakeEngine) -> None:
    """Neither engine's nodes are taken for the other's, nor set aside by it."""
    run_nodes(tree, runs, engine)
    assert folders.engine_of(runs, "tiny") == "local"
    other = dataclasses.replace(tree, profile=with_engine(tree.profile, "t5x"))
    done = list(engine.ran)
    with pytest.raises(UserError, match=r"has runs of the engine local: give --engine"):
        run_nodes(other, runs, engine)
    assert engine.ran == done and not (runs / "tiny" / "stale").exists()
    assert run_nodes(tree, runs, engine).ran == ()
    fresh = folders.open_runs(runs.parent / "fresh", create=True)
    assert set(run_nodes(other, fresh, engine).ran) == set(tree.nodes)
    assert folders.engine_of(fresh, "tiny") == "t5x"


@pytest.fixture
def golden_tree() -> Tree:
    """The tree of the golden folders: τ at step 10, fine-tuning at 20 for 8 steps."""
    profile = thirty(total_steps=40)
    finetuning = dataclasses.replace(
        profile.finetuning["glue"], total_steps=8, evaluation_period_steps=4
    )
    return switched(
        dataclasses.replace(profile, finetuning=types.MappingProxyType({"glue": finetuning}))
    )


@pytest.fixture
def golden_runs(runs: Path, golden_tree: Tree) -> Path:
    folders.claim(runs, "thirty", "t5x")
    known = identity.identities(golden_tree, {}, {})
    for name, golden in ((FIRST, "stage1"), (BRANCH, "stage2"), (LEAF, "finetuning")):
        folder = folders.node_folder(runs, "thirty", name)
        shutil.copytree(GOLDEN / golden, folder)
        print_ = {"fingerprint": known[name].fingerprint}
        folders.write_json(folder / folders.NODE, {"inputs": dict(known[name].inputs)} | print_)
        folders.write_json(folder / folders.PROVENANCE, {"data": {}})
        folders.write_json(folder / folders.DONE, print_)
    return runs


def test_the_collector_counts_fine_tuning_from_zero(golden_tree: Tree, golden_runs: Path) -> None:
    found = collect(golden_tree, golden_runs)
    assert found.unfinished == {} and len(found.provenance) == 3
    metrics = found.metrics
    glue = metrics[metrics["suite"] == "glue"]
    assert set(glue["step"]) == {4, 8} and set(glue["task"]) == {"acceptability", "order"}
    losses = metrics[metrics["metric"] == "validation/sc_loss_clean"]
    assert list(losses["step"]) == [5, 10, 15, 20]
    # Of each start the first period is not timed: one period is left of each stage.
    assert list(zip(found.timing["metric"], found.timing["step"], strict=True)) == [
        ("timing/seqs_per_second/hybrid", 10),
        ("timing/seqs_per_second/span_corruption", 20),
    ]
    path = folders.node_folder(golden_runs, "thirty", LEAF) / SCORES
    path.write_text(path.read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    left_out = collect(golden_tree, golden_runs).unfinished
    assert f"{path}: gap in scores: step 28 missing" in left_out[LEAF]


def saved(folder: Path) -> list[int]:
    return sorted(int(path.name.split("_")[1]) for path in folder.glob("checkpoint_*"))


def with_checkpoints(folder: Path, *steps: int) -> Path:
    for step in steps:
        (folder / f"checkpoint_{step}" / "state").mkdir(parents=True)
    return folder


def test_steps_that_a_kill_left_unmeasured_are_trained_again(
    golden_tree: Tree, tmp_path: Path
) -> None:
    folder = tmp_path / "second"
    work = work_on(BRANCH, golden_tree, folder)
    shutil.copytree(GOLDEN / "stage2", folder)
    with_checkpoints(folder, 10, 15, 20)
    t5x.remove_unmeasured(work)
    assert saved(folder) == [10, 15, 20]
    evaluation = folder / "training_eval" / "spactor_docstrings"
    shutil.rmtree(evaluation)
    losses = Events(evaluation)
    losses.write(15, {"sc_loss_clean": 6.0})
    losses.close()
    # Killed behind the save of step 20, before its evaluation.
    assert t5x.first_unmeasured(work) == 20
    t5x.remove_unmeasured(work)
    assert saved(folder) == [10, 15]
    # Killed before an event file was begun.
    shutil.rmtree(evaluation)
    evaluation.mkdir()
    t5x.remove_unmeasured(work)
    assert saved(folder) == [10], "the parent's last state is no work of this node"

    leaf = tmp_path / "leaf"
    shutil.copytree(GOLDEN / "finetuning", leaf)
    home = leaf / "inference_eval"
    prepared = with_examples(tmp_path / "prepared", "order", "acceptability")
    with_checkpoints(leaf, 20, 24, 28)
    work = work_on(LEAF, golden_tree, leaf, prepared)
    t5x.remove_unmeasured(work)
    assert saved(leaf) == [20, 24, 28]
    path = home / "spactor_glue_order-metrics.jsonl"
    path.write_text(path.read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    t5x.remove_unmeasured(work)
    assert saved(leaf) == [20, 24]
