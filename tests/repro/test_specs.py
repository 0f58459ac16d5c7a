"""Profiles: what those of the package hold, how they are selected from, and refused settings."""

import dataclasses
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from analysis.schema.facts import Tau
from repro.profile_files import SCALES
from repro.specs import ExperimentSpec, load_profile, parse_profile
from spactor.config import PAPER, FinetuneConfig
from spactor.errors import UserError
from spactor.plain_data import to_mapping


@pytest.mark.parametrize(
    ("text", "end"), [("0", 0), ("60K", 60_000), ("250K", 250_000), ("inf", 1_000_000)]
)
def test_tau_reads_the_papers_forms_and_writes_them_back(text: str, end: int) -> None:
    assert Tau.parse(text).end == end
    assert str(Tau.parse(text)) == text


@pytest.mark.parametrize("text", ["", "60", "060K", "0K", "60k", "1000K", "1M", "∞", "-1K", " 0"])
def test_any_other_tau_is_rejected_with_the_forms(text: str) -> None:
    with pytest.raises(UserError, match=r"give 0, a number of thousands .* or inf"):
        Tau.parse(text)


def test_taus_are_in_order() -> None:
    texts = ["0", "60K", "120K", "250K", "inf"]
    assert sorted(map(Tau.parse, reversed(texts))) == [Tau.parse(text) for text in texts]


def test_a_spec_needs_its_seed() -> None:
    with pytest.raises(TypeError, match="seed"):
        ExperimentSpec(profile="micro", size="base", tau=Tau(0))  # type: ignore[call-arg]
    with pytest.raises(UserError, match="unknown size 'huge': give one of base, large"):
        ExperimentSpec(profile="micro", size="huge", tau=Tau(0), seed=0)


