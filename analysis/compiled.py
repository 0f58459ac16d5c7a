"""FLOPs of the training step as XLA compiles it for the paper's TPU slice (Table 3).

The real step of ``spactor.step``, Adafactor's update included, is compiled on a CPU host for 64
TPU v4 chips, data-parallel over all of them, at the paper's batch and lengths; XLA's cost and
memory analysis are read for one chip. Nothing is allocated or run. Two variants:

* ``paper_faithful``: as T5X would run the paper's Section 2.1: one-hot embedding, every position
  through the generator's projection, the discriminator's input looked up afresh.
* ``ours``: gathers, masked positions only, the generator's embedding reused.

Both compute in bfloat16 with float32 parameters, as T5X's T5.1.0 configuration says, and drop out
a tenth. A program takes minutes, so the results are kept in ``compiled_flops.json``, each with
what it was measured from; ``repro compile-flops`` measures what is missing or out of date.

The module needs JAX, and libtpu (extra ``tpu-compile``), only to measure.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from analysis import flops, hlo, kept, tpu
from spactor import numerics, provenance
from spactor.config import PAPER, STAGES, PretrainConfig, Stage
from spactor.errors import UserError
from spactor.plain_data import from_mapping, to_mapping

Variant = Literal["paper_faithful", "ours"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

TOPOLOGY = "v4:4x4x4"
ARTIFACT = Path(__file__).with_name("compiled_flops.json")
COMMAND = "python -m repro compile-flops"
FORMAT = 1
PACKAGES = ("jax", "jaxlib", "flax", "optax", "libtpu")

_OPTIONS: Mapping[Variant, Mapping[str, bool]] = {
    "paper_faithful": {
        "one_hot_embedding": True,
        "project_all_positions": True,
        "reuse_embedding": False,
    },
    "ours": {},
}


@dataclass(frozen=True, kw_only=True, order=True)
class Program:
    """One program that is measured."""

    size: str
    stage: Stage
    variant: Variant

    def __str__(self) -> str:
        return f"{self.size}, {self.stage}, {self.variant}"

    @property
    def config(self) -> PretrainConfig:
        """Table 5's column, in bfloat16, with the variant's options."""
        config = PAPER[self.size]
        model = dataclasses.replace(
            config.model, compute_dtype="bfloat16", **_OPTIONS[self.variant]
        )
        return dataclasses.replace(config, model=model)


PROGRAMS = tuple(
    Program(size=size, stage=stage, variant=variant)
    for size in PAPER
    for variant in VARIANTS
    for stage in reversed(STAGES)
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What XLA says of one chip's share of a step.

    Attributes:
      chips: that share the batch.
      flops: of its cost analysis: products and all else, a multiply-add is 2.
      transcendentals: exponentials, logarithms, roots; not among the FLOPs.
      bytes_accessed: read and written, of all memories.
      operations: the same FLOPs by kind, read from the program's text.
      memory_bytes: peak of arguments, results and temporaries, and its parts.
    """

    chips: int
    flops: float
    transcendentals: float
    bytes_accessed: float
    operations: hlo.Operations
    memory_bytes: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A program's cost, and what it was measured from and with."""

    program: Program
    cost: Cost
    fingerprint: str
    date: str
    commit: str
    seconds: float
    versions: dict[str, str]

    @property
    def analytic_flops(self) -> float:
        """The analytic count of the same program, of one chip."""
        return flops.step_flops(self.program.config, self.program.stage) / self.cost.chips


def flops_of(value: object, what: object) -> float:
    """FLOPs, if XLA knows them.

    Raises:
      UserError: it says None, or −1, which mean it does not.

    >>> flops_of(3e12, "a program")
    3000000000000.0
    """
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise UserError(
            f"XLA does not know the FLOPs of {what} (it says {value}): "
            "use the versions of jax and libtpu that constraints.txt has"
        )
    return float(value)


def ratio(measured: Mapping[Program, Measured], size: str, variant: Variant) -> float | None:
    """FLOPs of the first stage over the second's; None where one of them is missing."""
    pair = [measured.get(Program(size=size, stage=stage, variant=variant)) for stage in STAGES]
    hybrid, plain = pair[STAGES.index("hybrid")], pair[STAGES.index("span_corruption")]
    return hybrid.cost.flops / plain.cost.flops if hybrid and plain else None


