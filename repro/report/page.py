"""Puts the page together: every part computed once, templates rendered, inline code hashed."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

import figures
from analysis import power, trend
from analysis.paper import CLAIM_VERDICTS, Verdict, claims_view
from analysis.paper.evidence import describe
from analysis.rounding import rounded
from analysis.schema.facts import SUITE_HEADINGS, size_label
from analysis.schema.nodes import Nodes
from repro.report import choices, drawings, numbers, tree, tree_map
from repro.report.outcomes import Outcomes
from repro.report.packed import Packed
from repro.report.traces import Traces
from spactor import files
from tables import differences, rendering
from tables.cells import NOTHING

_TEMPLATES = Path(__file__).parents[1] / "templates"
_VERDICT_CLASSES = {
    Verdict.HOLDS: "good",
    Verdict.PARTLY: "weak",
    Verdict.NOT_DECIDED: "none",
    Verdict.CONTRADICTED: "bad",
    Verdict.INCONSISTENT: "bad",
    Verdict.NOT_AT_SCALE: "none",
    Verdict.NOT_TESTABLE: "none",
}
_VERDICT_SIGNS = dict(zip(CLAIM_VERDICTS, "●◐?○✕·–", strict=True))


@dataclass(frozen=True)
class Drawing:
    """A figure on the page.

    Attributes:
      number: as in the paper.
      shows: what it shows.
      claims: what the paper claims by it.
      adds: what its extended form adds; "" without such a form.
      address: of the image.
    """

    number: str
    shows: str
    claims: str
    adds: str
    address: Markup


@dataclass(frozen=True)
class SuiteState:
    """What the records hold of one suite."""

    heading: str
    tasks: tuple[str, ...]
    runs: int
    cells: int

    @property
    def ran(self) -> bool:
        """Whether there is any run of it."""
        return self.runs > 0


def write_report(outcomes: Outcomes, nodes: Nodes, path: Path, options: Sequence[str] = ()) -> Path:
    """Writes the page.

    Args:
      outcomes: of measured records of one profile; may be of none.
      nodes: provenance of the runs.
      path: the HTML file; written in one step.
      options: of ``repro``, which the page's commands repeat to read the same records.

    Returns:
      The path.

    Raises:
      UserError: a run's scores are incomplete, or the disk refused.
    """
    path = Path(path)
    files.write_atomically(path, page(outcomes, nodes, options).encode())
    return path


def page(outcomes: Outcomes, nodes: Nodes, options: Sequence[str] = ()) -> str:
    """The page's text; arguments and errors as ``write_report``."""
    records = outcomes.records
    paired = {number: numbers.pair(table) for number, table in outcomes.tables.items()}
    traces = Traces(records, nodes)
    for pair in paired.values():
        traces.add(pair)
    script = _read("report.js")
    figure_style = _read("colours.css") + _read("figure.css")
    grown = tree.grow(nodes)
    judged = outcomes.judged
    return _render(
        "report.html",
        title=f"{outcomes.profile or 'no'} profile",
        profile=outcomes.profile,
        script=Markup(script),
        script_hash=_hash(script),
        tables=tuple(paired.values()),
        number_count=sum(len(one.numbers) for one in paired.values()),
        claims=_by_verdict(judged),
        tally=_tally(judged),
        summary=outcomes.summary,
        registered=outcomes.registered,
        learning=outcomes.learning,
        scratch=outcomes.scratch,
        savings=outcomes.savings,
        power=outcomes.power,
        suites=_suites(records),
        runs=outcomes.runs,
        seeds=sorted({int(seed) for seed in records["seed"].dropna()}),
        tree=grown,
        tree_maps=tree_map.maps(grown.segments),
        traces=traces.data,
        packed=Packed(traces=traces.data),
        options=shlex.join(options),
        common=traces.common,
        deviations=choices.deviations(),
        departures=choices.departures(paired[choices.SETTINGS_TABLE]),
        # Last, as another process draws meanwhile.
        trend=outcomes.trend,
        figures=tuple(
            _drawing(number, files["svg"], figure_style)
            for number, files in outcomes.figures.items()
        ),
    )


