"""Superiority, non-inferiority and equivalence of scores, as findings.

``analysis.paper.contrasts`` defines the tests; ``compare`` is a row of ``analysis.paper.compared``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from analysis.paper.contrasts import (
    Family,
    Outcome,
    Pair,
    Question,
    against,
    family,
    not_run,
    outcomes_of,
)
from analysis.paper.evidence import Evidence
from analysis.paper.statement import Cells, Finding, Verdict, graded, judges
from analysis.schema.facts import SUITES
from analysis.trend import format_p


def superiority(what: str, members: Family) -> Finding:
    """Holds where the first is higher in every cell, fails where in none.

    Args:
      what: the comparison in words, for the sentence.
      members: the family.
    """
    members.require()
    question = Question("higher", members.contrasts)
    outcomes = outcomes_of(question)
    passed = sum(outcome.shown for outcome in outcomes)
    return Finding(
        graded(passed, len(outcomes), incomplete=bool(members.absent)),
        f"{what}: {_numbers(outcomes)}; significantly higher on {passed} of {len(outcomes)}"
        + not_run(members.absent),
        question=question,
    )


def non_inferiority(what: str, members: Family) -> Finding:
    """Holds where shown in every cell; fails where in none, and no majority of means is level.

    Where nothing is shown but most means are not lower, the data leave it open: partly.
    """
    members.require()
    question = Question("higher", members.contrasts)
    outcomes = outcomes_of(question)
    passed = sum(outcome.shown for outcome in outcomes)
    open_ = 2 * members.level > len(outcomes)
    return Finding(
        graded(
            passed,
            len(outcomes),
            incomplete=bool(members.absent),
            none=Verdict.PARTLY if open_ else Verdict.FAILS,
        ),
        f"{what}: {_numbers(outcomes, margins=True)}; non-inferiority shown on {passed} of "
        f"{len(outcomes)}, means not lower on {members.level}" + not_run(members.absent),
        question=question,
    )


def equivalence(what: str, members: Family) -> Finding:
    """Holds where shown in every cell, fails where some differ significantly and none is shown.

    Where neither a difference nor equivalence is shown the data leave it open: partly. That a
    difference is not significant does not show equivalence.
    """
    members.require()
    question = Question("within", members.contrasts)
    outcomes = outcomes_of(question)
    passed = sum(outcome.shown for outcome in outcomes)
    apart = sum(outcome.shown for outcome in outcomes_of(Question("different", members.contrasts)))
    return Finding(
        graded(
            passed,
            len(outcomes),
            incomplete=bool(members.absent),
            none=Verdict.FAILS if apart else Verdict.PARTLY,
        ),
        f"{what}: {_numbers(outcomes, margins=True)}; equivalence shown on {passed} of "
        f"{len(outcomes)}, a difference on {apart}" + not_run(members.absent),
        question=question,
    )


def _numbers(outcomes: Sequence[Outcome], *, margins: bool = False) -> str:
    return ", ".join(
        f"{o.contrast.name} {o.contrast.difference:+.2f} ("
        + (f"margin {o.contrast.margin:.2f}, " if margins else "")
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
    """Has a statement judged by one test of a family of scores.

    Args:
      id: of the statement.
      kind: ``superiority``, ``non_inferiority`` or ``equivalence``; the last two use each suite's
        retention margin.
      pairs: (τ, checkpoint) of the first and of the second model.
      size: of all models.
      suites: that are compared.
      what: the comparison in words; by default the two models of the first pair.
    """
    with_margin = kind is not superiority
    models = [model for pair in pairs for model in pair]
    taus = [tau for tau, _ in models]
    if with_margin or "0" in taus:
        taus.insert(0, "0")
    at = {checkpoint for _, checkpoint in models}
    cells = Cells(
        ("average",),
        (size,),
        tuple(dict.fromkeys(taus)),
        tuple(at) if len(at) == 1 and not with_margin else (),
        () if suites == SUITES else suites,
    )

    @judges(id, cells)
    def judge(evidence: Evidence) -> Finding:
        members = family(evidence, size, suites, pairs, with_margin=with_margin)
        return kind(what or against(size, *pairs[0]), members)
