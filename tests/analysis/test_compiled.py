"""Measurements of compiled programs: the stored files, and a shrunk step compiled again."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import re
from pathlib import Path

import pytest
from compiled_products import assert_products_are_the_analytic_ones, biases_by_distance
from tiny_model import one_layer_config

from analysis import flops
from analysis.compiled import hlo, local_step, measurements, slices, t5x_step
from analysis.compiled.local_step import VARIANTS, Program
from analysis.schema import published
from spactor.config import PAPER, STAGES
from spactor.errors import UserError

ROOT = Path(__file__).parents[2]
PROGRAMS = local_step.ARTIFACT.programs
STORED = local_step.ARTIFACT.load()
MODULES = (local_step, t5x_step)
each_artifact = pytest.mark.parametrize("module", MODULES, ids=["local", "t5x"])

SHRUNK = dataclasses.replace(
    one_layer_config(
        emb_dim=128,
        head_dim=64,
        mlp_dim=256,
        generator_mlp_dim=128,
        rtd_mlp_dim=256,
        compute_dtype="bfloat16",
        dropout_rate=0.1,
    ),
    input_length=128,
    batch_size=32,
)


def rerun(artifact):
    return f"run `{artifact.command}` and commit {artifact.path.name}"


# Large has the code of Base, and its sizes are those of the stored products: see below.
TRACED = tuple(program for program in PROGRAMS if program.size == "base")


@pytest.mark.parametrize(
    ("artifact", "program"),
    [
        *((local_step.ARTIFACT, program) for program in TRACED),
        *((t5x_step.ARTIFACT, program) for program in t5x_step.ARTIFACT.programs),
    ],
    # An artifact's own text has the addresses of functions, which differ in each process.
    ids=lambda one: str(getattr(one, "command", one)),
)
def test_the_stored_numbers_are_of_the_present_step(artifact, program):
    one = dataclasses.replace(artifact, programs=(program,))
    reason = one.outdated(artifact.load()).get(program)
    assert reason is None, f"{reason}: {rerun(artifact)}"


@each_artifact
def test_a_file_is_whole_of_the_pinned_versions_and_documented(module):
    artifact, stored = module.ARTIFACT, module.ARTIFACT.load()
    assert set(stored) == set(artifact.programs), rerun(artifact)
    # A program is identified by all that its cost depends on.
    assert len({one.fingerprint for one in stored.values()}) == len(stored)
    text = (ROOT / "constraints.txt").read_text("utf-8")
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))
    expected = {name: pins[name] for name in artifact.packages}
    for program, one in stored.items():
        assert one.versions == expected, f"{program}: {rerun(artifact)}"
    page = {local_step: "flops.md", t5x_step: "t5x.md"}[module]
    text = (ROOT / "docs" / page).read_text("utf-8")
    assert module.summary(stored) in text, f"put the table that `{artifact.command}` prints there"


@each_artifact
def test_a_file_survives_writing_and_nonsense_is_refused(module, tmp_path):
    artifact = dataclasses.replace(module.ARTIFACT, path=tmp_path / "stored.json")
    stored = module.ARTIFACT.load()
    assert artifact.load() == {}
    artifact.write(stored)
    assert artifact.load() == stored
    assert artifact.path.read_text("utf-8") == module.ARTIFACT.path.read_text("utf-8")
    data = json.loads(artifact.path.read_text("utf-8"))
    data["programs"][0]["program"]["size"] = {}
    for text in (
        *("{", json.dumps({"format": 0, "programs": []}), '{"format": 1, "programs": [{}]}'),
        *(json.dumps(data), "\udcff", "[" * 100_000),
    ):
        artifact.path.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(UserError) as caught:
            artifact.load()
        assert str(artifact.path) in str(caught.value) and artifact.command in str(caught.value)


def test_only_what_is_out_of_date_is_measured_and_stored_at_once(tmp_path, monkeypatch):
    path = tmp_path / "stored.json"
    artifact = dataclasses.replace(local_step.ARTIFACT, path=path, programs=TRACED)
    stale, _, missing, broken = TRACED
    before = {program: STORED[program] for program in TRACED}
    before[stale] = dataclasses.replace(STORED[stale], fingerprint="of another step")
    del before[missing], before[broken]
    artifact.write(before)
    measured = []

    def measure(self, program):
        measured.append(program)
        if program == broken:
            raise UserError("no")
        return STORED[program]

    monkeypatch.setattr(measurements.Artifact, "measure", measure)
    lines = []
    with pytest.raises(UserError, match="no"):
        artifact.update(report=lines.append)
    assert measured == [stale, missing, broken]
    assert artifact.out_of_date in lines[0] and "not measured yet" in lines[2]
    assert artifact.load() == {program: STORED[program] for program in TRACED[:-1]}


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_stored_products_are_the_analytic_count_term_by_term(program):
    """Exactly: nothing is computed twice, no gather has become a product, nothing is missing."""
    cost = STORED[program].cost
    biases = biases_by_distance(program.config, program.stage)
    assert_products_are_the_analytic_ones(cost, program.config, program.stage, biases)
    assert cost.chips == 64
    # A v4 chip has 32 GiB of memory.
    assert cost.memory_bytes["peak"] < 32 * 2**30


def test_the_paper_faithful_step_costs_what_the_paper_prints():
    """1.6e4 and 2.2e4 GFLOPs, to the printed digits."""
    printed = published.load(3).set_index("metric")["value"]
    for stage in STAGES:
        one = STORED[Program(size="base", stage=stage, variant="paper_faithful")]
        assert float(f"{one.cost.flops:.1e}") == printed[f"cost/step_flops/{stage}"]


@pytest.mark.parametrize(("size", "target"), [("base", 1.19), ("large", 1.16)])
def test_the_first_stage_costs_half_the_papers_extra(size, target):
    """The paper's are 1.375 (Table 3) and 1.25 (by Table 4)."""
    ours, faithful = (local_step.ratio(STORED, size, variant) for variant in reversed(VARIANTS))
    assert ours <= target < faithful
    assert local_step.ratio({}, size, "ours") is None


