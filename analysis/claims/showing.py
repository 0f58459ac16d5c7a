"""Judgements for people and programs: published and measured side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.claims.claim import Claim, Judgement, Verdict
from analysis.tests import ALPHA
from spactor.errors import UserError

FORMATS = ("text", "markdown", "json")
SHORT = {verdict: verdict.value for verdict in Verdict} | {Verdict.NOT_TESTABLE: "not testable"}
"""Verdicts as they are headed and asked for."""


@dataclass(frozen=True)
class Row:
    """One claim, judged on the published numbers and, where there are any, on ours."""

    claim: Claim
    published: Judgement
    measured: Judgement | None

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """One or two."""
        return (self.published,) if self.measured is None else (self.published, self.measured)


def beside(
    published: Sequence[Judgement], measured: Sequence[Judgement] | None = None
) -> tuple[Row, ...]:
    """Rows of both, claim by claim."""
    ours: Sequence[Judgement | None] = measured or [None] * len(published)
    return tuple(Row(p.claim, p, m) for p, m in zip(published, ours, strict=True))


def verdict_named(name: str) -> Verdict:
    """A verdict by its short name.

    Raises:
      UserError: there is none of that name.

    >>> verdict_named("not testable")
    <Verdict.NOT_TESTABLE: 'not testable with this data'>
    """
    for verdict, short in SHORT.items():
        if name in (short, short.replace(" ", "-"), verdict.value):
            return verdict
    raise UserError(f"unknown verdict {name!r}: give one of {', '.join(SHORT.values())}")


def of_verdict(rows: Sequence[Row], verdict: Verdict) -> tuple[Row, ...]:
    """Rows with that verdict in either column."""
    return tuple(row for row in rows if any(j.verdict is verdict for j in row.judgements))


def name_of(judgement: Judgement) -> str:
    """Where a judgement's numbers come from: "published" or the profile."""
    return "published" if judgement.source == "published" else judgement.profile or "no records"


def counts(judgements: Sequence[Judgement]) -> str:
    """How many of each verdict.

    >>> counts([])
    'none'
    """
    found = Counter(judgement.verdict for judgement in judgements)
    return ", ".join(f"{found[v]} {SHORT[v]}" for v in Verdict if found[v]) or "none"


def summary(rows: Sequence[Row]) -> list[str]:
    """A line on the published numbers, and one on ours."""
    lines = [f"{len(rows)} claims; published: {counts([row.published for row in rows])}"]
    ours = [row.measured for row in rows if row.measured is not None]
    if ours:
        lines.append(f"{name_of(ours[0])} profile, measured: {counts(ours)}")
    return lines


NOTE = (
    f"Tests at α = {ALPHA:g} for a family, Holm within it. Non-inferiority and equivalence: margin "
    "half of what the baseline gains from 500K to 1M. p after Holm."
)


def render(rows: Sequence[Row], format: str = "text") -> str:
    """The claims in one of ``FORMATS``.

    Raises:
      UserError: an unknown format.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    return {"text": _text, "markdown": _markdown, "json": _json}[format](rows)


def _text(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        lines += [f"{row.claim.id} ({row.claim.place})", f"  {row.claim.says}"]
        for judgement in row.judgements:
            short = SHORT[judgement.verdict]
            lines.append(f"  {name_of(judgement):9}  {short:12}  {judgement.sentence}")
        lines += [f"  {'test':9}  {row.claim.test}", ""]
    return "\n".join([*lines, NOTE, *summary(rows)])


def _markdown(rows: Sequence[Row]) -> str:
    ours = [row.measured for row in rows if row.measured is not None]
    headings = ["claim", "place", "says", "published"]
    headings += [name_of(ours[0])] if ours else []
    headings += ["numbers"]
    lines = [_line(headings), _line(["---"] * len(headings))]
    for row in rows:
        numbers = "<br>".join(f"{name_of(j)}: {j.sentence}" for j in row.judgements)
        verdicts = [SHORT[judgement.verdict] for judgement in row.judgements]
        lines.append(_line([row.claim.id, row.claim.place, row.claim.says, *verdicts, numbers]))
    return "\n".join([*lines, "", NOTE, "", *(f"{line}  " for line in summary(rows))])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _json(rows: Sequence[Row]) -> str:
    def judged(judgement: Judgement | None) -> dict[str, str] | None:
        if judgement is None:
            return None
        return {
            "source": judgement.source,
            "profile": judgement.profile,
            "verdict": judgement.verdict.value,
            "sentence": judgement.sentence,
        }

    data = [
        {
            "id": row.claim.id,
            "place": row.claim.place,
            "says": row.claim.says,
            "test": row.claim.test,
            "rests_on": [str(cells) for cells in row.claim.rests_on],
            "published": judged(row.published),
            "measured": judged(row.measured),
        }
        for row in rows
    ]
    return json.dumps({"alpha": ALPHA, "claims": data}, indent=1, ensure_ascii=False)
