"""T5X's own training step, compiled for TPU slices: memory, FLOPs and collectives of one chip.

What gin makes of ``spactor/t5x/gin/`` is compiled on a CPU host: T5X's trainer, its partitioner's
shardings, its Adafactor, our models, in both stages, at the paper's batch and lengths. Both slices
have 64 chips, so a chip of either has 32 sequences; a v4's has 32 GiB for them, a v5e's 16.

Programs take minutes, so the results are kept in ``compiled_t5x.json``, each with what it was
measured from; ``repro compile-t5x`` measures what is missing or out of date. Only that needs JAX,
libtpu and T5X.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import spactor
from analysis import compiled, flops, hlo, kept, tpu
from spactor import provenance
from spactor.config import PAPER, STAGES, PretrainConfig, Stage
from spactor.errors import UserError

ARTIFACT = Path(__file__).with_name("compiled_t5x.json")
GIN = Path(spactor.__file__).parent / "t5x" / "gin"
SOURCES = Path(__file__).parents[1] / "t5x-sources.txt"
COMMAND = "python -m repro compile-t5x"
FORMAT = 1
PACKAGES = (*compiled.PACKAGES, "numpy", "clu", "gin-config")

TOPOLOGIES = ("v4:4x4x4", "v5e:8x8")
_SLICE_FILES: Mapping[tuple[str, str], tuple[str, ...]] = {("large", "v5e:8x8"): ("large_v5e",)}


@dataclass(frozen=True, kw_only=True, order=True)
class Program:
    """One program that is measured."""

    size: str
    stage: Stage
    topology: str

    def __str__(self) -> str:
        return f"{self.size}, {self.stage}, {self.topology}"

    @property
    def files(self) -> tuple[str, ...]:
        """Gin files of the run, in their order, without text and switch."""
        last = _SLICE_FILES.get((self.size, self.topology), ())
        return (self.size, "pretrain", self.stage, *last)

    @property
    def config(self) -> PretrainConfig:
        """Table 5's column as the program computes it."""
        return as_computed(PAPER[self.size], self.stage)


