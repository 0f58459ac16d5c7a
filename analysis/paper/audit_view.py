"""The view of ``repro audit``: published numbers recomputed from each other, the worst first."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from analysis.paper.statement import Judgement, Suspect, Verdict
from spactor.errors import UserError

FORMATS = ("text", "json")
_TITLES: Mapping[Verdict, str] = {
    Verdict.INCONSISTENT: "Inconsistent with other printed numbers",
    Verdict.PARTLY: "Hold in part",
    Verdict.CONTRADICTED: "The opposite is shown",
    Verdict.NOT_DECIDED: "Not decided by the printed spreads",
    Verdict.NOT_TESTABLE: "Can't be decided from what is printed",
    Verdict.EXPLAINED: "Differ, and are explained",
    Verdict.HOLDS: "Hold",
}
_NOTEWORTHY = (Verdict.INCONSISTENT, Verdict.PARTLY, Verdict.CONTRADICTED)
_MORE = "--details prints the arithmetic, --all the other checks."
_YARDSTICK = (
    "Averages are means over runs, breakdown cells medians. Of 5 runs the two part by 0.3 printed "
    "standard deviations as a rule, of 3 runs by 0.34; up to one deviation counts as explained, up "
    "to 0.01 as equal at the printed precision."
)


def render(
    judgements: Sequence[Judgement],
    format: str = "text",
    *,
    everything: bool = False,
    details: bool = False,
) -> str:
    """The line of counts, then the judgements by verdict.

    Args:
      judgements: result of ``analysis.paper.audit``.
      format: one of ``FORMATS``.
      everything: list all; by default those that are inconsistent or hold in part.
      details: with the arithmetic; JSON always has it.

    Raises:
      UserError: an unknown format.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    groups = {
        verdict: [one for one in judgements if one.verdict is verdict]
        for verdict in _TITLES
        if everything or verdict in _NOTEWORTHY
    }
    if format == "json":
        return _json(judgements, groups)
    return _text(judgements, groups, details=details)


def summary(judgements: Sequence[Judgement]) -> str:
    """One line: how many checks have each verdict."""
    found = Counter(one.verdict for one in judgements)
    listed = ", ".join(f"{found[v]:,} {v.short}" for v in Verdict if found[v])
    return f"checked {len(judgements):,}: {listed}"


Groups = Mapping[Verdict, Sequence[Judgement]]


def _text(judgements: Sequence[Judgement], groups: Groups, *, details: bool) -> str:
    lines = [f"The paper's numbers against each other; {summary(judgements)}."]
    lines += ["", _YARDSTICK] if details else []
    for verdict, group in groups.items():
        if not group:
            continue
        lines += ["", f"{_TITLES[verdict]} ({len(group)})"]
        for one in group:
            lines.append(f"  {one.statement.place}: {one.statement.text}")
            if not details:
                continue
            lines.append(f"    {one.finding.sentence}")
            if one.finding.remark:
                lines.append(f"    {one.finding.remark}")
            if one.finding.suspect:
                lines.append(f"    {_suspect(one.finding.suspect)}")
            lines.append(f"    [{one.statement.id}]")
    return "\n".join(lines if details else [*lines, "", _MORE])


def _json(judgements: Sequence[Judgement], groups: Groups) -> str:
    counts = Counter(one.verdict.value for one in judgements)
    findings = [
        {
            "id": one.statement.id,
            "place": one.statement.place,
            "statement": one.statement.text,
            "verdict": one.verdict.value,
            "sentence": one.finding.sentence,
            "remark": one.finding.remark,
            "suspect": one.finding.suspect and dataclasses.asdict(one.finding.suspect),
        }
        for group in groups.values()
        for one in group
    ]
    data = {"checked": len(judgements), "counts": counts, "findings": findings}
    return json.dumps(data, indent=1, ensure_ascii=False)


def _suspect(suspect: Suspect) -> str:
    slip = f"; one digit away: {suspect.slip}" if suspect.slip else ""
    return (
        f"one cell would explain it: {suspect.where}, printed {suspect.printed}, would have to be "
        f"{suspect.needed} (nearest possible {suspect.nearest}{slip}); {suspect.reason}"
    )
