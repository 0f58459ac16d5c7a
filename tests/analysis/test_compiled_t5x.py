"""T5X's step on TPU slices: stored numbers against hand counts, a tiny step compiled again."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import pytest
from compiled_products import (
    assert_products_are_the_analytic_ones,
    biases_by_distance,
    stock_biases,
)

from analysis.compiled import hlo, local_step, slices, t5x_step
from analysis.compiled.t5x_step import Program
from analysis.parameters import tensors
from analysis.tpu_slices import Slice
from repro.specs import load_profile
from spactor.errors import UserError

ROOT = Path(__file__).parents[2]
PROGRAMS = t5x_step.ARTIFACT.programs
STORED = t5x_step.ARTIFACT.load()
RERUN = f"run `{t5x_step.ARTIFACT.command}` and commit {t5x_step.ARTIFACT.path.name}"


# test_compiled.py checks that every program is stored.
each_stored = pytest.mark.parametrize("program", STORED, ids=str)


def shapes(config, stage):
    """Shapes of the parameters, one by one."""
    return [shape for shape, count in tensors(config.model, stage) for _ in range(count)]


def size(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


@each_stored
def test_a_chip_holds_the_step_of_the_pinned_t5x_with_random_numbers_of_jax_defaults(program):
    cost = STORED[program].cost
    assert STORED[program].sources == t5x_step.sources() and len(t5x_step.sources()) == 3
    assert cost.t5x_digest == STORED[PROGRAMS[0]].cost.t5x_digest
    assert cost.flags["jax_default_prng_impl"] == "threefry2x32"
    assert cost.flags["jax_threefry_partitionable"] is True
    assert cost.flags["jax_enable_x64"] is False
    memory = cost.memory_bytes
    limit = {"v4": 32 * 2**30, "v5e": 16 * 2**30}[program.topology.partition(":")[0]]
    assert memory["peak"] + memory["generated_code"] < limit
    assert cost.microbatches == (t5x_step.macro(program, "NUM_MICROBATCHES") or 1)


@each_stored
def test_a_chip_holds_the_state_and_its_share_of_the_batch(program):
    cost, config = STORED[program].cost, program.config
    counted = shapes(config, program.stage)
    assert cost.chips == 64 and cost.mesh == {"data": 64, "model": 1}
    assert cost.parameter_bytes == 4 * sum(map(size, counted))
    # Adafactor has a row and a column for a matrix of at least 128 each way and a second moment
    # for all else; T5X gives every parameter four slots, of a single zero where one is not used.
    factored = [shape for shape in counted if len(shape) == 2 and min(shape) >= 128]
    full = [shape for shape in counted if not (len(shape) == 2 and min(shape) >= 128)]
    slots = sum(sum(shape) + 2 for shape in factored) + sum(size(shape) + 3 for shape in full)
    assert cost.state_bytes == cost.parameter_bytes + 4 * slots + 4  # And the step.
    # Tokens, step and row of 32 sequences; a TPU pads what is small, to a thousandth of the whole.
    share = 4 * (2048 // 64) * (config.lengths.chunk_tokens + 2)
    arguments = cost.memory_bytes["argument"]
    assert cost.state_bytes + share <= arguments <= 1.001 * (cost.state_bytes + share)
    # The new state takes the old one's place.
    assert cost.memory_bytes["alias"] >= cost.state_bytes
    # Our step holds the same parameters; Optax's slots differ.
    local = local_step.Program(size=program.size, stage=program.stage, variant="ours")
    ours = local_step.ARTIFACT.load()[local].cost.memory_bytes["argument"]
    assert ours == pytest.approx(arguments, rel=0.005)


@each_stored
def test_stored_products_are_the_analytic_count_term_by_term(program):
    one = STORED[program]
    config, stage = program.config, program.stage
    biases = biases_by_distance(config, stage) if stage == "hybrid" else stock_biases(config)
    if one.cost.microbatches > 1:
        # Those that depend on no token may run before or after the loop.
        found = one.cost.operations.products["position_biases"]
        assert biases <= found <= one.cost.microbatches * biases
        biases = found
    # Near a v4's limit XLA does not store the logits of Large's second stage.
    full = Program(size="large", stage="span_corruption", topology="v4:4x4x4")
    twice = ("decoder/logits",) if program == full else ()
    assert_products_are_the_analytic_ones(one.cost, config, stage, biases, twice)
    # Dropout's bits, conversions, softmax, norms and Adafactor: 1 to 2 %.
    assert 1.01 < one.cost.flops / one.analytic_flops < 1.02


@each_stored
def test_the_step_sums_gradients_and_gathers_nothing_but_microbatches(program):
    """A badly split top-k or scatter would gather activations, logits or the vocabulary."""
    cost, model = STORED[program].cost, program.config.model
    sums = cost.collectives["all-reduce"]
    assert sums.largest_bytes == 4 * model.vocab_size * model.emb_dim  # The embedding's gradient.
    assert set(sums.bytes_by_type) - {"s32", "u32"} == {"bf16", "f32"}
    if cost.microbatches == 1:
        assert set(cost.collectives) == {"all-reduce"}
        # Every gradient once, but the embedding's, which has a part for each use, and those of the
        # biases by distance, which are summed as planes [H, L, L], of a layer at most.
        summed = sums.bytes_by_type["bf16"] / 2 + sums.bytes_by_type["f32"] / 4
        gradients = cost.parameter_bytes / 4 + 2 * model.vocab_size * model.emb_dim
        lengths = program.config.lengths
        planes = model.num_decoder_layers * lengths.target_tokens**2
        planes += model.num_encoder_layers * lengths.input_tokens**2
        if program.stage == "hybrid":
            planes += model.generator_num_layers * lengths.input_tokens**2
        assert 0.999 * gradients < summed < 1.001 * gradients + model.num_heads * planes
    else:
        # T5X cuts microbatches out of the whole batch, so every chip gets all token ids, and the
        # seeds of its rows, by a gather or by a sum with zeros.
        tokens = 4 * 2048 * (program.config.lengths.chunk_tokens + 4)
        kinds = [
            (kind, number, size)
            for kind, found in cost.collectives.items()
            for number, size in found.bytes_by_type.items()
        ]
        assert all(kind == "all-reduce" or number in ("s32", "u32") for kind, number, _ in kinds)
        integers = sum(size for _, number, size in kinds if number in ("s32", "u32"))
        assert integers <= cost.microbatches * tokens


def test_slices_and_files_of_a_program():
    program = Program(size="large", stage="hybrid", topology="v5e:8x8")
    assert program.files == ("large", "pretrain", "hybrid", "large_v5e")
    assert t5x_step.macro(program, "NUM_MICROBATCHES") == 8
    assert slices.environment("v5e:8x8")["TPU_ACCELERATOR_TYPE"] == "v5litepod-64"
    assert slices.environment("v4:4x4x4")["TPU_ACCELERATOR_TYPE"] == "v4-128"  # 64 of 2 cores
    with pytest.raises(UserError, match="unknown TPU type 'v9': give one of v4, v5e"):
        Slice.parse("v9:2x2")


def test_an_identity_is_of_step_slice_microbatches_and_sources(monkeypatch):
    program = PROGRAMS[0]
    before = program.fingerprint()
    assert program.fingerprint() == before
    monkeypatch.setattr(t5x_step, "sources", lambda: {"t5x": "another commit"})
    assert program.fingerprint() != before
    stored = next(iter(STORED))
    assert t5x_step.ARTIFACT.outdated(STORED)[stored] == t5x_step.ARTIFACT.out_of_date


LOOPED = """
%fused (p: f32[8]) -> f32[8] {
  ROOT %m = f32[8]{0} multiply(%p, %p)
}