@pytest.mark.parametrize("value", [None, -1.0, math.nan, 0.0])
def test_unknown_flops_are_an_error(value):
    with pytest.raises(UserError, match="FLOPs for the step"):
        measurements.known_flops(value, "the step")


def test_products_by_hand():
    """Attention of 4 rows, 2 heads, 8 queries, 16 keys, 5 deep: 2 · 4 · 2 · 8 · 16 · 5 FLOPs."""
    path = (
        "jvp(Network.decode)/decoder/layers_0/encoder_decoder_attention/x._attend/bqhk,bvhk->bhqv"
    )
    text = f"""
  %q = bf16[4,8,2,5]{{3,2,1,0}} parameter(0)
  %k.1 = bf16[4,16,2,5]{{3,2,1,0}} parameter(1)
  %s = bf16[4,2,8,16]{{3,2,1,0}} convolution(%q, %k.1), window={{size=4x2 stride=3x1 \
lhs_dilate=4x2}}, dim_labels=01fb_0i1o->01bf, metadata={{op_name="{path}/dot_general"}}
  %m = bf16[4,2,8,16]{{3,2,1,0}} multiply(%s, %s)
  %r = f32[4,2,8]{{2,1,0}} reduce(%m, %zero), dimensions={{3}}, to_apply=%add
  ROOT %x = u32[6]{{0}} xor(%u, %v)
"""
    counted = hlo.operations(text)
    assert counted.products == {"decoder/cross_attention_scores": 2.0 * 4 * 2 * 8 * 16 * 5}
    # 1,024 multiplied, and summed to 64.
    assert (counted.elementwise, counted.random_bits) == (1024 + 1024 - 64, 6)


def test_the_compiling_process_inherits_nothing_that_steers_xla(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_something")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    environment = slices.environment("v4:2x2x1")
    assert environment["TPU_ACCELERATOR_TYPE"] == "v4-8"  # 4 chips of 2 cores
    assert "XLA_FLAGS" not in environment and "JAX_ENABLE_X64" not in environment


skip_without_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="libtpu is not installed; `python -m nox -s compiled` brings it",
)


def needs_libtpu(test):
    return pytest.mark.libtpu(skip_without_libtpu(test))


@needs_libtpu
@pytest.mark.parametrize(
    ("stage", "variant"), [("hybrid", "ours"), ("span_corruption", "paper_faithful")]
)
def test_a_shrunk_step_compiles_to_the_analytic_count(stage, variant):
    """The products exactly; the rest, at such sizes, is a tenth and not a hundredth."""
    model = dataclasses.replace(SHRUNK.model, **local_step._OPTIONS[variant])
    config = dataclasses.replace(SHRUNK, model=model)
    cost = local_step.compile_step(config, stage, "v4:2x2x1")
    assert cost.chips == 4
    biases = biases_by_distance(config, stage)
    assert_products_are_the_analytic_ones(cost, config, stage, biases)
    analytic = flops.step_flops(config, stage) / cost.chips
    assert analytic < cost.flops < 1.2 * analytic
    state = cost.memory_bytes["argument"]
    assert state > 4 * config.model.vocab_size * config.model.emb_dim


@needs_libtpu
def test_what_does_not_compile_is_one_line():
    odd = dataclasses.replace(SHRUNK, batch_size=30)
    with pytest.raises(UserError, match=r"the step did not compile: .*divisible") as caught:
        local_step.compile_step(odd, "span_corruption", "v4:2x2x1")
    assert "\n" not in str(caught.value)


def test_without_libtpu_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(
        slices.provenance, "versions", lambda names: dict.fromkeys(names, "missing")
    )
    with pytest.raises(UserError, match="the extra 'tpu-compile'"):
        local_step.compile_step(PAPER["base"], "hybrid", "v4:4x4x4")
