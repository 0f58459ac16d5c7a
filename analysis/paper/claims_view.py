"""The view of ``repro claims``: statements judged on published and measured numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.paper.statement import CLAIM_VERDICTS, Judgement, Passage, Verdict, counted
from analysis.tests import ALPHA
from spactor.errors import UserError
from spactor.text_table import paragraphs, wrap


@dataclass(frozen=True)
class Row:
    """A statement judged on the published numbers and, where there are any, on measured ones."""

    statement: Passage
    published: Judgement
    measured: Judgement | None

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """The published one, then the measured one if any."""
        return (self.published,) if self.measured is None else (self.published, self.measured)


def beside(
    published: Sequence[Judgement], measured: Sequence[Judgement] | None = None
) -> tuple[Row, ...]:
    """Rows of both, statement by statement."""
    ours: Sequence[Judgement | None] = measured or [None] * len(published)
    return tuple(Row(p.statement, p, m) for p, m in zip(published, ours, strict=True))


def verdict_named(name: str) -> Verdict:
    """A verdict by its name, with spaces or hyphens between the words.

    Raises:
      UserError: there is none of that name.

    >>> verdict_named("not-testable")
    <Verdict.NOT_TESTABLE: 'not testable'>
    """
    for verdict in CLAIM_VERDICTS:
        if name.replace("-", " ") == verdict:
            return verdict
    listed = ", ".join(verdict.replace(" ", "-") for verdict in CLAIM_VERDICTS)
    raise UserError(f"unknown verdict {name!r}: give one of {listed}")


def of_verdict(rows: Sequence[Row], verdict: Verdict) -> tuple[Row, ...]:
    """Rows with that verdict in either column."""
    return tuple(row for row in rows if any(j.verdict is verdict for j in row.judgements))


def summary(rows: Sequence[Row]) -> list[str]:
    """Verdicts counted: a line on the published numbers, and one on the measured ones."""
    lines = [f"{len(rows)} claims; published: {counted([row.published for row in rows])}"]
    ours = [row.measured for row in rows if row.measured is not None]
    if ours:
        lines.append(f"{ours[0].origin} profile, measured: {counted(ours)}")
    return lines


NOTE = (
    f"Tests at α = {ALPHA:g} for a family, p after Holm in it: measured runs in pairs of a seed, "
    "the paper's numbers by Welch, since it prints no runs. Margins of non-inferiority and "
    "equivalence are half of what the baseline gains from 500K to 1M; their own error counts. A "
    "statement is contradicted only where its opposite is shown, by such a test or by arithmetic; "
    "where neither is shown it is not decided. Statements about the paper's sizes are not judged "
    "at a smaller scale."
)


def render(rows: Sequence[Row], *, details: bool = False) -> str:
    """The verdicts counted, then the statements by verdict: ours, or the paper's without ours.

    Args:
      rows: result of `beside`.
      details: every statement with its text, the numbers and the test, in the paper's order.
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
    """The statements with their verdicts and numbers, for JSON and CSV."""
    return [
        {
            **{"id": row.statement.id, "place": row.statement.place, "text": row.statement.text},
            "test": row.statement.test,
            **{
                whose: judgement and {"verdict": judgement.verdict, "numbers": judgement.sentence}
                for whose, judgement in (("published", row.published), ("measured", row.measured))
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
