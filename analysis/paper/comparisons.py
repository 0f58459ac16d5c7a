"""Findings by tests of superiority, non-inferiority and equivalence of scores.

``analysis.paper.contrasts`` defines the tests; the calls of ``compare`` are in
``analysis.paper.compared``. A finding holds if the test shows it in every cell of the family, and
holds in part if in some. It is contradicted if the test shows it in no cell and its opposite in at
least one, and not decided otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from analysis.paper.contrasts import Family, Outcome, Pair, against, family, not_run
from analysis.paper.evidence import Evidence
from analysis.paper.statement import Finding, Verdict, graded, judges
from analysis.schema.facts import SUITES
from analysis.tests import Kind, format_p


def superiority(what: str, members: Family, limits: Family | None = None) -> Finding:
    """Tests whether the first model scores higher in every cell.

    Args:
      what: the comparison in words, for the sentence.
      members: the family.
      limits: the same family with margins. If every difference is shown to be within its margin,
        half of the baseline's gain from 500K to 1M, the finding is contradicted.
    """
    finding = _finding(what, members, "higher", "significantly higher", "lower")
    if finding.verdict is Verdict.NOT_DECIDED and limits is not None and not limits.absent:
        within = limits.outcomes("within")
        if all(outcome.shown for outcome in within):
            excluded = f"{finding.sentence}; within its margin everywhere: {_numbers(within)}"
            return replace(finding, verdict=Verdict.CONTRADICTED, sentence=excluded)
    return finding


def non_inferiority(what: str, members: Family) -> Finding:
    """Tests whether the first model is nowhere lower by more than a margin.

    Args:
      what: the comparison in words, for the sentence.
      members: the family, with margins.
    """
    level = f"; means not lower on {members.level}"
    return _finding(what, members, "higher", "non-inferiority shown", "inferiority", level)


def equivalence(what: str, members: Family) -> Finding:
    """Tests whether no cell has a difference beyond its margin.

    A difference that is not significant is no evidence of equivalence, and a significant one need
    not exceed the margin.

    Args:
      what: the comparison in words, for the sentence.
      members: the family, with margins.
    """
    apart = sum(one.shown for one in members.outcomes("different"))
    words = ("equivalence shown", "a difference beyond the margin", f"; some difference on {apart}")
    return _finding(what, members, "within", *words)


def _finding(
    what: str, members: Family, kind: Kind, shown: str, opposite: str, also: str = ""
) -> Finding:
    """Tests a family, and counts the cells where the finding or its opposite is shown."""
    members.require()
    outcomes = members.outcomes(kind)
    passed = sum(outcome.shown for outcome in outcomes)
    refuted = [one for one in outcomes if one.refuted]
    where = ", ".join(f"{o.contrast.name} p {format_p(o.refuting_p_value)}" for o in refuted)
    against = f"{opposite} on {len(refuted)}{where and f' ({where})'}"
    return Finding(
        graded(
            passed,
            len(outcomes),
            incomplete=bool(members.absent),
            none=Verdict.CONTRADICTED if refuted else Verdict.NOT_DECIDED,
        ),
        f"{what} ({members.how}): {_numbers(outcomes)}; {shown} on {passed} of {len(outcomes)}; "
        f"{against}{also}{not_run(members.absent)}",
        tested=(kind, members),
    )


def _numbers(outcomes: Sequence[Outcome]) -> str:
    return ", ".join(
        f"{o.contrast.name} {o.contrast.difference:+.2f} ("
        + (f"margin {o.contrast.margin:.2f}, " if o.contrast.has_margin else "")
        + ("no spread)" if math.isnan(o.p_value) else f"p {format_p(o.p_value)})")
        for o in outcomes
    )


def compare(
    id: str,
    kind: Callable[[str, Family], Finding],
    *pairs: Pair,
    size: str = "base",
    suites: tuple[str, ...] = SUITES,
    what: str = "",
) -> None:
    """Registers the judge of a statement that one test of a family of scores decides.

    Args:
      id: id of the statement.
      kind: ``superiority``, ``non_inferiority`` or ``equivalence``; the last two use each suite's
        retention margin.
      pairs: (τ, checkpoint) of the first and of the second model.
      size: size of all models.
      suites: suites to compare.
      what: the comparison in words; by default the two models of the first pair.
    """

    @judges(id)
    def judge(evidence: Evidence) -> Finding:
        words = what or against(size, *pairs[0])
        margins = family(evidence, size, suites, pairs, with_margin=True)
        if kind is not superiority:
            return kind(words, margins)
        return superiority(words, family(evidence, size, suites, pairs), margins)
