"""The forecast by hand on a small tree, and sizes of checkpoints against the initialised state."""

from __future__ import annotations

import dataclasses

import jax
import pytest

from analysis.parameters import checkpoint_bytes
from analysis.tpu_slices import Slice
from repro.launch import forecast
from repro.launch.jobs import Launch, of_tree
from repro.plan import build
from repro.specs import load_profile
from spactor import step
from spactor.config import PAPER, Stage
from spactor.errors import UserError

TPU_HOUR = 275e12 * 0.5 * 3600


@pytest.mark.parametrize(
    ("size", "stage", "decoder"), [("base", "hybrid", 2), ("large", "span_corruption", 0)]
)
def test_a_checkpoint_is_as_large_as_the_state(size: str, stage: Stage, decoder: int) -> None:
    """All but the few scalars and the placeholders of the slots that a tensor does not have.

    The widths are the paper's; three different depths show that each is counted, and trace faster.
    """
    config = PAPER[size]
    model = dataclasses.replace(
        config.model,
        num_encoder_layers=4,
        num_decoder_layers=3,
        generator_num_layers=1,
        generator_num_decoder_layers=decoder,
    )
    config = dataclasses.replace(config, model=model)
    state = jax.eval_shape(lambda: step.init_state(config, 0, stage))
    exact = sum(leaf.size * 4 for leaf in jax.tree.leaves((state.params, state.slots)))
    assert checkpoint_bytes(config, stage) == pytest.approx(exact, abs=4 * 3000)


def small(**more: object) -> forecast.Forecast:
    """Base, τ = 60K, one seed: 60K and 440K steps, then 7 fine-tuning runs at 500K."""
    paper = load_profile("paper")
    tree = build(paper, paper.select(["base"], ["60K"], [0]))
    jobs = of_tree(tree, Slice.of("v4", "4x4x4"), Slice.of("v4", "2x2x2"))
    # An hour of a job's whole slice, by hand, for every step's worth.
    flops = {
        "base/s0/hybrid/0-60K": 64 * 10 * TPU_HOUR,
        "base/s0/tau60K/60K-500K": 64 * 30 * TPU_HOUR,
    }
    flops |= {node.name: 8 * 2 * TPU_HOUR for node in tree.finetunings()}

    launch = Launch(profile="paper", jobs=jobs, bucket="")
    return forecast.run(launch, tree, flops, **{"mfu": 0.5} | more)  # type: ignore[arg-type]


def test_hours_chips_and_bytes_by_hand() -> None:
    found = small(price=3.0)
    pretraining, finetuning, total = found.rows
    assert pretraining.chip_hours == pytest.approx(64 * 40)
    assert finetuning.chip_hours == pytest.approx(7 * 8 * 2)
    assert total.chip_hours == pytest.approx(2560 + 112)
    # 0, 10K … 60K; then 60K, 70K … 500K.
    assert pretraining.checkpoints == 7 + 45
    hybrid, plain = (
        checkpoint_bytes(PAPER["base"], stage) for stage in ("hybrid", "span_corruption")
    )
    assert pretraining.all_bytes == 7 * hybrid + 45 * plain
    assert pretraining.last_bytes == hybrid + plain
    # The one it starts from and 32 evaluations, MMLU and BBH included.
    assert finetuning.checkpoints == 7 * 33
    assert (total.jobs, total.nodes, total.steps) == (3, 9, 500_000 + 7 * 262_144)
    text = found.text()
    assert "training reaches 50% of 275 TFLOP/s per chip" in text
    (last,) = (line for line in text.splitlines() if line.startswith("total"))
    assert last.split()[-1] == "8,016", "2,672 chip-hours at 3"
    assert "price" in text and "price" not in small().text()


@pytest.mark.parametrize(
    ("option", "name", "values"),
    [
        ("--mfu", "mfu", (0.0, -0.1, 1.01, float("nan"))),
        ("--price-per-chip-hour", "price", (-1.0, float("nan"), float("inf"))),
    ],
)
def test_shares_and_prices_out_of_range(option: str, name: str, values: tuple[float, ...]) -> None:
    for value in values:
        with pytest.raises(UserError, match=option):
            small(**{name: value})