@dataclass(frozen=True)
class Study:
    """One of several sets of records, with the address of its page.

    Attributes:
      name: unique among them.
      source: where its records are.
      path: of its page, beside the index.
      outcomes: of its records.
    """

    name: str
    source: str
    path: Path
    outcomes: Outcomes

    @property
    def folder(self) -> Path:
        """The folder of its page."""
        return self.path.parent

    @property
    def tally(self) -> dict[Verdict, int]:
        """How many claims have which verdict on these records."""
        return _tally(self.outcomes.judged)["ours"]


def write_index(studies: Sequence[Study], path: Path) -> Path:
    """Writes the page that links those of several sets of records, with the result of each.

    Raises:
      UserError: a run's scores are incomplete, or the disk refused.
    """
    title = f"{len(studies)} sets of records"
    text = _render("index.html", title=title, studies=studies, options="")
    files.write_atomically(path, text.encode())
    return path


def _render(template: str, **values: object) -> str:
    """A page with its style sheet inside; ``values`` are what the template reads beside it."""
    style = _read("colours.css") + _read("report.css")
    environment = rendering.environment(_TEMPLATES)
    environment.globals |= {
        "NOT_PRINTED": NOTHING,
        "SIGNS": numbers.SIGNS,
        "VERDICTS": (*differences.VERDICTS, differences.BEYOND),
        "describe_model": describe,
        "claim_class": _VERDICT_CLASSES,
        "claim_sign": _VERDICT_SIGNS,
        "claim_verdicts": CLAIM_VERDICTS,
        "flops_of": tree.flops_of,
        "flops_text": tree.flops_text,
        "power_level": power.POWER,
        "rounded": rounded,
        "seconds_text": tree.seconds_text,
        "claims_note": claims_view.NOTE,
        "map_width": tree_map.WIDTH,
        "trend_module": trend,
        "shown_count": power.shown_count,
        "size_label": size_label,
        "suite_headings": SUITE_HEADINGS,
    }
    source = environment.get_template(template)
    return source.render(style=Markup(style), style_hash=_hash(style), **values)


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """SHA-256 of inline code, as a content security policy names it."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"


def _drawing(number: str, svg: bytes, style: str) -> Drawing:
    shows, _, rest = (figures.get(number).DOC or "").strip().partition("\n\n")
    claimed = rest.partition("\n\n")[0].replace("``", "")
    shows = " ".join(shows.split())
    return Drawing(
        number,
        shows,
        " ".join(claimed.split()) if claimed.startswith("Claims:") else "",
        figures.adds(number),
        drawings.address(svg, style),
    )


def _by_verdict(judged: Sequence[claims_view.Row]) -> dict[Verdict, list[claims_view.Row]]:
    """The claims by their verdict on our records, in the order of ``CLAIM_VERDICTS``."""
    found = {
        verdict: [row for row in judged if row.measured and row.measured.verdict is verdict]
        for verdict in CLAIM_VERDICTS
    }
    return {verdict: rows for verdict, rows in found.items() if rows}


def _tally(judged: Sequence[claims_view.Row]) -> dict[str, dict[Verdict, int]]:
    """How many claims have which verdict, on the paper's numbers and on ours."""
    counts = {
        "the paper's own numbers": Counter(row.published.verdict for row in judged),
        "ours": Counter(row.measured.verdict for row in judged if row.measured),
    }
    return {
        whose: {verdict: found[verdict] for verdict in Verdict if found[verdict]}
        for whose, found in counts.items()
    }


def _suites(records: pd.DataFrame) -> list[SuiteState]:
    scored = records[(records["suite"] != "") & (records["task"] != "")]
    states = []
    for suite, heading in SUITE_HEADINGS.items():
        own = scored[scored["suite"] == suite]
        named = own[["task", "metric"]].drop_duplicates().groupby("task")["metric"]
        cell = ["size", "tau", "checkpoint"]
        states.append(
            SuiteState(
                heading=heading,
                tasks=tuple(f"{task} ({', '.join(sorted(metrics))})" for task, metrics in named),
                runs=len(own[[*cell, "seed", "finetune_seed"]].drop_duplicates()),
                cells=len(own[cell].drop_duplicates()),
            )
        )
    return states
