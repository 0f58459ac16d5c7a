"""Measurements of compiled programs in JSON files: reading, updating and writing them."""

from __future__ import annotations

import abc
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from analysis import flops
from analysis.compiled import hlo, slices
from analysis.tpu_slices import Slice
from spactor import files, provenance, strict_json
from spactor.config import PretrainConfig, Stage
from spactor.errors import UserError
from spactor.plain_data import from_mapping

FORMAT = 1
PACKAGES = ("jax", "jaxlib", "flax", "optax", "libtpu")
"""Packages that decide what XLA compiles for either program; measurements record their versions."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """XLA's analysis of one chip's share of a step.

    Attributes:
      chips: number of chips that share the batch.
      flops: FLOPs of products and all other operations; a multiply-add is 2. The body of the loop
        over microbatches counts once per iteration.
      transcendentals: number of exponentials, logarithms and roots, which are no part of the FLOPs.
        A loop's body counts once.
      bytes_accessed: bytes read and written, in all memories. A loop's body counts once.
      operations: FLOPs by kind, counted in the program's text.
      memory_bytes: peak memory of arguments, results and temporaries, and its parts.
    """

    chips: int
    flops: float
    transcendentals: float
    bytes_accessed: float
    operations: hlo.Operations
    memory_bytes: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Program(abc.ABC):
    """A program to compile: a training step of one model size and stage, for one TPU slice."""

    size: str
    stage: Stage
    topology: str

    @property
    @abc.abstractmethod
    def config(self) -> PretrainConfig:
        """Table 5's column for the size, with the options that the program is compiled with."""

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Digest of everything that a measurement of the program depends on. Needs JAX."""

    @abc.abstractmethod
    def compile(self) -> Cost:
        """Compiles the program in a process of its own, which takes minutes and some GB of memory.

        Raises:
          UserError: libtpu (or T5X) is missing, or XLA could not compile the program.
        """


AnyProgram = TypeVar("AnyProgram", bound=Program)
AnyCost = TypeVar("AnyCost", bound=Cost)


@dataclass(frozen=True, kw_only=True)
class Measurement(Generic[AnyProgram, AnyCost]):
    """The cost of a compiled program, with the code and packages it was compiled with.

    Attributes:
      program, cost: the program, and XLA's analysis of it.
      fingerprint: the program's fingerprint at the time of compilation.
      date, commit: day of the compilation, and commit of this repository.
      seconds: duration of the compilation.
      versions: versions of ``Artifact.packages``.
      sources: commits of packages that are installed from their repositories.
    """

    program: AnyProgram
    cost: AnyCost
    fingerprint: str
    date: str
    commit: str
    seconds: int
    versions: dict[str, str]
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def analytic_flops(self) -> float:
        """FLOPs of the same step on one chip, counted by ``analysis.flops``."""
        return flops.step_flops(self.program.config, self.program.stage) / self.cost.chips


@dataclass(frozen=True, kw_only=True)
class Artifact(Generic[AnyProgram, AnyCost]):
    """A JSON file of measurements.

    Attributes:
      path: path of the file.
      command: command that updates the file.
      programs: every program that the file should hold, in order.
      kind: type of a measurement.
      packages: packages to record the versions of.
      sources: function that returns the commits to record, by package.
      out_of_date: reason printed when a program's fingerprint has changed.
    """

    path: Path
    command: str
    programs: tuple[AnyProgram, ...]
    kind: type[Measurement[AnyProgram, AnyCost]]
    packages: tuple[str, ...]
    sources: Callable[[], dict[str, str]] = dict
    out_of_date: str

    def load(self) -> dict[AnyProgram, Measurement[AnyProgram, AnyCost]]:
        """The stored measurements by program; empty if there is no file.

        Raises:
          UserError: the file is not a valid artifact of this format.
        """
        if not self.path.is_file():
            return {}
        try:
            data = strict_json.loads(self.path.read_text("utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']}")
            found = {}
            for values in data["programs"]:
                del values["analytic_flops"]  # a property, computed from the others
                one = from_mapping(self.kind, values, "a program")
                found[one.program] = one
            return found
        except (ValueError, KeyError, TypeError, UserError) as error:
            raise UserError(
                f"{self.path} can't be read ({error}): delete it and run `{self.command}`"
            ) from error

    def write(self, measured: Mapping[AnyProgram, Measurement[AnyProgram, AnyCost]]) -> None:
        """Replaces the file; measurements are written in the order of ``programs``."""
        topologies = dict.fromkeys(program.topology for program in self.programs)
        stored = [measured[program] for program in self.programs if program in measured]
        data = {
            "format": FORMAT,
            "command": self.command,
            "chip_configs": {name: Slice.parse(name).type.chip_config for name in topologies},
            "environments": {name: slices.xla_environment(name) for name in topologies},
            "programs": [
                dataclasses.asdict(one) | {"analytic_flops": one.analytic_flops} for one in stored
            ],
        }
        files.write_atomically(self.path, (json.dumps(data, indent=1) + "\n").encode())

    def outdated(
        self, measured: Mapping[AnyProgram, Measurement[AnyProgram, AnyCost]]
    ) -> dict[AnyProgram, str]:
        """Returns the programs to compile, with reasons. Needs JAX, but neither libtpu nor T5X."""
        reasons = {}
        for program in self.programs:
            one = measured.get(program)
            if one is None:
                reasons[program] = "not measured yet"
            elif one.fingerprint != program.fingerprint():
                reasons[program] = self.out_of_date
        return reasons

    def measure(self, program: AnyProgram) -> Measurement[AnyProgram, AnyCost]:
        """Compiles a program and returns its measurement.

        Raises:
          UserError: see :meth:`Program.compile`.
        """
        start = time.monotonic()
        cost = program.compile()
        return Measurement(
            program=program,
            cost=cost,  # type: ignore[arg-type]
            fingerprint=program.fingerprint(),
            date=datetime.now(UTC).date().isoformat(),
            commit=provenance.commit(),
            seconds=round(time.monotonic() - start),
            versions=provenance.versions(self.packages),
            sources=self.sources(),
        )

    def update(
        self, *, everything: bool = False, report: Callable[[str], None] = print
    ) -> dict[AnyProgram, Measurement[AnyProgram, AnyCost]]:
        """Compiles programs that are missing or out of date, and writes the file after each.

        Args:
          everything: whether to compile all programs again.
          report: function that is called with one line per event.

        Returns:
          The measurements of all programs.

        Raises:
          UserError: see :meth:`Program.compile`; the file has the programs compiled until then.
        """
        measured = {
            program: one for program, one in self.load().items() if program in self.programs
        }
        due = dict.fromkeys(self.programs, "requested") if everything else self.outdated(measured)
        for program, reason in due.items():
            report(f"{program}: {reason}; compiling")
            measured[program] = one = self.measure(program)
            self.write(measured)
            report(
                f"{program}: {one.cost.flops / 1e9:,.0f} GFLOPs and "
                f"{one.cost.memory_bytes['peak'] / 2**30:.1f} GiB a chip, {one.seconds:.0f} s"
            )
        return measured


def known_flops(value: object, name: object) -> float:
    """Validates the FLOPs of XLA's cost analysis, which are None or −1 where they are unknown.

    Args:
      value: XLA's number.
      name: the program's name in the error message.

    Raises:
      UserError: ``value`` is not a positive finite number.

    >>> known_flops(3e12, "a program")
    3000000000000.0
    """
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise UserError(
            f"XLA reports {value} FLOPs for {name}: "
            "install the versions of jax and libtpu in constraints.txt"
        )
    return float(value)


def markdown_table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Formats a Markdown table with its first column aligned left and the others right.

    >>> print(markdown_table(["", "a"], [["x", "1"]]))
    |  | a |
    | --- | ---: |
    | x | 1 |
    """
    headings = list(headings)
    lines = [f"| {' | '.join(headings)} |", f"| --- |{' ---: |' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
