"""Exporting a finished node: which one is chosen, what is written, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import jax
import numpy as np
import pytest
from commands import run
from untrained import FakeEngine, run_nodes

from repro import export, folders, plan
from repro.engines.contract import Work
from repro.engines.data import PreparedData
from repro.plan import Finetuning, Node, Tree
from repro.specs import Profile, load_profile
from spactor import huggingface, step
from spactor.checkpoints import Checkpoints
from spactor.config import PretrainConfig, Stage
from spactor.data import manifest
from spactor.data.building import folder_of
from spactor.errors import UserError

HYBRID = "base/s0/hybrid/0-60K"
BASELINE = "base/s0/sc/0-500K"
FINETUNED = f"{BASELINE.removesuffix('/0-500K')}/500K/finetune-glue/f0"


@pytest.fixture(scope="module")
def prepared(smoke_data: Path) -> PreparedData:
    return PreparedData(folder=smoke_data, manifest=manifest.read(smoke_data))


class SavingEngine(FakeEngine):
    """Trains nothing: saves a fresh state, of another seed per node, as the local engine would."""

    def __init__(self, prepared: PreparedData, runs: Path) -> None:
        super().__init__()
        self.prepared = prepared
        self._cache = folders.cache_folder(runs)

    def prepare(self, profile: Profile, report: Callable[[str], None]) -> PreparedData:
        folder = folder_of(self._cache, self.prepared.manifest["fingerprint"])
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(self.prepared.folder)
        return PreparedData(folder=folder, manifest=self.prepared.manifest)

    def run(self, work: Work, observer: object) -> None:
        config, stage, end = trained(work.node)
        with closing(Checkpoints(work.folder, config, stage)) as checkpoints:
            checkpoints.save(step.init_state(config, end, stage), end)


def trained(node: Node) -> tuple[PretrainConfig, Stage, int]:
    """A node's configuration of the model, its stage and its last step."""
    if isinstance(node, Finetuning):
        return node.pretraining, "span_corruption", node.config.total_steps
    return node.config, node.stage, node.end_step


@pytest.fixture(scope="module")
def tree() -> Tree:
    """Three finished nodes of the smoke profile, and one that never began."""
    smoke = load_profile("smoke")
    whole = plan.build(smoke, smoke.select(["base"]))
    wanted = (HYBRID, BASELINE, FINETUNED)
    return dataclasses.replace(whole, nodes={name: whole.nodes[name] for name in wanted})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tree: Tree, prepared: PreparedData) -> Path:
    runs = folders.open_runs(tmp_path_factory.mktemp("finished") / "runs", create=True)
    run_nodes(tree, runs, SavingEngine(prepared, runs))
    return runs


def options(runs: Path, target: Path) -> tuple[str, ...]:
    return "--profile", "smoke", "--runs", str(runs), "--to", str(target)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (("--node", HYBRID), HYBRID),
        (("--size", "base", "--tau", "0", "--checkpoint", "500K"), BASELINE),
        (("--node", FINETUNED), FINETUNED),
    ],
)
def test_a_finished_node_is_written_by_the_command(
    capsys, tmp_path: Path, runs: Path, tree: Tree, prepared: PreparedData, choice, name: str
) -> None:
    target = tmp_path / "model"
    arguments = (*choice, *options(runs, target))
    assert run(capsys, "export", *arguments) == (0, f"{name}: {target}\n", "")
    config, _, end = trained(tree.nodes[name])
    expected = step.init_state(config, end, "span_corruption").params
    jax.tree.map(np.testing.assert_array_equal, expected, huggingface.load(target, config.model))
    model = (prepared.folder / manifest.VOCABULARY_FILE).read_bytes()
    assert (target / "spiece.model").read_bytes() == model
    text = (target / "spactor.json").read_text("utf-8")
    about = json.loads(text)
    assert (about["node"], about["profile"]) == (name, "smoke")
    folder = folders.node_folder(runs, "smoke", name)
    assert about["fingerprint"] == folders.read_json(folder / folders.DONE)["fingerprint"]
    # It may be published, so nothing in it identifies the machine.
    assert not {"machine", "command", "platform", "attempts"} & set(about)
    assert str(runs) not in text


def test_a_fine_tuned_model_has_the_dropout_of_fine_tuning(tree: Tree) -> None:
    node = tree.nodes[FINETUNED]
    changed = dataclasses.replace(node, config=dataclasses.replace(node.config, dropout_rate=0.3))
    assert export._model(changed) == dataclasses.replace(node.pretraining.model, dropout_rate=0.3)
    assert export._model(tree.nodes[HYBRID]) == tree.nodes[HYBRID].config.model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--node", "base/s9/sc"], "profile smoke has no node 'base/s9/sc'"),
        (["--node", HYBRID, "--tau", "0"], f"has no node '{HYBRID}'"),
        (["--node", HYBRID, "--checkpoint", "60K"], "leave --checkpoint out"),
        ([], "5 experiments match: select one with --size, --tau and --seed"),
        (["--size", "base", "--tau", "60K", "--checkpoint", "1M"], "give one of 60K, 500K"),
        (["--size", "base", "--tau", "33K"], "has no τ '33K'"),
        (["--size", "large", "--tau", "120K"], "large/s0/tau120K/120K-500K is not begun"),
    ],
)
def test_mistakes(refused, tmp_path: Path, runs: Path, arguments: list[str], message: str) -> None:
    assert message in refused("export", *arguments, *options(runs, tmp_path / "model"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def copy(runs: Path, tmp_path: Path) -> Path:
    """A copy of the runs, to be changed."""
    shutil.copytree(runs, tmp_path / "runs", symlinks=True)
    return tmp_path / "runs"


def refusal(tree: Tree, runs: Path, prepared: PreparedData) -> str:
    """The message with which exporting HYBRID is refused."""
    target = runs.parent / "model"
    with pytest.raises(UserError) as caught:
        export.export(tree, tree.nodes[HYBRID], runs, SavingEngine(prepared, runs), target)
    assert not target.exists() and "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unfinished_node(tree: Tree, copy: Path, prepared: PreparedData) -> None:
    (folders.node_folder(copy, "smoke", HYBRID) / folders.DONE).unlink()
    message = refusal(tree, copy, prepared)
    assert message.startswith(f"{HYBRID} is not finished: `repro run --profile smoke")
    assert message.endswith("` trains it")


def test_a_stale_node(tree: Tree, copy: Path, prepared: PreparedData) -> None:
    node = tree.nodes[HYBRID]
    config = dataclasses.replace(node.config, batch_size=8)
    changed = dataclasses.replace(
        tree, nodes={**tree.nodes, HYBRID: dataclasses.replace(node, config=config)}
    )
    message = refusal(changed, copy, prepared)
    assert message.startswith(f"{HYBRID} is stale, config.batch_size was 4, is 8: `repro run --")
    assert message.endswith("` renews it")


def test_a_vocabulary_that_is_gone_or_changed(
    tree: Tree, copy: Path, prepared: PreparedData
) -> None:
    [link] = folders.cache_folder(copy).iterdir()
    link.unlink()
    assert f"{link}/manifest.json: cannot be read" in refusal(tree, copy, prepared)
    shutil.copytree(prepared.folder, link)
    (link / manifest.VOCABULARY_FILE).write_bytes(b"other")
    message = refusal(tree, copy, prepared)
    assert f"{link / manifest.VOCABULARY_FILE} has changed since it was written" in message
