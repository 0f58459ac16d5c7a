"""Output of ``repro audit``: the published numbers recomputed, inconsistent ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.paper.statement import Judgement, Suspect, Verdict, counted
from spactor.text_table import paragraphs

_NOTEWORTHY = (Verdict.INCONSISTENT, Verdict.PARTLY, Verdict.CONTRADICTED)
_ORDER = (
    *_NOTEWORTHY,
    *(Verdict.NOT_DECIDED, Verdict.NOT_TESTABLE, Verdict.EXPLAINED, Verdict.HOLDS),
)
_MORE = "--details prints the arithmetic, --all the other checks."
_YARDSTICK = (
    "Averages are means over runs, breakdown cells medians. The two typically differ by 0.3 "
    "printed standard deviations with 5 runs, and by 0.34 with 3. A difference of up to one "
    "deviation counts as explained, and of up to 0.01 as equal at the printed precision."
)


Groups = Mapping[Verdict, Sequence[Judgement]]


def groups(judgements: Sequence[Judgement], *, everything: bool = False) -> Groups:
    """Groups judgements by verdict.

    Args:
      judgements: result of ``analysis.paper.audit``.
      everything: whether to include all verdicts; by default only those of statements that are
        inconsistent, contradicted or hold in part.
    """
    return {
        verdict: [one for one in judgements if one.verdict is verdict]
        for verdict in _ORDER
        if everything or verdict in _NOTEWORTHY
    }


def summary(judgements: Sequence[Judgement]) -> str:
    """Counts the checks by verdict, in one line."""
    return f"{len(judgements):,} checks: {counted(judgements)}"


def text(judgements: Sequence[Judgement], found: Groups, *, details: bool = False) -> str:
    """Formats the counts, then the judgements by verdict, for the terminal.

    Args:
      judgements: result of ``analysis.paper.audit``.
      found: groups of judgements to print, from :func:`groups`.
      details: whether to print the arithmetic of each judgement.
    """
    lines = [f"The paper's numbers recomputed from each other, {summary(judgements)}."]
    lines += ["", _YARDSTICK] if details else []
    for verdict, group in found.items():
        if not group:
            continue
        lines += ["", f"{verdict} ({len(group)})"]
        for one in group:
            lines.append(f"  - {one.statement.place}: {one.statement.text}")
            if not details:
                continue
            lines.append(f"    {one.finding.sentence}")
            if one.finding.remark:
                lines.append(f"    {one.finding.remark}")
            if one.finding.suspect:
                lines.append(f"    {_suspect(one.finding.suspect)}")
            lines.append(f"  [{one.statement.id}]")
    return paragraphs(lines if details else [*lines, "", _MORE])


def plain(found: Groups) -> list[dict[str, object]]:
    """Converts the judgements and their arithmetic to rows for JSON."""
    return [
        {
            **{"id": one.statement.id, "place": one.statement.place},
            **{"statement": one.statement.text, "verdict": one.verdict},
            **{"sentence": one.finding.sentence, "remark": one.finding.remark},
            "suspect": one.finding.suspect,
        }
        for group in found.values()
        for one in group
    ]


def _suspect(suspect: Suspect) -> str:
    slip = f"; one digit away: {suspect.slip}" if suspect.slip else ""
    return (
        f"one cell would explain it: {suspect.where}, printed {suspect.printed}, would have to be "
        f"{suspect.needed} (nearest possible {suspect.nearest}{slip}); {suspect.reason}"
    )
