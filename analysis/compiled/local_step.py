"""FLOPs of the local engine's training step, compiled for the paper's TPU slice (Table 3).

The step of ``spactor.step``, Adafactor's update included, is compiled for 64 TPU v4 chips,
data-parallel over all of them, at the paper's batch and lengths. Nothing is allocated or run. Two
variants:

* ``paper_faithful``: as T5X would run the paper's Section 2.1: embedding by one-hot products, the
  generator's logits at every position, and a second embedding of the discriminator's input;
* ``ours``: embedding by gathers, the generator's logits at masked positions only, and the
  generator's embedding reused for the discriminator's unchanged tokens.

Both compute in bfloat16 with float32 parameters, as T5X's T5.1.0 configuration does, with a dropout
of a tenth. ``python -m analysis.compiled.local_step`` is the process that compiles.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from analysis.compiled import hlo, measurements, slices
from analysis.compiled.measurements import Artifact, Cost, Measurement
from analysis.tpu_slices import Slice
from spactor import numerics, provenance
from spactor.config import PAPER, STAGES, PretrainConfig, Stage
from spactor.plain_data import from_mapping, to_mapping

Variant = Literal["paper_faithful", "ours"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

_OPTIONS: Mapping[Variant, Mapping[str, bool]] = {
    "paper_faithful": {
        "one_hot_embedding": True,
        "project_all_positions": True,
        "reuse_embedding": False,
    },
    "ours": {},
}


@dataclass(frozen=True, kw_only=True)
class Program(measurements.Program):
    """The local step of one size, stage and variant."""

    topology: str = "v4:4x4x4"
    variant: Variant

    def __str__(self) -> str:
        return f"{self.size}, {self.stage}, {self.variant}"

    @property
    def config(self) -> PretrainConfig:
        """Table 5's column, in bfloat16, with the variant's options."""
        config = PAPER[self.size]
        options = _OPTIONS[self.variant]
        model = dataclasses.replace(config.model, compute_dtype="bfloat16", **options)
        return dataclasses.replace(config, model=model)

    def fingerprint(self) -> str:
        """Digest of the slice, the depths, and the shapes and types of every matrix product.

        Changes of comments, names and elementwise operations (a few per cent of the FLOPs) leave
        the fingerprint as it is.
        """
        return _fingerprint(self)

    def compile(self) -> Cost:
        """Compiles the step at full size in a process of its own."""
        return compile_step(self.config, self.stage, self.topology, self)


ARTIFACT: Artifact[Program, Cost] = Artifact(
    path=Path(__file__).with_name("local_step.json"),
    command="python -m repro compile",
    programs=tuple(
        Program(size=size, stage=stage, variant=variant)
        for size in PAPER
        for variant in VARIANTS
        for stage in reversed(STAGES)
    ),
    kind=Measurement[Program, Cost],
    packages=measurements.PACKAGES,
    out_of_date="the step's matrix products changed",
)


def ratio(
    measured: Mapping[Program, Measurement[Program, Cost]], size: str, variant: Variant
) -> float | None:
    """FLOPs of a hybrid step over those of a plain one; None if either is not measured."""
    pair = [measured.get(Program(size=size, stage=stage, variant=variant)) for stage in STAGES]
    hybrid, plain = pair[STAGES.index("hybrid")], pair[STAGES.index("span_corruption")]
    return hybrid.cost.flops / plain.cost.flops if hybrid and plain else None


def summary(measured: Mapping[Program, Measurement[Program, Cost]]) -> str:
    """Formats a Markdown table of one chip's GFLOPs by kind, and of the analytic count."""
    headings = ("", "compiled", "products", "conversions", "random bits", "other", "analytic")
    rows = []
    for program in filter(measured.__contains__, ARTIFACT.programs):
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
    return measurements.markdown_table((*headings, "over analytic", "over 2nd stage"), rows)


def compile_step(
    config: PretrainConfig, stage: Stage, topology: str, name: object = "the step"
) -> Cost:
    """Compiles a training step for a TPU slice in a process of its own, and reads its cost.

    Args:
      config: model and batch sizes; ``batch_size`` must be divisible by the number of chips.
      stage: stage of pre-training that the step belongs to.
      topology: TPU slice, such as ``v4:4x4x4``.
      name: the program's name in error messages.

    Raises:
      UserError: libtpu is missing, XLA could not compile the step, or reports no FLOPs.
    """
    request = {"config": to_mapping(config), "stage": stage, "topology": topology}
    answer = slices.compile_in_process("analysis.compiled.local_step", request, topology, name)
    operations = hlo.Operations(**answer.pop("operations"))
    counted = measurements.known_flops(answer.pop("flops"), name)
    return Cost(flops=counted, operations=operations, **answer)


@cache
def _fingerprint(program: Program) -> str:
    """Lowers the step with one layer per stack, which takes a second, and digests the HLO."""
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
            "topology": [program.topology, Slice.parse(program.topology).type.chip_config],
            "layers": {name: getattr(model, name) for name in stacks},
            "dropout_rate": model.dropout_rate,
            "products": sorted(re.sub(r"%[\w#]+", "", line) for line in products),
        }
    )


def _step(config: PretrainConfig, stage: Stage, mesh: Any = None) -> tuple[Any, tuple[Any, ...]]:
    """Returns the jitted training step and its abstract arguments, sharded if a mesh is given."""
    import jax
    import jax.numpy as jnp

    from spactor import step
    from spactor.data.vocabulary import VocabularyFacts

    replicated = rows = None
    if mesh is not None:
        spec = jax.sharding.PartitionSpec
        replicated, rows = (
            jax.sharding.NamedSharding(mesh, spec(*axes)) for axes in ((), ("data",))
        )

    def abstract(shape: tuple[int, ...], dtype: Any, sharding: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    state = jax.tree.map(
        lambda leaf: abstract(leaf.shape, leaf.dtype, replicated),
        jax.eval_shape(lambda: step.init_state(config, 0, stage)),
    )
    chunks = abstract((config.batch_size, config.lengths.chunk_tokens), jnp.int32, rows)
    # The rows of sentinels and [M] are the last of T5's vocabulary, whatever its size.
    vocabulary = VocabularyFacts.of_pieces(config.model.vocab_size - 128)
    train_step = step.build_train_step(config, vocabulary, stage)
    options: dict[str, Any] = {} if mesh is None else {"out_shardings": replicated}
    return (
        jax.jit(train_step, donate_argnums=0, **options),
        (state, chunks, abstract((), jnp.int32, replicated)),
    )


def _compile(request: Mapping[str, Any]) -> dict[str, Any]:
    """Compiles the requested step; runs in the process that :func:`compile_step` starts."""
    import jax
    import numpy as np

    numerics.apply()
    config = from_mapping(PretrainConfig, request["config"], "config")
    devices = slices.devices(request["topology"])
    mesh = jax.sharding.Mesh(np.array(devices), ("data",))
    step, arguments = _step(config, request["stage"], mesh)
    program = step.lower(*arguments).compile()
    operations = dataclasses.asdict(hlo.operations(program.as_text()))
    return {"chips": len(devices), "operations": operations} | slices.costs(program)


if __name__ == "__main__":
    print(json.dumps(_compile(json.load(sys.stdin))))
