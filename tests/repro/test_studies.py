"""Studies: their cells, what they share with the main matrix, and their results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from analysis import scores
from analysis import variants as results
from analysis.flops import pretraining_flops, step_flops
from analysis.schema import records
from repro import collect, folders, studies
from repro.plan import Segment, build
from repro.runner import Runner
from repro.specs import Profile, load_profile, parse_profile, profile_names
from spactor.curriculum import weights_at
from spactor.errors import UserError


def configs(name: str, profile: str = "paper") -> dict[str, object]:
    tree = studies.tree(load_profile(profile), name)
    return {spec.variant: tree.profile.config_of(spec) for spec in tree.specs}


def test_the_papers_grids() -> None:
    grid = configs("lambda")
    found = sorted((c.objective.lambda_rtd, c.objective.lambda_sc) for c in grid.values())
    assert found == sorted((a, b) for a in (1, 10, 20, 50) for b in (1, 10, 20, 50))
    assert grid["rtd20-sc50"].objective.lambda_rtd == 20.0
    ratios = {name: config.corruption.mlm_ratio for name, config in configs("mlm").items()}
    assert ratios == {"": 0.15, "mlm5": 0.05, "mlm10": 0.10, "mlm20": 0.20, "mlm25": 0.25}
    generators = configs("generator")
    layers = {name: config.model.generator_num_layers for name, config in generators.items()}
    assert layers == {"": 4, "generator3": 3, "generator6": 6, "generator-decoder": 4}
    assert generators["generator-decoder"].model.generator_num_decoder_layers == 4
    means = configs("means")
    assert means["means"].objective.reduction == "mean_per_token"
    # 512 positions, 72 of them masked, 114 targets: λ1 = 10 · 512/72, λ2 = 10 · 114/72.
    assert means["means-reweighted"].objective.lambda_rtd == pytest.approx(71.11, abs=0.01)
    assert means["means-reweighted"].objective.lambda_sc == pytest.approx(15.83, abs=0.01)


def test_a_smaller_profile_keeps_the_generators_share() -> None:
    micro = configs("generator", "micro")
    layers = {name: config.model.generator_num_layers for name, config in micro.items()}
    assert layers == {"": 1, "generator6": 2, "generator-decoder": 1}  # of 3; 3 and 4 are both 1
    notes = studies.tree(load_profile("micro"), "generator").notes
    assert any("3 is 1, 4 is 1, 6 is 2" in note for note in notes)


def test_the_curricula_end_where_they_say() -> None:
    tree = studies.tree(load_profile("paper"), "curriculum")
    at = {
        (spec.variant, n): weights_at(tree.profile.config_of(spec), n)
        for spec in tree.specs
        for n in (0, 60_000, 120_000, 155_000, 250_000)
    }
    assert at["rtd-linear", 60_000].lambda_rtd == 10.0
    assert at["rtd-linear", 155_000].lambda_rtd == pytest.approx(5.0)
    assert at["rtd-linear", 250_000].lambda_rtd == 0.0
    assert at["sc-cosine", 250_000].lambda_sc == 20.0
    assert at["mlm-cosine", 0].masked_tokens == 72
    assert at["mlm-cosine", 250_000].masked_tokens == 24  # 483 · 0.05 = 24.15
    assert at["handover-linear", 120_000].lambda_rtd == 5.0
    assert at["handover-linear", 120_000].masked_tokens == 36


@pytest.mark.parametrize("study", studies.NAMES)
@pytest.mark.parametrize("profile", profile_names())
def test_a_study_shares_its_nodes_with_the_main_matrix(profile: str, study: str) -> None:
    chosen = load_profile(profile)
    main, tree = build(chosen), studies.tree(chosen, study)
    shared = [name for name in tree.nodes if name in main.nodes]
    assert "base/s0/hybrid/0-60K" in shared
    for name in shared:
        ours, theirs = tree.nodes[name], main.nodes[name]
        assert dataclasses.replace(ours, specs=()) == dataclasses.replace(theirs, specs=())
    for node in tree.nodes.values():
        end = node.end_paper if isinstance(node, Segment) else node.checkpoint_paper
        assert end <= studies.end_of(study)
    for spec in tree.specs:
        assert (spec.seed, tree.path(spec)[-1].end_paper) == (0, studies.end_of(study))
        start = (0,) if study == "scratch" else ()
        assert tree.checkpoints_of(spec) == (*start, studies.end_of(study))


def test_a_study_planned_at_micro() -> None:
    tree = studies.tree(load_profile("micro"), "mlm")
    assert [node.name for node in tree.segments()] == [
        "base/s0/hybrid/0-60K",
        "base/s0/hybrid/60K-120K",
        "base/s0/hybrid/120K-250K",
        "base/s0/mlm5/hybrid/0-250K",
        "base/s0/mlm10/hybrid/0-250K",
        "base/s0/mlm20/hybrid/0-250K",
        "base/s0/mlm25/hybrid/0-250K",
    ]
    assert len(tree.finetunings()) == 5 * 2
    assert tree.notes[1].endswith("fine-tuned on superglue and squad, as in the paper")
    assert tree.profile.suites == ("superglue", "squad")
    without = dataclasses.replace(load_profile("micro"), suites=("glue", "cnndm"))
    notes = studies.tree(without, "mlm").notes
    assert "glue and cnndm; the paper used SuperGLUE and SQuAD, which profile micro" in notes[1]


def test_scratch_holds_the_whole_way_against_no_way_at_all() -> None:
    tree = studies.tree(load_profile("micro"), "scratch")
    assert [str(spec.tau) for spec in tree.specs] == ["0", "120K"]
    leaves = tree.finetunings()
    suites = len(tree.profile.suites)
    # From scratch both τ are one; each is repeated five times.
    assert len(leaves) == (1 + 2) * suites * studies.SCRATCH_RUNS
    assert {node.checkpoint_paper for node in leaves} == {0, 1_000_000}
    scratch = [node for node in leaves if node.parent is None]
    assert {len(node.specs) for node in scratch} == {2}
    assert scratch[0].name == "base/s0/scratch/finetune-glue/f0"


def test_a_part_of_a_study() -> None:
    micro = load_profile("micro")
    tree = studies.tree(micro, "mlm", variants=["mlm5"])
    assert [spec.variant for spec in tree.specs] == ["mlm5"]
    many = dataclasses.replace(micro.matrix["base"], runs=5)
    repeated = dataclasses.replace(micro, matrix={**micro.matrix, "base": many})
    seeds = studies.tree(repeated, "mlm", seeds=[3, 4], variants=["mlm5"])
    assert [spec.seed for spec in seeds.specs] == [3, 4]
    paper = studies.tree(load_profile("paper"), "mlm", variants=["mlm5"])
    assert {node.finetune_seed for node in paper.finetunings()} == {0}
    for arguments, message in (
        (("sigma",), "unknown study 'sigma': give one of lambda, mlm"),
        (("mlm", [7]), "has no seed '7'"),
        (("mlm", [0], ["mlm6"]), "study mlm has no variant 'mlm6': it has mlm5, mlm10"),
    ):
        with pytest.raises(UserError, match=message):
            studies.tree(micro, *arguments)


def edited(old: str, new: str) -> Profile:
    from importlib import resources

    text = (resources.files("repro") / "profiles" / "smoke.toml").read_text("utf-8")
    assert old in text
    return parse_profile("mine", text.replace(old, new, 1), "mine.toml")


def test_a_profile_a_study_does_not_fit() -> None:
    taken = edited("[matrix.large]", "[variants.mlm5.objective]\nlambda_sc = 1.0\n[matrix.large]")
    with pytest.raises(UserError, match="has a variant 'mlm5' of its own"):
        studies.tree(taken, "mlm")
    # Its shared steps are cut at 130K and 200K alone; the ramps of the study would cut at 60K.
    elsewhere = edited(
        'taus = ["0", "60K", "120K", "inf"]\nruns = 1\ncheckpoints = ["500K", "1M"]\n'
        '[matrix.base.checkpoints_of]\n60K = ["500K"]',
        'taus = ["0", "130K", "200K", "inf"]\nruns = 1\ncheckpoints = ["500K", "1M"]',
    )
    studies.tree(elsewhere, "lambda")
    with pytest.raises(UserError, match="would cut the shared steps of base/s0/hybrid/130K-200K"):
        studies.tree(elsewhere, "curriculum")


def as_the_fake_engine_logs(profile: Profile) -> Profile:
    periods = ("log_period_steps", "validation_period_steps", "checkpoint_period_steps")
    return dataclasses.replace(profile, suites=("glue",), **dict.fromkeys(periods, 5))


def test_a_study_runs_beside_the_main_matrix_and_is_collected(runs: Path, engine, displays) -> None:
    profile = as_the_fake_engine_logs(load_profile("smoke"))
    main = build(profile, profile.select(sizes=["base"], taus=["120K"]))
    Runner(main, runs, engine, displays(main)).run()
    tree = studies.tree(profile, "curriculum")
    outcome = Runner(tree, runs, engine, displays(tree)).run()
    assert set(outcome.skipped) == {"base/s0/hybrid/0-60K", "base/s0/hybrid/60K-120K"}
    assert outcome.set_aside == ()
    again = Runner(main, runs, engine, displays(main)).run()
    assert again.ran == () and again.set_aside == ()

    collected = collect.collect(
        tree,
        runs,
        step_flops=step_flops,
        pretraining_flops=pretraining_flops,
        select=scores.marked,
    )
    metrics = collected.metrics
    assert set(metrics["variant"]) == {spec.variant for spec in tree.specs}
    series = metrics[(metrics["variant"] == "rtd-linear") & (metrics["metric"] == "train/loss")]
    assert sorted(series["step"]) == [5, 6, 10, 15, 20, 25], "through the shared steps"
    costs = metrics[metrics["metric"] == "cost/pretraining_flops"].set_index(["variant", "tau"])
    hybrid = step_flops(profile.sizes["base"], "hybrid")
    plain = step_flops(profile.sizes["base"], "span_corruption")
    assert costs.loc[("", "120K"), "value"] == pytest.approx(12 * hybrid + 13 * plain)
    # The hand-over's hybrid stage ends at 180K, step 18.
    assert costs.loc[("handover-cosine", "120K"), "value"] == pytest.approx(18 * hybrid + 7 * plain)
    assert set(costs["checkpoint"]) == {studies.END}

    found = results.run(metrics, tree.specs, studies.END)
    assert [(row.variant, row.tau) for row in found.rows][:3] == [
        ("", "120K"),
        ("", "inf"),
        ("rtd-linear", "inf"),
    ]
    assert all(row.loss == 10.0 - 25 / 10 and row.scores == {"glue": 54.0} for row in found.rows)
    lines = found.text().splitlines()
    assert lines[0].split() == ["variant", "τ", "seeds", "loss", "glue"]
    assert any(
        line.split() == ["handover-cosine", "120K", "1", "7.5000", "54.00"] for line in lines
    )


def test_what_was_not_run_is_said(runs: Path, engine, displays) -> None:
    profile = as_the_fake_engine_logs(load_profile("smoke"))
    part = studies.tree(profile, "curriculum", variants=["rtd-linear"])
    Runner(part, runs, engine, displays(part)).run()
    whole = studies.tree(profile, "curriculum")
    metrics = collect.collect(
        whole,
        runs,
        step_flops=step_flops,
        pretraining_flops=pretraining_flops,
        select=scores.marked,
    ).metrics
    rows = {(row.variant, row.tau): row for row in results.run(metrics, whole.specs, 250_000).rows}
    assert rows["rtd-linear", "inf"].seeds == 1
    # The shared first steps alone say nothing about the end.
    assert rows["rtd-cosine", "inf"].seeds == 0
    assert pd.isna(rows["rtd-cosine", "inf"].loss)
    text = results.run(metrics, whole.specs, 250_000).text()
    assert text.count("not run") == 2 * 7


def test_tables_and_figures_never_see_a_variant(tmp_path: Path, runs: Path) -> None:
    from repro.cli.app import measured

    row = {"source": "measured", "profile": "micro", "size": "base", "tau": "0", "metric": "m"}
    frame = records.from_rows([row | {"value": 1}, row | {"value": 2, "variant": "mlm5"}])
    path = tmp_path / "mixed.parquet"
    records.write(frame, path)
    read = measured(str(path), "micro", tmp_path)
    assert list(read.records["value"]) == [1.0]
    assert folders.open_runs(runs, create=False) == runs
