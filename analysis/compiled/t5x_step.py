"""T5X's training step compiled for TPU slices: memory, FLOPs and collectives of one chip.

The program is T5X's trainer with its Adafactor, the shardings of its partitioner and our models, as
the gin files of ``spactor/t5x/gin/`` configure it, at the paper's batch and lengths. Both slices
have 64 chips, so each chip has 32 sequences; a v4 chip has 32 GiB of memory, a v5e chip 16.

Compiling needs T5X and libtpu; ``t5x_process`` does it.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import spactor
from analysis.compiled import hlo, local_step, measurements, slices
from analysis.compiled.measurements import Artifact, Cost, Measurement
from analysis.tpu_slices import Slice
from spactor import provenance
from spactor.config import PAPER, STAGES, PretrainConfig, Stage
from spactor.errors import UserError

GIN = Path(spactor.__file__).parent / "t5x" / "gin"
"""Folder of the shipped gin files."""
SOURCES = Path(__file__).parents[2] / "t5x-sources.txt"
TOPOLOGIES = ("v4:4x4x4", "v5e:8x8")
_SLICE_FILES: Mapping[tuple[str, str], tuple[str, ...]] = {("large", "v5e:8x8"): ("large_v5e",)}


@dataclass(frozen=True, kw_only=True)
class T5XCost(Cost):
    """XLA's analysis of one chip's share of T5X's step.

    Attributes:
      mesh: number of devices along each of T5X's two axes.
      microbatches: number of microbatches that T5X splits the batch into.
      collectives: collective operations by kind.
      parameter_bytes, state_bytes: bytes of the parameters, and of T5X's whole train state.
      flags: JAX settings for random numbers and precision.
      t5x_digest: SHA-256 of the source of T5X's modules.
    """

    mesh: dict[str, int]
    microbatches: int
    collectives: dict[str, hlo.Collective]
    parameter_bytes: int
    state_bytes: int
    flags: dict[str, Any]
    t5x_digest: str


@dataclass(frozen=True, kw_only=True)
class Program(measurements.Program):
    """T5X's step of one size and stage, for one slice."""

    def __str__(self) -> str:
        return f"{self.size}, {self.stage}, {self.topology}"

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the run's gin files in order, without those of data and of the switch."""
        last = _SLICE_FILES.get((self.size, self.topology), ())
        return (self.size, "pretrain", self.stage, *last)

    @property
    def config(self) -> PretrainConfig:
        """Table 5's column for the size, with the options of :func:`as_computed`."""
        return as_computed(PAPER[self.size], self.stage)

    def fingerprint(self) -> str:
        """Digest of matrix products, slice, layout and T5X's commits.

        Stage 1 has the local step's products. Stage 2 is T5X's own network and loss, which have the
        local step's products with one-hot lookups. The fingerprint does not cover the arrays that a
        loss holds in memory: compile everything again (``--all``) after a change of the loss.
        """
        local = local_step.Program(
            size=self.size,
            stage=self.stage,
            variant="ours" if self.stage == "hybrid" else "paper_faithful",
        )
        return provenance.fingerprint(
            {
                "products": local.fingerprint(),
                "topology": [self.topology, Slice.parse(self.topology).type.chip_config],
                "batch_size": macro(self, "PRETRAIN_BATCH_SIZE"),
                "microbatches": macro(self, "NUM_MICROBATCHES"),
                "model_parallel_submesh": list(macro(self, "MODEL_PARALLEL_SUBMESH")),
                "sources": sources(),
            }
        )

    def compile(self) -> T5XCost:
        """Compiles the step at full size in a process of its own."""
        return compile_step(self.files, self.topology, PAPER[self.size], name=self)


def sources() -> dict[str, str]:
    """Returns the commits that ``t5x-sources.txt`` pins, by package."""
    pins = re.findall(r"^(\w+) @ \S+@([0-9a-f]{40})$", SOURCES.read_text("utf-8"), re.MULTILINE)
    return dict(pins)


ARTIFACT: Artifact[Program, T5XCost] = Artifact(
    path=Path(__file__).with_name("t5x_step.json"),
    command="python -m repro compile --t5x",
    programs=tuple(
        Program(size=size, stage=stage, topology=topology)
        for topology in TOPOLOGIES
        for size in PAPER
        for stage in reversed(STAGES)
    ),
    kind=Measurement[Program, T5XCost],
    packages=(*measurements.PACKAGES, "numpy", "clu", "gin-config"),
    sources=sources,
    out_of_date="the step, its gin files or the pinned T5X changed",
)