def summary(measured: Mapping[Program, Measured]) -> str:
    """A table in markdown: GFLOPs of one chip, where they come from, and what they are held to."""
    headings = ("", "compiled", "products", "conversions", "random bits", "other", "analytic")
    rows = []
    for program in filter(measured.__contains__, PROGRAMS):
        one = measured[program]
        parts, total = one.cost.operations, one.cost.flops
        products = sum(parts.products.values())
        other = total - products - parts.conversions - parts.random_bits
        counts = (total, products, parts.conversions, parts.random_bits, other, one.analytic_flops)
        cells = [str(program), *(f"{count / 1e9:,.0f}" for count in counts)]
        cells.append(f"{total / one.analytic_flops:.4f}")
        over = ratio(measured, program.size, program.variant)
        cells.append(f"{over:.4f}" if over and program.stage == "hybrid" else "")
        rows.append(cells)
    return kept.table((*headings, "over analytic", "over 2nd stage"), rows)


def load(path: Path = ARTIFACT) -> dict[Program, Measured]:
    """The kept measurements.

    Raises:
      UserError: the file can't be read as such.
    """
    return kept.load(path, FORMAT, COMMAND, _from_data)


def _from_data(data: Mapping[str, Any]) -> Measured:
    cost = dict(data["cost"])
    cost["operations"] = hlo.Operations(**cost["operations"])
    known = dict(data) | {"program": Program(**data["program"]), "cost": Cost(**cost)}
    del known["analytic_flops"]
    return Measured(**known)


def write(measured: Mapping[Program, Measured], path: Path = ARTIFACT) -> None:
    """Keeps measurements, in the order of ``PROGRAMS``."""
    programs = [
        dataclasses.asdict(measured[program]) | {"analytic_flops": measured[program].analytic_flops}
        for program in PROGRAMS
        if program in measured
    ]
    data = {
        "format": FORMAT,
        "command": COMMAND,
        "topology": TOPOLOGY,
        "chip_config": tpu.chip_of(TOPOLOGY).config,
        "environment": tpu.steering(TOPOLOGY),
        "programs": programs,
    }
    kept.write(path, data)


def outdated(measured: Mapping[Program, Measured]) -> dict[Program, str]:
    """Programs that have to be measured, and why. Needs JAX, not libtpu."""
    reasons = {}
    for program in PROGRAMS:
        one = measured.get(program)
        if one is None:
            reasons[program] = "not measured yet"
        elif one.fingerprint != fingerprint(program):
            reasons[program] = "the step's matrix products changed"
    return reasons


@cache
def fingerprint(program: Program) -> str:
    """Identity of what a measurement depends on: the slice, the depths, every matrix product.

    The step is lowered with one layer to a stack, which takes a second; its products' shapes and
    types tell everything that costs. Comments, names and elementwise operations, which are a few
    hundredths of the FLOPs, do not change it.
    """
    config = program.config
    model = config.model
    stacks = ("num_encoder_layers", "num_decoder_layers", "generator_num_layers")
    one_layer: dict[str, Any] = dict.fromkeys(stacks, 1)
    shallow = dataclasses.replace(model, **one_layer)
    step, arguments = _step(dataclasses.replace(config, model=shallow), program.stage)
    lowered = step.trace(*arguments).lower(lowering_platforms=("tpu",)).as_text()
    products = re.findall(r"stablehlo\.(?:dot_general|convolution|while)\b.*", lowered)
    return provenance.fingerprint(
        {
            "topology": [TOPOLOGY, tpu.chip_of(TOPOLOGY).config],
            "layers": {name: getattr(model, name) for name in stacks},
            "dropout_rate": model.dropout_rate,
            "products": sorted(re.sub(r"%[\w#]+", "", line) for line in products),
        }
    )