%body (arg: (s32[], f32[8])) -> (s32[], f32[8]) {
  %f = f32[8]{0} fusion(%x), kind=kLoop, calls=%fused
  %r = f32[8]{0} all-reduce(%f), to_apply=%sum
}

%sum (a: f32[], b: f32[]) -> f32[] {
  ROOT %s = f32[] add(%a, %b)
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %w = (s32[], f32[8]{0}) while(%t), condition=%cond, body=%body
  ROOT %g = f32[16]{0} all-gather(%y), dimensions={0}
}
"""


def test_what_a_loop_calls_is_counted_as_often_as_it_runs():
    """8 multiplied and 1 added by each run."""
    assert hlo.operations(LOOPED, 4).elementwise == 4 * (8 + 1)
    found = hlo.collectives(LOOPED, 4)
    assert found["all-reduce"] == hlo.Collective(
        count=4, bytes_by_type={"f32": 4 * 32}, largest_bytes=32
    )
    assert found["all-gather"].count == 1
    with pytest.raises(UserError, match="has a loop"):
        hlo.collectives(LOOPED)
    with pytest.raises(UserError, match="0 loops"):
        hlo.operations("", 4)


def test_without_t5x_it_is_named(monkeypatch):
    monkeypatch.setattr(t5x_step.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="T5X is not installed"):
        PROGRAMS[0].compile()


missing = [name for name in ("t5x", "libtpu") if importlib.util.find_spec(name) is None]


@pytest.mark.t5x
@pytest.mark.libtpu
@pytest.mark.skipif(
    bool(missing),
    reason=f"{' and '.join(missing)} not installed; see docs/installation.md",
)
@pytest.mark.parametrize(
    ("stage", "topology", "microbatches"),
    [("hybrid", "v5e:2x2", 2), ("span_corruption", "v4:2x2x1", None)],
)
def test_a_tiny_step_of_t5x_compiles_to_the_analytic_count(stage, topology, microbatches):
    # Size tiny.gin's.
    tiny = load_profile(str(ROOT / "tests" / "t5x" / "thirty.toml")).sizes["base"]
    config = dataclasses.replace(t5x_step.as_computed(tiny, stage), batch_size=64)
    cost = t5x_step.compile_step(
        ("tiny", "pretrain", stage),
        topology,
        config,
        PRETRAIN_BATCH_SIZE=64,
        NUM_MICROBATCHES=microbatches,
    )
    assert (cost.chips, cost.mesh) == (4, {"data": 4, "model": 1})
    assert cost.microbatches == (microbatches or 1)
    # With microbatches the forward product of the biases runs in the loop, the other behind it.
    biases = 1.5 * biases_by_distance(config, stage) if microbatches else stock_biases(config)
    assert_products_are_the_analytic_ones(cost, config, stage, biases)
    assert cost.parameter_bytes == 4 * sum(map(size, shapes(config, stage)))
    assert set(cost.collectives) == (
        {"all-reduce", "all-gather"} if microbatches else {"all-reduce"}
    )
    assert {cost.t5x_digest} == {one.cost.t5x_digest for one in STORED.values()}, RERUN
