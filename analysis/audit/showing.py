"""An audit as text, Markdown or JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping

from analysis.audit.finding import Audit, Finding, Suspect, Verdict
from spactor.errors import UserError

_ORDER: tuple[Verdict, ...] = ("disagrees", "open", "explained", "agrees")
_TITLES: Mapping[Verdict, str] = {
    "disagrees": "Disagree",
    "open": "Can't be decided from what is printed",
    "explained": "Differ, and are explained",
    "agrees": "Agree",
}
_YARDSTICK = (
    "Averages are means over runs, breakdown cells medians. Of 5 runs the two part by 0.3 printed "
    "standard deviations as a rule, of 3 runs by 0.34; up to one deviation counts as explained, up "
    "to 0.01 as equal at the printed precision."
)


def render(audit: Audit, format: str = "text", *, everything: bool = False) -> str:
    """The findings, the worst first, and the line of counts; ends in a newline.

    Args:
      audit: result of ``audit.run``.
      format: one of ``FORMATS``.
      everything: agreeing checks too.

    Raises:
      UserError: an unknown format.
    """
    if format not in _WRITERS:
        raise UserError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    chosen = audit.findings if everything else audit.disagreements
    groups = {
        verdict: [finding for finding in chosen if finding.verdict == verdict] for verdict in _ORDER
    }
    return _WRITERS[format](audit, {verdict: found for verdict, found in groups.items() if found})


Groups = Mapping[Verdict, list[Finding]]


def _text(audit: Audit, groups: Groups) -> str:
    lines = ["The paper's numbers against each other.", _YARDSTICK, ""]
    for verdict, findings in groups.items():
        lines += [f"{_TITLES[verdict]} ({len(findings)})", ""]
        for finding in findings:
            lines.append(f"{finding.where}: {finding.said}")
            lines.append(f"    {finding.arithmetic}")
            if finding.remark:
                lines.append(f"    {finding.remark}")
            if finding.suspect:
                lines.append(f"    {_suspect(finding.suspect)}")
            lines.append(f"    [{finding.id}]")
        lines.append("")
    return "\n".join([*lines, audit.summary()]) + "\n"


def _markdown(audit: Audit, groups: Groups) -> str:
    lines = ["# The paper's numbers against each other", "", _YARDSTICK]
    for verdict, findings in groups.items():
        lines += ["", f"## {_TITLES[verdict]} ({len(findings)})", ""]
        lines += ["| check | where | said | arithmetic | remark |", "| --- " * 5 + "|"]
        for finding in findings:
            remarks = [finding.remark, _suspect(finding.suspect) if finding.suspect else ""]
            cells = [f"`{finding.id}`", finding.where, finding.said, finding.arithmetic]
            cells.append("; ".join(filter(None, remarks)))
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join([*lines, "", audit.summary()]) + "\n"


def _json(audit: Audit, groups: Groups) -> str:
    data = {
        "checked": len(audit.findings),
        "counts": dict(audit.counts),
        "findings": [
            dataclasses.asdict(finding) for findings in groups.values() for finding in findings
        ],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _suspect(suspect: Suspect) -> str:
    slip = f"; one digit away: {suspect.slip}" if suspect.slip else ""
    return (
        f"one cell would explain it: {suspect.where}, printed {suspect.printed}, would have to be "
        f"{suspect.needed} (nearest possible {suspect.nearest}{slip}); {suspect.reason}"
    )


_WRITERS: Mapping[str, Callable[[Audit, Groups], str]] = {
    "text": _text,
    "markdown": _markdown,
    "json": _json,
}
FORMATS: tuple[str, ...] = tuple(_WRITERS)
