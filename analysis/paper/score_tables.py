"""Statements on both Table 2 and Table 4: bold cells, and runs per cell."""

from __future__ import annotations

from analysis.paper.evidence import Evidence, Missing, describe, stated
from analysis.paper.statement import Finding, arithmetic, judges
from analysis.schema.facts import CHECKPOINTS, SUITE_SHORT_NAMES, SUITES, TAUS, size_label
from analysis.schema.quantities import SUITE_AVERAGE
from analysis.scores import strictly_higher


def bold_rule(size: str, number: int) -> None:
    """Registers the judge of the statement that bold marks a higher mean than the baseline's."""

    @judges(f"table{number}.bold")
    def judge(evidence: Evidence) -> Finding:
        records = evidence.records
        printed = records[
            (records["size"] == size)
            & (records["metric"] == SUITE_AVERAGE)
            & records["bold"].notna()
        ]
        if printed.empty or evidence.source != "published":
            raise Missing("measured cells are printed in bold by this rule")
        wrong = []
        for row in printed.to_dict("records"):
            at, suite = int(row["checkpoint"]), row["suite"]
            plain = evidence.score(size, "0", at, suite)
            if bool(row["bold"]) != strictly_higher(row["value"], plain.mean):
                wrong.append(f"{SUITE_SHORT_NAMES[suite]} of {describe(size, row['tau'], at)}")
        return Finding(
            arithmetic(evidence, not wrong),
            f"{len(printed) - len(wrong)} of {len(printed)} cells follow the rule"
            + (f"; not {', '.join(wrong)}" if wrong else ""),
        )


def runs_per_cell(size: str, number: int) -> None:
    """Registers the judge of the stated number of runs per cell."""
    claimed = int(stated("prose/runs", size))

    @judges(f"table{number}.runs")
    def judge(evidence: Evidence) -> Finding:
        cells = [
            evidence.score(size, tau, at, suite)
            for tau in TAUS
            for at in CHECKPOINTS
            for suite in SUITES
            if evidence.scored(size, tau, at, suite)
        ]
        if not cells:
            raise Missing(f"no score of {size_label(size)}")
        counts = sorted({cell.runs for cell in cells})
        if evidence.source == "measured" and counts != [claimed]:
            found = " or ".join(map(str, counts))
            raise Missing(f"the profile has {found} runs per cell; stated: {claimed}")
        records = evidence.records
        printed = records[
            (records["size"] == size) & (records["task"] != "") & records["seed"].isna()
        ]
        wrong = printed[printed["runs"] != claimed]
        found = " or ".join(map(str, counts))
        text = f"runs per cell: {found} ({len(cells)} cells); stated: {claimed}"
        if len(wrong):
            places = ", ".join(sorted(set(wrong["place"])))
            other = ", ".join(map(str, sorted(set(wrong["runs"].dropna()))))
            text += f"; but the caption of {places} states medians of {other} runs"
        return Finding(arithmetic(evidence, counts == [claimed] and wrong.empty), text)


for _size, _number in (("base", 2), ("large", 4)):
    bold_rule(_size, _number)
    runs_per_cell(_size, _number)
