"""The profiles of studies: their settings, their experiments, and their results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest
from untrained import FakeEngine, run_nodes

from analysis import variants as results
from analysis.flops import step_flops
from analysis.schema import records
from repro.cli.options import Records
from repro.collect import collect
from repro.plan import build
from repro.profile_files import STUDIES
from repro.specs import ExperimentSpec, Profile, load_profile
from spactor.config import PAPER, PretrainConfig
from spactor.curriculum import weights_at

END = 250_000


def experiments_of(specs: Iterable[ExperimentSpec]) -> list[tuple[str, str]]:
    return [(spec.variant, str(spec.tau)) for spec in specs]


def configs(name: str) -> dict[str, PretrainConfig]:
    profile = load_profile(name)
    return {spec.variant: profile.config_of(spec) for spec in profile.specs()}


def test_the_papers_grids() -> None:
    found = [(c.objective.lambda_rtd, c.objective.lambda_sc) for c in configs("lambda").values()]
    assert sorted(found) == sorted((a, b) for a in (1, 10, 20, 50) for b in (1, 10, 20, 50))
    assert configs("lambda")["rtd20-sc50"].objective.lambda_rtd == 20.0
    ratios = {name: config.corruption.mlm_ratio for name, config in configs("mlm").items()}
    assert ratios == {"": 0.15, "mlm5": 0.05, "mlm10": 0.10, "mlm20": 0.20, "mlm25": 0.25}


def test_generators_have_the_papers_share_of_the_encoder() -> None:
    found = configs("generator")
    layers = {name: config.model.generator_num_layers for name, config in found.items()}
    # Of 3 encoder layers; of the paper's 12 they are 3 or 4, and 6.
    assert layers == {"": 1, "generator6": 2, "generator-decoder": 1}
    assert found["generator-decoder"].model.generator_num_decoder_layers == 1
    encoder = found[""].model.num_encoder_layers
    for paper, own in ((3, 1), (PAPER["base"].model.generator_num_layers, 1), (6, 2)):
        assert max(1, round(encoder * paper / PAPER["base"].model.num_encoder_layers)) == own


def test_means_are_reweighted_by_the_lengths_of_a_chunk() -> None:
    found = configs("means")
    lengths, objective = found[""].lengths, found[""].objective
    assert found["means"].objective == dataclasses.replace(objective, reduction="mean_per_token")
    assert found["means-reweighted"].objective == dataclasses.replace(
        found["means"].objective,
        lambda_rtd=objective.lambda_rtd * lengths.input_tokens / lengths.masked_tokens,
        lambda_sc=objective.lambda_sc * lengths.target_tokens / lengths.masked_tokens,
    )


def test_curricula_reach_their_end_values() -> None:
    profile = load_profile("curriculum")
    at = {
        (spec.variant, n): weights_at(profile.config_of(spec), profile.step_of(1000 * n))
        for spec in profile.specs()
        for n in (0, 60, 120, 155, 250)
    }
    assert at["rtd-linear", 60].lambda_rtd == 10.0
    assert at["rtd-linear", 155].lambda_rtd == pytest.approx(5.0)
    assert at["rtd-linear", 250].lambda_rtd == 0.0
    assert at["sc-cosine", 250].lambda_sc == 20.0
    assert at["mlm-cosine", 0].masked_tokens == 9
    assert at["mlm-cosine", 250].masked_tokens == 3  # 60 · 0.05
    assert at["handover-linear", 120].lambda_rtd == 5.0


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_microscopic_base_with_a_part_of_its_settings(name: str) -> None:
    study, micro = load_profile(name), load_profile("micro")
    base = micro.sizes["base"]
    if name == "generator":  # Its encoder needs the paper's three depths of generators.
        deeper = {"num_encoder_layers": 3, "num_decoder_layers": 3}
        base = dataclasses.replace(base, model=dataclasses.replace(base.model, **deeper))
    assert study.sizes == {"base": base} and study.data == micro.data
    assert {suite: micro.finetuning[suite] for suite in study.suites} == study.finetuning
    assert study.total_steps == micro.total_steps and list(study.matrix) == ["base"]
    for spec in study.specs():
        assert study.checkpoints_of(spec) == ((1_000_000,) if name == "scratch" else (END,))


def test_the_tree_of_a_study() -> None:
    tree = build(load_profile("mlm"))
    assert [node.name for node in tree.segments()] == [
        "base/s0/hybrid/0-250K",
        *(f"base/s0/{name}/hybrid/0-250K" for name in ("mlm5", "mlm10", "mlm20", "mlm25")),
    ]
    assert [node.suite for node in tree.finetunings()] == ["superglue", "squad"] * 5
    part = build(tree.profile, tree.profile.select(variants=["mlm5"]))
    assert [spec.variant for spec in part.specs] == ["mlm5"]
    curriculum = build(load_profile("curriculum"))
    # The ramps begin at 60K, so that step ends a segment that all the experiments share.
    shared = curriculum.nodes["base/s0/hybrid/0-60K"]
    assert set(shared.specs) == set(curriculum.specs)


def test_scratch_compares_with_models_that_were_not_pretrained() -> None:
    tree = build(load_profile("scratch"))
    assert [str(spec.tau) for spec in tree.specs] == ["0", "120K"]
    leaves = tree.finetunings()
    # From scratch both τ are one; each is repeated five times.
    assert len(leaves) == (1 + 2) * len(tree.profile.suites) * 5
    assert {node.checkpoint_paper for node in leaves} == {0, 1_000_000}
    scratch = [node for node in leaves if node.parent is None]
    assert {len(node.specs) for node in scratch} == {2}
    assert scratch[0].name == "base/s0/scratch/finetune-glue/f0"


@pytest.fixture
def curriculum() -> Profile:
    """The study, as long as the fake engine's runs."""
    periods = ("log_period_steps", "validation_period_steps", "checkpoint_period_steps")
    changes = {"suites": ("glue",), "total_steps": 100, **dict.fromkeys(periods, 5)}
    study = load_profile("curriculum")
    glue = {"glue": load_profile("smoke").finetuning["glue"]}
    return dataclasses.replace(study, finetuning=glue, **changes)  # type: ignore[arg-type]