PROGRAMS = tuple(
    Program(size=size, stage=stage, topology=topology)
    for topology in TOPOLOGIES
    for size in PAPER
    for stage in reversed(STAGES)
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What XLA says of one chip's share of a step.

    Attributes:
      chips: that share the batch.
      mesh: devices along T5X's two axes.
      microbatches: that the batch is worked through in.
      flops: of XLA's cost analysis, the microbatches' loop counted as often as it runs.
      bytes_accessed: read and written, of all memories; a loop's once.
      transcendentals: beside the FLOPs; a loop's once.
      operations: the FLOPs by kind, read from the program's text.
      collectives: what chips send one another, by kind.
      memory_bytes: peak of arguments, results and temporaries, and its parts.
      parameter_bytes, state_bytes: of the parameters, and of all of T5X's train state.
      flags: of JAX, on random numbers and precision.
      t5x_digest: of the source of T5X's modules.
    """

    chips: int
    mesh: dict[str, int]
    microbatches: int
    flops: float
    bytes_accessed: float
    transcendentals: float
    operations: hlo.Operations
    collectives: dict[str, hlo.Collective]
    memory_bytes: dict[str, int]
    parameter_bytes: int
    state_bytes: int
    flags: dict[str, Any]
    t5x_digest: str


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
    sources: dict[str, str]

    @property
    def analytic_flops(self) -> float:
        """The analytic count of the same program, of one chip."""
        return flops.step_flops(self.program.config, self.program.stage) / self.cost.chips


def as_computed(config: PretrainConfig, stage: Stage) -> PretrainConfig:
    """A configuration as T5X's step computes it: its own network looks tokens up by products."""
    model = dataclasses.replace(
        config.model, compute_dtype="bfloat16", one_hot_embedding=stage != "hybrid"
    )
    return dataclasses.replace(config, model=model)


def macro(program: Program, name: str) -> Any:
    """What a program's gin files bind a macro to.

    >>> macro(Program(size="base", stage="hybrid", topology="v4:4x4x4"), "PRETRAIN_BATCH_SIZE")
    2048
    """
    texts = [(GIN / f"{file}.gin").read_text("utf-8") for file in program.files]
    return ast.literal_eval(re.findall(rf"^{name} = (.*)$", "\n".join(texts), re.MULTILINE)[-1])


def sources() -> dict[str, str]:
    """Commits that ``t5x-sources.txt`` pins, by package."""
    pins = re.findall(r"^(\w+) @ \S+@([0-9a-f]{40})$", SOURCES.read_text("utf-8"), re.MULTILINE)
    return dict(pins)


def summary(measured: Mapping[Program, Measured]) -> str:
    """A table in markdown of what one chip holds, computes and sends."""
    rows = []
    for program in filter(measured.__contains__, PROGRAMS):
        one = measured[program]
        cost = one.cost
        sent = {kind: found.total_bytes / 1e9 for kind, found in cost.collectives.items()}
        rows.append(
            [
                str(program),
                str(cost.microbatches),
                f"{cost.memory_bytes['peak'] / 2**30:.1f}",
                f"{tpu.chip_of(program.topology).memory_bytes // 2**30}",
                f"{cost.memory_bytes['argument'] / 2**30:.1f}",
                f"{cost.flops / 1e9:,.0f}",
                f"{cost.flops / one.analytic_flops:.4f}",
                f"{sent.pop('all-reduce', 0.0):.2f}",
                f"{sum(sent.values()):.2f}",
            ]
        )
    headings = ("", "microbatches", "GiB", "of", "state", "GFLOPs", "over analytic")
    return kept.table((*headings, "all-reduced GB", "sent otherwise"), rows)


def load(path: Path = ARTIFACT) -> dict[Program, Measured]:
    """The kept measurements.

    Raises:
      UserError: the file can't be read as such.
    """
    return kept.load(path, FORMAT, COMMAND, _from_data)


def _from_data(data: Mapping[str, Any]) -> Measured:
    cost = dict(data["cost"])
    cost["operations"] = hlo.Operations(**cost["operations"])
    found = cost["collectives"].items()
    cost["collectives"] = {kind: hlo.Collective(**one) for kind, one in found}
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
    environments = {topology: tpu.steering(topology) for topology in TOPOLOGIES}
    kept.write(
        path,
        {
            "format": FORMAT,
            "command": COMMAND,
            "chip_configs": {topology: tpu.chip_of(topology).config for topology in TOPOLOGIES},
            "environments": environments,
            "programs": programs,
        },
    )


def outdated(measured: Mapping[Program, Measured]) -> dict[Program, str]:
    """Programs that have to be measured, and why. Needs JAX, neither libtpu nor T5X."""
    reasons = {}
    for program in PROGRAMS:
        one = measured.get(program)
        if one is None:
            reasons[program] = "not measured yet"
        elif one.fingerprint != fingerprint(program):
            reasons[program] = "the step, its gin or the pinned T5X changed"
    return reasons


def fingerprint(program: Program) -> str:
    """Identity of what a measurement depends on: matrix products, slice, layout, T5X's commits.

    The models hand the losses of ``spactor`` to T5X, so the products are those of the local step;
    the stock network's are those of the local one with one-hot lookups.
    """
    local = compiled.Program(
        size=program.size,
        stage=program.stage,
        variant="ours" if program.stage == "hybrid" else "paper_faithful",
    )
    return provenance.fingerprint(
        {
            "products": compiled.fingerprint(local),
            "topology": [program.topology, tpu.chip_of(program.topology).config],
            "batch_size": macro(program, "PRETRAIN_BATCH_SIZE"),
            "microbatches": macro(program, "NUM_MICROBATCHES"),
            "model_parallel_submesh": list(macro(program, "MODEL_PARALLEL_SUBMESH")),
            "sources": sources(),
        }
    )


def measure(program: Program) -> Measured:
    """Compiles a program at full size in a process of its own: minutes, and some GB of memory.

    Raises:
      UserError: T5X or libtpu is missing, or XLA could not do it: it does not fit, for one.
    """

    began = time.monotonic()
    cost = compile_step(program.files, program.topology, PAPER[program.size], what=program)
    return Measured(
        program=program,
        cost=cost,
        fingerprint=fingerprint(program),
        date=datetime.now(UTC).date().isoformat(),
        commit=provenance.commit(),
        seconds=round(time.monotonic() - began),
        versions=provenance.versions(PACKAGES),
        sources=sources(),
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
        lambda one: f"{one.cost.memory_bytes['peak'] / 2**30:.1f} GiB a chip, {one.seconds:.0f} s",
    )


def compile_step(
    files: tuple[str, ...],
    topology: str,
    config: PretrainConfig,
    what: object = "T5X's step",
    **macros: object,
) -> Cost:
    """Compiles the training step of gin files for a slice in a process of its own.

    Args:
      files: of ``spactor/t5x/gin``, by name and in their order, without text and switch.
      topology: such as ``v5e:8x8``.
      config: the sizes that they say.
      what: to call it in an error.
      macros: bound behind the files.

    Raises:
      UserError: T5X or libtpu is missing, XLA could not compile it, or gives no FLOPs.
    """
    if importlib.util.find_spec("t5x") is None:
        raise UserError(
            "T5X is not installed, and is on no registry: see 'Installation in tiers' in README.md"
        )
    # Nothing is read or written there; T5X's gin asks for them.
    needed = {"MODEL_DIR": "", "TRAIN_STEPS": 1, "RANDOM_SEED": 0, "MIXTURE_OR_TASK_NAME": ""}
    with tempfile.TemporaryDirectory(prefix="spactor-") as folder:
        path = Path(folder) / "program.txt"
        request = {
            "files": files,
            "bindings": needed | macros,
            "topology": topology,
            "chip_config": tpu.chip_of(topology).config,
            # Rows for sentinels and [M] are the last of T5's vocabulary, whatever its size.
            "pieces": config.model.vocab_size - 128,
            "text": str(path),
        }
        answer = tpu.ask("spactor.t5x.compiling", request, topology, what)
        return cost_of(answer, path.read_text("utf-8"), what)


def cost_of(answer: Mapping[str, Any], text: str, what: object) -> Cost:
    """Cost of a program by what ``spactor.t5x.compiling`` answers, and by its text."""
    runs = answer["microbatches"] if answer["microbatches"] > 1 else 0
    operations = hlo.operations(text, runs)
    counted = compiled.flops_of(answer["flops"], what)
    if runs:
        counted += operations.total - hlo.operations(text, 1).total
    return Cost(
        **dict(answer)
        | {
            "flops": counted,
            "operations": operations,
            "collectives": hlo.collectives(text, runs),
        }
    )
