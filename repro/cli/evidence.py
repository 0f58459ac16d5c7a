"""Commands ``repro evidence``: statistical tests of records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from repro.cli.app import app, command
from repro.cli.formats import Format, emit
from repro.cli.options import Details, Records

if TYPE_CHECKING:
    from analysis.learning import LearningResult, ScratchResult
    from analysis.power import PowerResult

evidence = typer.Typer(
    name="evidence",
    help="Statistical tests: trend, savings, learned, registered, power.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
app.add_typer(evidence)


@command(evidence)
def trend(chosen: Records, details: Details = False, format: Format = "text") -> None:
    """Tests the trend of the validation losses (Appendix B)."""
    from analysis import trend as trends

    found = trends.run(chosen.measured(trends.READS).records)
    facts = {"profile": found.profile, "readings": found.readings}
    emit(format, lambda: found.text(details=details), found.rows(), **facts)


@command(evidence)
def savings(chosen: Records, details: Details = False, format: Format = "text") -> None:
    """Prints the pre-training that each τ saves."""
    from analysis import savings as saving
    from analysis.schema import published

    found = saving.run(
        published.load_all() if chosen.are_published else chosen.measured(saving.READS).records
    )
    facts = {"profile": found.profile, "step_costs": found.overheads}
    emit(format, lambda: found.text(details=details), found.savings, **facts)


@command(evidence)
def learned(chosen: Records, details: Details = False, format: Format = "text") -> None:
    """Compares the models with guessing, and with no pre-training."""
    from analysis import learning

    ours = chosen.measured(learning.READS)
    found, scratch = learning.run(ours.records), learning.compare_with_scratch(ours.metrics)
    rows = (*found.checks, *scratch.comparisons)
    facts = {"profile": found.profile}
    emit(format, lambda: learned_text(found, scratch, details=details), rows, **facts)


def learned_text(found: LearningResult, scratch: ScratchResult, *, details: bool = True) -> str:
    """Formats both comparisons of ``repro evidence learned``; details add a line per suite."""
    return f"{found.text()}\n\n{scratch.text(details=details)}"


@command(evidence)
def registered(chosen: Records, format: Format = "text") -> None:
    """Runs the tests that were registered before the study began."""
    from analysis import registered as tests

    found = tests.run(chosen.measured(tests.READS).metrics)
    emit(format, found.text, found.rows(), profile=found.profile)


@command(evidence)
def power(chosen: Records, format: Format = "text") -> None:
    """Prints how many runs each claim needs to be decided."""
    from analysis import paper
    from analysis import power as powers
    from analysis.schema import published

    judged = [paper.judge(published.load_all())]
    runs = {size: row.runs for size, row in chosen.load_profile().matrix.items()}
    if measured := chosen.measured_if_any(paper.READS):
        frame = measured.records
        judged.append(paper.judge(frame))
        runs = powers.runs_of(frame)
    found = [powers.run(one, runs) for one in judged]
    rows = [row for one in found for row in one.rows()]
    emit(format, lambda: power_text(found), rows, runs=runs)


def power_text(found: Sequence[PowerResult]) -> str:
    """Formats the results of ``repro evidence power`` for each source of standard deviations."""
    return "\n\n".join(one.text() for one in found)