def test_a_study_is_trained_and_collected(
    curriculum: Profile, runs: Path, engine: FakeEngine
) -> None:
    tree = build(curriculum)
    run_nodes(tree, runs, engine)
    metrics = collect(tree, runs).metrics
    assert set(metrics["variant"]) == {spec.variant for spec in tree.specs}
    series = metrics[(metrics["variant"] == "rtd-linear") & (metrics["metric"] == "train/loss")]
    assert sorted(series["step"]) == [5, 6, 10, 15, 20, 25], "through the shared steps"
    costs = metrics[metrics["metric"] == "cost/pretraining_flops"].set_index(["variant", "tau"])
    hybrid = step_flops(curriculum.sizes["base"], "hybrid")
    plain = step_flops(curriculum.sizes["base"], "span_corruption")
    assert costs.loc[("", "120K"), "value"] == pytest.approx(12 * hybrid + 13 * plain)
    # The hand-over's hybrid stage ends at 180K, step 18.
    assert costs.loc[("handover-cosine", "120K"), "value"] == pytest.approx(18 * hybrid + 7 * plain)
    assert set(costs["checkpoint"]) == {END}

    found = results.run(metrics, experiments_of(tree.specs), END)
    assert [(row.variant, row.tau) for row in found.rows][:3] == [
        ("", "120K"),
        ("", "inf"),
        ("rtd-linear", "inf"),
    ]
    assert all(row.loss == 10.0 - 25 / 10 and row.scores == {"glue": 54.0} for row in found.rows)
    lines = [line.split() for line in found.text().splitlines()]
    assert lines[0] == ["variant", "τ", "seeds", "loss", "glue"]
    assert ["handover-cosine", "120K", "1", "7.5000", "54.00"] in lines


def test_experiments_that_were_not_run(curriculum: Profile, runs: Path, engine: FakeEngine) -> None:
    part = build(curriculum, curriculum.select(variants=["rtd-linear"]))
    run_nodes(part, runs, engine)
    whole = build(curriculum)
    found = results.run(collect(whole, runs).metrics, experiments_of(whole.specs), END)
    rows = {(row.variant, row.tau): row for row in found.rows}
    assert rows["rtd-linear", "inf"].seeds == 1
    # The shared first steps alone are no result at the end.
    assert rows["rtd-cosine", "inf"].seeds == 0 and pd.isna(rows["rtd-cosine", "inf"].loss)
    assert found.text().count("not run") == 2 * 7


def test_tables_and_figures_leave_variants_out(tmp_path: Path) -> None:
    row = {"source": "measured", "profile": "micro", "size": "base", "tau": "0", "metric": "m"}
    frame = records.from_rows([row | {"value": 1}, row | {"value": 2, "variant": "mlm5"}])
    path = tmp_path / "mixed.parquet"
    records.write(frame, path)
    assert list(Records(source=str(path)).measured().records["value"]) == [1.0]