@pytest.mark.parametrize("name", SCALES)
def test_every_profile_has_the_settings_of_the_papers_study(name: str) -> None:
    profile = load_profile(name)
    for size, config in profile.sizes.items():
        paper = PAPER[size]
        assert config.corruption == paper.corruption
        assert (config.objective.lambda_rtd, config.objective.lambda_sc) == (10.0, 10.0)
        # Warm-up is the same fraction of the run; micro's is tuned (docs/variants.md).
        warmup_steps = 500 if name == "micro" else max(1, profile.total_steps // 100)
        assert config.optimizer.warmup_steps == warmup_steps
        model = config.model
        assert model.num_heads * model.head_dim == model.emb_dim
        ratio = model.generator_num_layers / model.num_encoder_layers
        assert 0.2 <= ratio <= 1.0


@pytest.mark.parametrize("name", ["micro", "mini", "paper"])
def test_the_studies_have_the_whole_matrix(name: str) -> None:
    matrix = load_profile(name).matrix
    assert {size: [str(tau) for tau in row.taus] for size, row in matrix.items()} == {
        "base": ["0", "60K", "120K", "250K", "inf"],
        "large": ["0", "120K"],
    }
    for row in matrix.values():
        for tau in row.taus:
            expected = (500_000,) if str(tau) == "60K" else (500_000, 1_000_000)
            assert row.checkpoints_at(tau) == expected


def test_the_paper_profile_is_the_paper() -> None:
    profile = load_profile("paper")
    assert dict(profile.sizes) == dict(PAPER)
    assert profile.total_steps == 1_000_000
    assert profile.suites == ("glue", "superglue", "squad", "cnndm", "rainbow", "mmlu", "bbh")
    assert {size: row.runs for size, row in profile.matrix.items()} == {"base": 5, "large": 3}
    assert {row.finetune_runs for row in profile.matrix.values()} == {1}
    assert list(profile.matrix["base"].seeds) == [0, 1, 2, 3, 4]
    # Appendix A.2; the paper gives the length as "typically 250K - 300K".
    steps = {"total_steps": 262_144, "evaluation_period_steps": 8_192, "input_length": 512}
    assert profile.finetuning["glue"] == FinetuneConfig(
        learning_rate=1e-3, dropout_rate=0.1, batch_size=128, **steps
    )
    for suite in ("mmlu", "bbh"):
        assert profile.finetuning[suite] == FinetuneConfig(
            learning_rate=5e-4, dropout_rate=0.05, batch_size=64, reset_optimizer=True, **steps
        )


# How something is computed, which the paper does not print.
IMPLEMENTATION = {
    *("compute_dtype", "one_hot_embedding", "project_all_positions", "reuse_embedding"),
}


def test_the_paper_profile_leaves_no_published_setting_to_a_default() -> None:
    text = (resources.files("repro") / "profiles" / "paper.toml").read_text("utf-8")
    for size, tables in tomllib.loads(text)["sizes"].items():
        values = to_mapping(PAPER[size])
        for part in ("model", "corruption", "objective"):
            assert values[part].keys() - IMPLEMENTATION <= tables[part].keys(), (size, part)


def test_steps_scale_exactly_or_not_at_all() -> None:
    micro = load_profile("micro")
    steps = [micro.step_of(step) for step in (0, 60_000, 250_000, 1_000_000)]
    assert steps == [0, 576, 2_400, 9_600]
    assert micro.paper_step_of(576) == 60_000
    with pytest.raises(UserError, match="60K of the paper's steps is no whole step of 10"):
        dataclasses.replace(micro, total_steps=10)


SMOKE = (resources.files("repro") / "profiles" / "smoke.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("total_steps = 100", "steps = 100", "demo.toml: unknown setting 'steps'; known: name"),
        ("total_steps = 100", 'total_steps = "100"', "total_steps is '100': give a valid integer"),
        ("total_steps = 100", "total_steps = 0", "total_steps is 0: give 1 or more"),
        ("total_steps = 100", "total_steps = ", "not valid TOML"),
        ("total_steps = 100", "total_steps = " + "[" * 5_000, "nested too deeply"),
        ('engine = "local"', 'engine = "torch"', "engine is 'torch': give 'local' or 't5x'"),
        ("[sizes.large]", "[sizes.huge]", "sizes.huge"),
        ('"bbh"]', '"imdb"]', "unknown suite 'imdb' in suites"),
        ('"bbh"]', '"glue"]', "suites are glue, superglue, squad, cnndm, rainbow, mmlu, glue"),
        ('"60K", ', '"61", ', "matrix.base.taus.1 is '61': unknown τ '61'"),
        ('"60K", ', '"inf", ', "matrix.base: τ are 0, inf, inf"),
        ("input_length = 64", "input_length = 1_000_000_000", "chunks of over 262,144 tokens"),
        ("runs = 1", "runs = 0", "matrix.base.runs is 0: give a number greater than or equal to 1"),
        (
            "runs = 1",
            "runs = 1000\nfinetune_runs = 1000",
            # Four checkpoints with a segment and seven suites each, and two segments of each τ.
            "matrix.base has up to 28,010,000 nodes with runs = 1000 and finetune_runs = 1000; a "
            "tree has 20,000 at most: give fewer runs",
        ),
        ("runs = 1", 'runs = 1\nfinetune_at = ["1M", "0"]', "matrix.base: checkpoints are 1M, 0"),
        ('60K = ["500K"]', '70K = ["500K"]', "matrix.base: checkpoints_of has τ = 70K"),
        ("runs = 1", "runs = 1\nruns_of = { 70K = 1 }", "matrix.base: runs_of has τ = 70K"),
        ("runs = 1", "runs = 1\nruns_of = { 60K = 2 }", "runs_of has 2 for τ = 60K: give 1 or"),
        ("runs = 1", "runs = 2\nfirst_seed = 999", "the last seed is 1000: give first_seed"),
        ('60K = ["500K"]', '60K = ["2M"]', "matrix.base.checkpoints_of.60K.0 is '2M'"),
        ('60K = ["500K"]', '60K = ["500K", "120K"]', "checkpoints are 500K, 120K"),
        ("vocab_size = 512\npackages", "vocab_size = 640\npackages", "make them equal"),
    ],
)
def test_a_profile_with_a_slip_is_refused(old: str, new: str, message: str) -> None:
    assert old in SMOKE
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        parse_profile("demo", SMOKE.replace(old, new, 1), "demo.toml")
    assert "\n" not in str(caught.value)


def test_a_profile_of_ones_own(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMOKE.replace("runs = 1", "runs = 2", 1), "utf-8")
    assert len(load_profile(str(path)).specs()) == 2 * 3 + 2
    taken = tmp_path / "micro.toml"
    taken.write_text(SMOKE, "utf-8")
    with pytest.raises(UserError, match="names its folder of runs"):
        load_profile(str(taken))
    with pytest.raises(UserError, match="can't read this profile"):
        load_profile(str(tmp_path / "gone.toml"))


def test_selecting_experiments() -> None:
    micro = load_profile("micro")
    assert [str(spec.tau) for spec in micro.select(sizes=["large"])] == ["0", "120K"]
    assert len(micro.select()) == 7
    with pytest.raises(UserError, match="no experiment with these"):
        micro.select(sizes=["large"], taus=["60K"])