def as_computed(config: PretrainConfig, stage: Stage) -> PretrainConfig:
    """Returns a configuration as T5X computes it: in bfloat16, with one-hot lookups in stage 2."""
    model = dataclasses.replace(
        config.model, compute_dtype="bfloat16", one_hot_embedding=stage != "hybrid"
    )
    return dataclasses.replace(config, model=model)


def macro(program: Program, name: str) -> Any:
    """Returns the value that a program's gin files bind to a macro.

    >>> macro(Program(size="base", stage="hybrid", topology="v4:4x4x4"), "PRETRAIN_BATCH_SIZE")
    2048
    """
    texts = [(GIN / f"{file}.gin").read_text("utf-8") for file in program.files]
    return ast.literal_eval(re.findall(rf"^{name} = (.*)$", "\n".join(texts), re.MULTILINE)[-1])


def summary(measured: Mapping[Program, Measurement[Program, T5XCost]]) -> str:
    """Formats a Markdown table of the memory, FLOPs and collectives of one chip."""
    rows = []
    for program in filter(measured.__contains__, ARTIFACT.programs):
        one = measured[program]
        cost = one.cost
        sent = {kind: found.total_bytes / 1e9 for kind, found in cost.collectives.items()}
        rows.append(
            [
                str(program),
                str(cost.microbatches),
                f"{cost.memory_bytes['peak'] / 2**30:.1f}",
                f"{Slice.parse(program.topology).type.memory_bytes // 2**30}",
                f"{cost.memory_bytes['argument'] / 2**30:.1f}",
                f"{cost.flops / 1e9:,.0f}",
                f"{cost.flops / one.analytic_flops:.4f}",
                f"{sent.pop('all-reduce', 0.0):.2f}",
                f"{sum(sent.values()):.2f}",
            ]
        )
    headings = ("", "microbatches", "GiB", "of", "state", "GFLOPs", "over analytic")
    return measurements.markdown_table((*headings, "all-reduced GB", "sent otherwise"), rows)


def compile_step(
    files: tuple[str, ...],
    topology: str,
    config: PretrainConfig,
    name: object = "T5X's step",
    **macros: object,
) -> T5XCost:
    """Compiles the training step that gin files configure for a slice, in a process of its own.

    Args:
      files: names of gin files in order, without those of data and of the switch.
      topology: TPU slice, such as ``v5e:8x8``.
      config: model and batch sizes, equal to those that the files bind.
      name: the program's name in error messages.
      macros: gin macros, bound after the files.

    Raises:
      UserError: T5X or libtpu is missing, XLA could not compile the step, or reports no FLOPs.
    """
    if importlib.util.find_spec("t5x") is None:
        raise UserError("T5X is not installed, and no registry has it: see docs/installation.md")
    # T5X's gin files require these macros; the step does not depend on them.
    required = {"MODEL_DIR": "", "TRAIN_STEPS": 1, "RANDOM_SEED": 0, "MIXTURE_OR_TASK_NAME": ""}
    with tempfile.TemporaryDirectory(prefix="spactor-") as folder:
        path = Path(folder) / "program.txt"
        request = {
            "files": files,
            "bindings": required | macros,
            "topology": topology,
            # The rows of sentinels and [M] are the last of T5's vocabulary, whatever its size.
            "pieces": config.model.vocab_size - 128,
            "text": str(path),
        }
        answer = slices.compile_in_process("analysis.compiled.t5x_process", request, topology, name)
        return cost_of(answer, path.read_text("utf-8"), name)


def cost_of(answer: Mapping[str, Any], text: str, name: object) -> T5XCost:
    """Combines the result of ``t5x_process`` with counts from the compiled program's text.

    XLA counts the body of the loop over microbatches once; the other iterations are added here.

    Raises:
      UserError: XLA reports no FLOPs, or the program's loops do not fit its microbatches.
    """
    runs = answer["microbatches"] if answer["microbatches"] > 1 else 0
    operations = hlo.operations(text, runs)
    counted = measurements.known_flops(answer["flops"], name)
    if runs:
        counted += operations.total - hlo.operations(text, 1).total
    read = {"operations": operations, "collectives": hlo.collectives(text, runs)}
    return T5XCost(**dict(answer) | {"flops": counted} | read)