def measure(program: Program) -> Measured:
    """Compiles a program at full size in a process of its own: minutes, and some GB of memory.

    Raises:
      UserError: libtpu is missing, or XLA could not do it.
    """

    began = time.monotonic()
    cost = compile_step(program.config, program.stage, TOPOLOGY, program)
    return Measured(
        program=program,
        cost=cost,
        fingerprint=fingerprint(program),
        date=datetime.now(UTC).date().isoformat(),
        commit=provenance.commit(),
        seconds=round(time.monotonic() - began),
        versions=provenance.versions(PACKAGES),
    )


def update(
    *, everything: bool = False, path: Path = ARTIFACT, report: Callable[[str], None] = print
) -> dict[Program, Measured]:
    """Measures what is missing or out of date and keeps it, program by program.

    Args:
      everything: measures all programs again.
      path: where they are kept.
      report: told what is done, a line at a time.

    Raises:
      UserError: as :func:`measure` does; what was measured before is kept.
    """
    known = {program: one for program, one in load(path).items() if program in PROGRAMS}
    return kept.renew(
        known,
        dict.fromkeys(PROGRAMS, "asked for") if everything else outdated(known),
        measure,
        lambda measured: write(measured, path),
        report,
        lambda one: f"{one.cost.flops / 1e9:,.0f} GFLOPs a chip, {one.seconds:.0f} s",
    )


def compile_step(
    config: PretrainConfig, stage: Stage, topology: str, what: object = "the step"
) -> Cost:
    """Compiles a training step for a TPU slice in a process of its own, and reads its cost.

    Args:
      config: sizes; the batch must divide by the number of chips.
      stage: whose step.
      topology: of v4 chips, such as ``v4:4x4x4``.
      what: to call it in an error.

    Raises:
      UserError: libtpu is missing, XLA could not compile it, or gives no FLOPs.
    """
    request = {"config": to_mapping(config), "stage": stage, "topology": topology}
    answer = tpu.ask("analysis.compiled", request, topology, what)
    operations = hlo.Operations(**answer.pop("operations"))
    counted = flops_of(answer.pop("flops"), what)
    return Cost(flops=counted, operations=operations, **answer)


def _step(config: PretrainConfig, stage: Stage, mesh: Any = None) -> tuple[Any, tuple[Any, ...]]:
    """The jitted training step and its abstract arguments, sharded over a mesh if there is one."""
    import jax
    import jax.numpy as jnp

    from spactor import step
    from spactor.data.vocabulary import VocabularyFacts

    whole = rows = None
    if mesh is not None:
        spec = jax.sharding.PartitionSpec
        whole, rows = (jax.sharding.NamedSharding(mesh, spec(*axes)) for axes in ((), ("data",)))

    def abstract(shape: tuple[int, ...], dtype: Any, sharding: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    state = jax.tree.map(
        lambda leaf: abstract(leaf.shape, leaf.dtype, whole),
        jax.eval_shape(lambda: step.init_state(config, 0, stage)),
    )
    chunks = abstract((config.batch_size, config.lengths.chunk_tokens), jnp.int32, rows)
    # Rows for sentinels and [M] are the last of T5's vocabulary, whatever its size.
    vocabulary = VocabularyFacts.of_pieces(config.model.vocab_size - 128)
    train_step = step.build_train_step(config, vocabulary, stage)
    options: dict[str, Any] = {} if mesh is None else {"out_shardings": whole}
    return (
        jax.jit(train_step, donate_argnums=0, **options),
        (state, chunks, abstract((), jnp.int32, whole)),
    )


def _serve(request: Mapping[str, Any]) -> dict[str, Any]:
    """Compiles what is asked for; runs in the process that :func:`compile_step` starts."""
    import jax
    import numpy as np

    from spactor import ahead

    numerics.apply()
    config = from_mapping(PretrainConfig, request["config"], "config")
    devices = ahead.devices(request["topology"], tpu.chip_of(request["topology"]).config)
    mesh = jax.sharding.Mesh(np.array(devices), ("data",))
    step, arguments = _step(config, request["stage"], mesh)
    program = step.lower(*arguments).compile()
    operations = dataclasses.asdict(hlo.operations(program.as_text()))
    return {"chips": len(devices), "operations": operations} | ahead.costs(program)


if __name__ == "__main__":
    print(json.dumps(_serve(json.load(sys.stdin))))
