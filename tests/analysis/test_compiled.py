"""The compiled FLOPs: the kept numbers, and a shrunk model compiled again for a TPU slice."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import re
from pathlib import Path

import pytest
from compiled_products import assert_products_are_the_analytic_ones, biases_by_distance

from analysis import compiled, flops, hlo, tpu
from analysis.compiled import PROGRAMS, VARIANTS, Program
from analysis.schema import published
from spactor.config import PAPER, STAGES, ModelConfig, PretrainConfig
from spactor.errors import UserError

ROOT = Path(__file__).parents[2]
KEPT = compiled.load()
RERUN = f"run `{compiled.COMMAND}` and commit {compiled.ARTIFACT.name}"

SHRUNK = PretrainConfig(
    model=ModelConfig(
        vocab_size=512,
        emb_dim=128,
        num_heads=2,
        head_dim=64,
        mlp_dim=256,
        num_encoder_layers=1,
        num_decoder_layers=1,
        generator_num_layers=1,
        generator_mlp_dim=128,
        rtd_mlp_dim=256,
        compute_dtype="bfloat16",
    ),
    input_length=128,
    batch_size=32,
)


def program_id(program):
    return str(program).replace(", ", "-")


@pytest.mark.parametrize("program", PROGRAMS, ids=program_id)
def test_the_kept_numbers_are_of_the_present_step(program):
    assert program in KEPT, RERUN
    reason = compiled.outdated(KEPT).get(program)
    assert reason is None, f"{reason}: {RERUN}"


def test_the_kept_numbers_are_of_the_pinned_versions():
    text = (ROOT / "constraints.txt").read_text("utf-8")
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))
    for program, one in KEPT.items():
        expected = {name: pins[name] for name in compiled.PACKAGES}
        assert one.versions == expected, f"{program}: {RERUN}"


@pytest.mark.parametrize("program", PROGRAMS, ids=program_id)
def test_kept_products_are_the_analytic_count_term_by_term(program):
    """Exactly: nothing is computed twice, no gather has become a product, nothing is missing."""
    cost = KEPT[program].cost
    biases = biases_by_distance(program.config, program.stage)
    assert_products_are_the_analytic_ones(cost, program.config, program.stage, biases)
    assert cost.chips == 64


def test_the_paper_faithful_step_costs_what_the_paper_prints():
    """1.6e4 and 2.2e4 GFLOPs, to the printed digits."""
    printed = published.load(3).set_index("metric")["value"]
    for stage in STAGES:
        one = KEPT[Program(size="base", stage=stage, variant="paper_faithful")]
        assert float(f"{one.cost.flops:.1e}") == printed[f"cost/step_flops/{stage}"]


@pytest.mark.parametrize(("size", "target"), [("base", 1.19), ("large", 1.16)])
def test_the_first_stage_costs_half_the_papers_extra(size, target):
    """The paper's are 1.375 (Table 3) and 1.25 (by Table 4)."""
    ours, faithful = (compiled.ratio(KEPT, size, variant) for variant in reversed(VARIANTS))
    assert ours <= target < faithful


def test_a_chip_holds_the_step():
    """32 GiB of memory on a v4 chip."""
    for program, one in KEPT.items():
        assert one.cost.memory_bytes["peak"] < 32 * 2**30, program


def test_the_documentation_has_the_kept_numbers():
    text = (ROOT / "docs" / "flops.md").read_text("utf-8")
    assert compiled.summary(KEPT) in text, "put the table that `repro compile-flops` prints there"


def test_a_ratio_needs_both_stages():
    hybrid = Program(size="base", stage="hybrid", variant="ours")
    assert compiled.ratio({hybrid: KEPT[hybrid]}, "base", "ours") is None


@pytest.mark.parametrize("value", [None, -1.0, math.nan, 0.0])
def test_unknown_flops_are_an_error(value):
    with pytest.raises(UserError, match="XLA does not know the FLOPs of the step"):
        compiled.flops_of(value, "the step")


def test_a_loop_is_an_error():
    text = "  %x.1 = (s32[]{:T(128)}) while(%tuple.3), condition=%c, body=%b"
    with pytest.raises(UserError, match="has a loop"):
        hlo.operations(text)


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


def test_kept_numbers_survive_writing_and_nonsense_is_refused(tmp_path):
    path = tmp_path / "kept.json"
    assert compiled.load(path) == {}
    compiled.write(KEPT, path)
    assert compiled.load(path) == KEPT
    assert path.read_text("utf-8") == compiled.ARTIFACT.read_text("utf-8")
    for text in ("{", json.dumps({"format": 0, "programs": []}), '{"format": 1, "programs": [{}]}'):
        path.write_text(text, "utf-8")
        with pytest.raises(UserError, match=r"kept\.json: can't be read .* compile-flops"):
            compiled.load(path)
    data = json.loads(compiled.ARTIFACT.read_text("utf-8"))
    data["programs"][0]["program"]["size"] = {}
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(UserError, match="unhashable"):
        compiled.load(path)


def test_only_what_is_out_of_date_is_measured_and_kept_at_once(tmp_path, monkeypatch):
    path = tmp_path / "kept.json"
    stale, missing, broken = PROGRAMS[0], PROGRAMS[3], PROGRAMS[5]
    before = dict(KEPT)
    before[stale] = dataclasses.replace(KEPT[stale], fingerprint="of another step")
    del before[missing], before[broken]
    compiled.write(before, path)
    measured = []

    def measure(program):
        measured.append(program)
        if program == broken:
            raise UserError("no")
        return KEPT[program]

    monkeypatch.setattr(compiled, "measure", measure)
    said = []
    with pytest.raises(UserError, match="no"):
        compiled.update(path=path, report=said.append)
    assert measured == [stale, missing, broken]
    assert "the step's matrix products changed" in said[0] and "not measured yet" in said[2]
    assert compiled.load(path) == {p: one for p, one in KEPT.items() if p != broken}


def test_an_identity_is_of_the_products_alone():
    first = Program(size="base", stage="hybrid", variant="ours")
    assert len({compiled.fingerprint(program) for program in PROGRAMS}) == len(PROGRAMS)
    again = compiled.fingerprint.__wrapped__(first)
    assert again == compiled.fingerprint(first)


def test_the_compiling_process_inherits_nothing_that_steers_xla(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_something")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    environment = tpu.environment("v4:2x2x1")
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
    model = dataclasses.replace(SHRUNK.model, **compiled._OPTIONS[variant])
    config = dataclasses.replace(SHRUNK, model=model)
    cost = compiled.compile_step(config, stage, "v4:2x2x1")
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
        compiled.compile_step(odd, "span_corruption", "v4:2x2x1")
    assert "\n" not in str(caught.value)


def test_without_libtpu_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(tpu.identity, "versions", lambda names: dict.fromkeys(names, "missing"))
    with pytest.raises(UserError, match="the extra 'tpu-compile' brings"):
        compiled.compile_step(PAPER["base"], "hybrid", compiled.TOPOLOGY)