def test_a_suite_may_have_settings_of_its_own() -> None:
    own = "[finetuning.suites.bbh]\ntotal_steps = 8\nreset_optimizer = false\n\n[matrix.base]"
    profile = parse_profile("demo", SMOKE.replace("[matrix.base]", own, 1), "demo.toml")
    found, flan = profile.finetuning["bbh"], profile.finetuning["mmlu"]
    assert found == dataclasses.replace(flan, total_steps=8, reset_optimizer=False)
    slip = own.replace("bbh", "bhb")
    with pytest.raises(UserError, match="unknown setting 'bhb' in suites"):
        parse_profile("demo", SMOKE.replace("[matrix.base]", slip, 1), "demo.toml")


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_flan_suites_differ_as_in_the_paper(name: str) -> None:
    finetuning = load_profile(name).finetuning
    usual = finetuning["squad"]
    assert finetuning["bbh"] == dataclasses.replace(
        usual,
        learning_rate=usual.learning_rate / 2,
        dropout_rate=usual.dropout_rate / 2,
        batch_size=usual.batch_size // 2,
        reset_optimizer=True,
    )


def test_a_profile_that_extends_another(tmp_path) -> None:
    """Tables are merged; any other setting of the extending profile replaces the extended one's."""
    path = tmp_path / "longer.toml"
    path.write_text('extends = "micro"\npurpose = "more runs"\n[matrix.base]\nruns = 5\n')
    micro, longer = load_profile("micro"), load_profile(str(path))
    base = dataclasses.replace(micro.matrix["base"], runs=5)
    assert longer == dataclasses.replace(
        micro, name="longer", purpose="more runs", matrix={**micro.matrix, "base": base}
    )


def test_a_profile_removes_settings_of_the_one_it_extends() -> None:
    micro = load_profile("micro")
    text = 'extends = "micro"\nwithout = ["sizes.large", "matrix.large", '
    text += '"matrix.base.checkpoints_of"]\n[matrix.base]\nruns = 2\n'
    less = parse_profile("less", text, "less.toml")
    assert less.sizes == {"base": micro.sizes["base"]}
    base = dataclasses.replace(micro.matrix["base"], runs=2, checkpoints_of={})
    assert less.matrix == {"base": base}


def test_seeds_begin_where_a_profile_wants_and_some_taus_have_fewer() -> None:
    text = 'extends = "micro"\n[matrix.base]\nruns = 3\nfirst_seed = 200\nruns_of = { 60K = 1 }\n'
    profile = parse_profile("seeds", text, "seeds.toml")
    seeds = {
        str(tau): [spec.seed for spec in profile.select(sizes=["base"], taus=[str(tau)])]
        for tau in profile.matrix["base"].taus
    }
    three = [200, 201, 202]
    assert seeds == {"0": three, "60K": [200], "120K": three, "250K": three, "inf": three}
    assert {spec.seed for spec in profile.select(sizes=["large"])} == {0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "giant"', "mine: extends 'giant': give one of smoke, micro"),
        ('without = ["data"]', "needs extends"),
        ('extends = "micro"\nwithout = ["sizes.huge"]', "micro has no setting 'sizes.huge'"),
        ('extends = "micro"\nwithout = ["data"]', "mine: data: this setting is missing"),
        ('extends = "micro"\nname = "other"', "unknown setting 'name'"),
        ('extends = "micro"\npurpose = 2026-11-29', "2026-11-29 is a date"),
    ],
)
def test_a_profile_that_extends_wrongly(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse_profile("mine", text, "mine")


def test_the_registered_study_is_micro_for_longer_with_new_seeds() -> None:
    path = Path(__file__).parents[2] / "results" / "study" / "study.toml"
    study, micro = load_profile(str(path)), load_profile("micro")
    base, large = study.matrix["base"], study.matrix["large"]
    assert {str(tau): len(base.seeds_of(tau)) for tau in base.taus} == {
        "0": 8,
        "60K": 5,
        "120K": 5,
        "250K": 8,
        "inf": 8,
    }
    assert large.seeds == range(300, 303)
    # Seeds of earlier studies and of tuning.
    assert not {*range(5), *range(100, 104)} & {*base.seeds, *large.seeds}
    (spec,) = study.select(sizes=["base"], taus=["inf"], seeds=[200])
    assert study.finetuned_at(spec) == (0, 250_000, 500_000, 1_000_000)
    assert (study.data, study.suites) == (micro.data, micro.suites)
    # Trained with what micro had then, which later changes of micro must not change.
    for size, layers, mlp_dim, generator in (("base", 3, 240, 80), ("large", 4, 320, 160)):
        model = study.sizes[size].model
        assert (model.num_encoder_layers, model.num_decoder_layers) == (layers, layers)
        assert (model.mlp_dim, model.rtd_mlp_dim) == (mlp_dim, mlp_dim)
        assert model.generator_mlp_dim == generator
    steps = {suite: finetuning.total_steps for suite, finetuning in study.finetuning.items()}
    assert steps == dict.fromkeys(micro.suites, 300) | dict.fromkeys(
        ("superglue", "rainbow", "mmlu"), 150
    )
