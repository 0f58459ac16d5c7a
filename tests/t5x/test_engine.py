"""The smoke of T5X: `repro run` with stock T5X through both stages, fine-tuning and Table 2."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from flax import traverse_util
from repro_process import FIRST, LEAF, PROFILE, SECOND, SELECTION, node, run, start, untimed
from t5x_process import TIMEOUT, assert_same, leaves

from analysis.schema import records
from repro import collect, folders, step_lines
from repro.engines.contract import Work
from repro.engines.t5x import T5XEngine
from repro.plan import build
from repro.specs import load_profile
from repro.step_lines import read_steps
from spactor.step import HYBRID_ONLY
from spactor.t5x import convert

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("t5x_installed")]


def test_both_stages_fine_tuning_and_table_2(finished: Path) -> None:
    run("collect", finished)
    printed = run("table", finished, "2")
    rows = [line.split() for line in printed.splitlines()]
    flops, glue = next(row[2:4] for row in rows if row[:2] == ["250K", "500K"])
    assert float(flops) > 1 and 0 <= float(glue) <= 100
    metrics = records.read(finished / "thirty" / "records" / collect.METRICS)
    # The first stage is τ = ∞'s as well.
    metrics = metrics[metrics["tau"] == "250K"]
    validation = metrics[metrics["metric"] == "validation/sc_loss_clean"]
    assert sorted(validation["step"]) == [5, 10, 15, 20, 25, 30]
    assert set(metrics[metrics["metric"] == "validation/rtd_loss"]["step"]) == {5, 10, 15}
    scores = metrics[metrics["suite"] == "glue"]
    assert set(scores["step"]) == {2, 4}
    assert set(scores["task"]) == {"acceptability", "order"}
    assert "3 were finished already" in run("run", finished, *SELECTION)


def test_a_finished_node_gives_its_discriminator(finished: Path, tmp_path: Path) -> None:
    tree = build(load_profile(str(PROFILE)))
    for name, step in ((FIRST, 15), (LEAF, 34)):
        params = T5XEngine(tmp_path).restore(tree.nodes[name], node(finished, name))
        saved = convert.read(node(finished, name) / f"checkpoint_{step}")["target"]
        assert set(params) == set(saved) - set(HYBRID_ONLY)
        assert_same(
            traverse_util.flatten_dict(params, sep="/"),
            {
                path: leaf
                for path, leaf in traverse_util.flatten_dict(saved, sep="/").items()
                if path.split("/")[0] in params
            },
        )


def test_the_switch_retains_the_discriminator_and_its_slots(finished: Path) -> None:
    first, second = node(finished, FIRST), node(finished, SECOND)
    before, after = leaves(first / "checkpoint_15"), leaves(second / "checkpoint_15")
    dropped = {name: leaf for name, leaf in before.items() if set(name.split("/")) & {*HYBRID_ONLY}}
    # Generator: relpos_bias, encoder_norm, projection, and a layer of 4 + 2 kernels and 2 norms;
    # RTD head: 2 kernels. Each has a value and four slots, of which T5X's m is unused.
    assert len(dropped) == 5 * (3 + 8 + 2)
    # Embedding; encoder: relpos_bias, encoder_norm, a layer of 8; decoder: the same and a second
    # attention with its norm; and the step.
    assert len(after) == 5 * (1 + 10 + 10 + 5) + 1
    assert_same({name: leaf for name, leaf in before.items() if name not in dropped}, after)
    moved = leaves(second / "checkpoint_30")
    assert not np.array_equal(
        moved["target/token_embedder/embedding"], after["target/token_embedder/embedding"]
    )


def test_a_branch_equals_one_unbroken_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """τ = ∞ shares stage 1 with τ = 250K; in two segments and in one it is the same run."""
    runs = tmp_path / "runs"
    shutil.copytree(finished, runs)
    assert "2 nodes ran" in run("run", runs, "--tau", "inf")
    (scores,) = (node(runs, "base/s0/hybrid/500K/finetune-glue/f0") / "inference_eval").glob(
        "*_order-metrics.jsonl"
    )
    assert set(read_steps(scores)) == {32, 34}

    alone = tmp_path / "alone.toml"
    text = PROFILE.read_text("utf-8")
    alone.write_text(text.replace('taus = ["0", "250K", "inf"]', 'taus = ["inf"]'), "utf-8")
    profile = load_profile(str(alone))
    whole = build(profile).nodes["base/s0/hybrid/0-500K"]
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    cache = folders.cache_folder(runs)
    engine = T5XEngine(cache)
    observed: list[int] = []
    data = engine.prepare(profile, lambda line: None)
    work = Work(profile=profile, node=whole, data=data, folder=tmp_path / "whole", parent=None)
    engine.run(work, lambda step, *_: observed.append(step))
    assert observed == [5, 10, 15, 20, 25, 30]
    branch = node(runs, "base/s0/hybrid/250K-500K")
    assert_same(leaves(tmp_path / "whole" / "checkpoint_30"), leaves(branch / "checkpoint_30"))


def test_other_checkpoints_and_a_fine_tuning_from_scratch(finished: Path, tmp_path: Path) -> None:
    """Stage 2 begins between two checkpoints, as at τ = 60K of the profile micro."""
    profile = tmp_path / "thirty.toml"
    text = PROFILE.read_text("utf-8").replace(
        "checkpoint_period_steps = 5", "checkpoint_period_steps = 10"
    )
    profile.write_text(f'{text}finetune_at = ["0"]\n', "utf-8")
    runs = tmp_path / "runs"
    assert "4 nodes ran" in run("run", runs, *SELECTION, profile=profile)
    saved = sorted(path.name for path in node(runs, SECOND).glob("checkpoint_*"))
    assert saved == ["checkpoint_15", "checkpoint_25", "checkpoint_30"]
    for name in (FIRST, SECOND):
        assert untimed(node(runs, name)) == untimed(node(finished, name))
    ends = [node(where, SECOND) / "checkpoint_30" for where in (runs, finished)]
    assert_same(*map(leaves, ends))

    scratch = node(runs, "base/s0/scratch/finetune-glue/f0")
    first, last = (convert.read(scratch / f"checkpoint_{step}") for step in (0, 4))
    assert HYBRID_ONLY[0] not in first["target"]
    kernels = [state["target"]["token_embedder"]["embedding"] for state in (first, last)]
    assert not np.array_equal(*kernels)
    run("collect", runs, profile=profile)
    metrics = records.read(runs / "thirty" / "records" / collect.METRICS)
    scores = metrics[(metrics["suite"] == "glue") & (metrics["checkpoint"] == 0)]
    assert set(scores["step"]) == {2, 4}


def test_a_run_whose_numbers_go_bad_is_ended_and_reported_as_diverged(tmp_path: Path) -> None:
    """The learning rate takes the parameters beyond what float32 holds."""
    profile = tmp_path / "thirty.toml"
    text = PROFILE.read_text("utf-8")
    profile.write_text(text.replace("learning_rate_factor = 0.02", "learning_rate_factor = 1e38"))
    runs = tmp_path / "runs"
    trained = start("run", runs, *SELECTION, profile=profile)
    _, err = trained.communicate(timeout=TIMEOUT)
    folder = node(runs, FIRST)
    divergence = folders.read_json(folder / folders.DIVERGED)["divergence"]
    assert trained.returncode == 2 and "Traceback" not in err
    named = step_lines.last_digests(folder / step_lines.DIGESTS)[divergence["step"]]
    assert named == {"batch": divergence["batch_digest"]}
    # T5X saves the state that it begins with.
    assert (divergence["value"], divergence["checkpoint_step"]) == ("nan", 0)
    status = run("status", runs, profile=profile)
    assert f"{FIRST}: diverged: {divergence['metric']} became {divergence['value']}" in status
