"""Output of ``repro claims``: statements judged on published and on measured numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.paper.statement import CLAIM_VERDICTS, Judgement, Passage, Verdict, counted
from analysis.tests import ALPHA
from spactor.errors import UserError
from spactor.text_table import paragraphs, wrap


@dataclass(frozen=True)
class Row:
    """A statement judged on the published numbers and, if there are any, on measured ones."""

    statement: Passage
    published: Judgement
    measured: Judgement | None

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """The judgement of published numbers, then that of measured ones if there is one."""
        return (self.published,) if self.measured is None else (self.published, self.measured)


def pair_rows(
    published: Sequence[Judgement], measured: Sequence[Judgement] | None = None
) -> tuple[Row, ...]:
    """Pairs judgements of published and of measured numbers, statement by statement."""
    ours: Sequence[Judgement | None] = measured or [None] * len(published)
    return tuple(Row(p.statement, p, m) for p, m in zip(published, ours, strict=True))


def verdict_named(name: str) -> Verdict:
    """Returns the verdict with a name, which has spaces or hyphens between the words.

    Raises:
      UserError: no verdict has the name.

    >>> verdict_named("not-testable")
    <Verdict.NOT_TESTABLE: 'not testable'>
    """
    for verdict in CLAIM_VERDICTS:
        if name.replace("-", " ") == verdict:
            return verdict
    listed = ", ".join(verdict.replace(" ", "-") for verdict in CLAIM_VERDICTS)
    raise UserError(f"unknown verdict {name!r}: give one of {listed}")


def of_verdict(rows: Sequence[Row], verdict: Verdict) -> tuple[Row, ...]:
    """Selects the rows with a verdict on published or on measured numbers."""
    return tuple(row for row in rows if any(j.verdict is verdict for j in row.judgements))


def summary(rows: Sequence[Row]) -> list[str]:
    """Counts the verdicts: a line for published numbers, and one for measured numbers if any."""
    lines = [f"{len(rows)} claims; published: {counted([row.published for row in rows])}"]
    ours = [row.measured for row in rows if row.measured is not None]
    if ours:
        lines.append(f"{ours[0].origin} profile, measured: {counted(ours)}")
    return lines


NOTE = (
    f"Tests at α = {ALPHA:g} for a family, with p-values adjusted by Holm over it: measured runs "
    "are paired by seed; the paper's numbers are tested by Welch, since it prints no runs. Margins "
    "of non-inferiority and equivalence are half of the baseline's gain from 500K to 1M, with the "
    "error of that estimate. A statement is contradicted only if a test or arithmetic shows its "
    "opposite; if neither is shown it is not decided. Statements about the paper's sizes are not "
    "judged at a smaller scale."
)


def render(rows: Sequence[Row], *, details: bool = False) -> str:
    """Formats the counts, then the statements by verdict on measured numbers, or on published ones.

    Args:
      rows: result of :func:`beside`.
      details: whether to print each statement's text, numbers and test, in the paper's order.
    """
    if not details:
        return "\n".join([paragraphs(summary(rows)), *_by_verdict(rows), "", _MORE])
    lines = [*summary(rows), "", NOTE, ""]
    for row in rows:
        lines += [f"{row.statement.id} ({row.statement.place})", f"  {row.statement.text}"]
        for judgement in row.judgements:
            lines += [
                f"  {judgement.origin}: {judgement.verdict}",
                f"    {judgement.sentence}",
            ]
        lines += [f"  test: {row.statement.test}", ""]
    return paragraphs(lines).rstrip()


def plain(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Converts the statements, verdicts and numbers to rows for JSON and CSV."""
    return [
        {
            **{"id": row.statement.id, "place": row.statement.place, "text": row.statement.text},
            "test": row.statement.test,
            **{
                source: judgement and {"verdict": judgement.verdict, "numbers": judgement.sentence}
                for source, judgement in (("published", row.published), ("measured", row.measured))
            },
        }
        for row in rows
    ]


_MORE = "--details prints each statement with its numbers and its test."


def _by_verdict(rows: Sequence[Row]) -> list[str]:
    width = max((len(row.statement.id) for row in rows), default=0)
    lines = []
    for verdict in CLAIM_VERDICTS:
        group = [row for row in rows if row.judgements[-1].verdict is verdict]
        if not group:
            continue
        heading, ours = f"{verdict} ({len(group)})", group[0].measured is not None
        lines += ["", f"{heading:{width + 4}}published" if ours else heading]
        for row in group:
            paper = row.published.verdict if ours else ""
            lines.append(f"  {row.statement.id:{width}}  {paper}".rstrip())
            if verdict is Verdict.CONTRADICTED:
                lines += wrap(row.statement.text, indent="    ")
    return lines
