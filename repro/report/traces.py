"""The trace of every cell as plain data, compact enough to be part of the page.

A score's cells of one suite, τ and checkpoint share a group of runs; runs name their nodes, and
nodes what they share: code, data, machine, packages, command. Other cells have lines of text.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.schema import published
from analysis.schema.nodes import Nodes, TrainedNode
from repro.report.numbers import PairedTable
from tables import trace_text
from tables.places import Place
from tables.traces import HOW_SELECTED, PrintedNumber, ScoredRun, Tracer

Json = dict[str, Any]
_DECIMALS = 4


class Traces:
    """Collects the traces that the page's script shows; ``data`` is all of them."""

    def __init__(self, records: pd.DataFrame, nodes: Nodes) -> None:
        self._tracer = Tracer(records, nodes)
        self._nodes = nodes
        self._positions = {node.name: at for at, node in enumerate(nodes.nodes)}
        self._cells: dict[str, Json] = {}
        self._groups: dict[tuple[ScoredRun, ...], int] = {}
        self._shared: list[dict[str, str]] = []
        self._described = list(map(self._node, nodes.nodes))

    @property
    def data(self) -> Json:
        """The selection rule, cells by id, groups of runs, nodes, and what nodes share."""
        return {
            "rule": HOW_SELECTED,
            "cells": self._cells,
            "groups": [list(map(self._run, runs)) for runs in self._groups],
            "nodes": self._described,
            "shared": self._shared,
        }

    @property
    def common(self) -> dict[str, str]:
        """What is the same for every node."""
        first = self._shared[0] if self._shared else {}
        return {
            name: value
            for name, value in first.items()
            if all(facts.get(name) == value for facts in self._shared)
        }

    def add(self, table: PairedTable) -> None:
        """Traces every cell of a table, on both sides."""
        printed = Tracer(published.load(table.number))
        for name, (ours, theirs) in table.places.items():
            cell = self._measured(ours)
            if theirs is not None and not theirs.cell.missing:
                trace = printed.trace(theirs)
                cell["paper"] = (
                    list(map(_printed, trace.printed)) if theirs.suite else trace_text.lines(trace)
                )
            if cell:
                self._cells[name] = cell

    def _measured(self, place: Place) -> Json:
        if place.cell.missing and not place.suite:
            return {"lines": ["not run: the records hold no such number"]}
        if not place.suite:
            return {"lines": list(self._tracer.trace(place).lines)}
        runs = self._tracer.runs_of(place)
        if not runs:
            return {}
        group = self._groups.setdefault(runs, len(self._groups))
        return {"group": group} | ({"task": place.task} if place.task else {})

    def _run(self, run: ScoredRun) -> Json:
        described: Json = {
            "node": run.node,
            "seeds": [run.seed, run.finetune_seed],
            "step": run.step,
            "score": round(run.score, _DECIMALS),
            "steps": list(run.steps),
            "metrics": [
                [task, metric, round(value, _DECIMALS)] for task, metric, value in run.metrics
            ],
        }
        if run.last:
            described["last"] = [run.last[0], round(run.last[1], _DECIMALS)]
        at = self._positions.get(run.node)
        # Another run of the same name is not the run of these scores.
        if at is not None and run.fingerprint in ("", self._nodes.nodes[at].fingerprint):
            described["at"] = at
        return described

    def _node(self, node: TrainedNode) -> Json:
        facts = node.surroundings
        if facts not in self._shared:
            self._shared.append(facts)
        described: Json = {
            "node": node.name,
            "fingerprint": node.fingerprint,
            "shared": self._shared.index(facts),
        }
        if node.parent in self._nodes.positions:
            described["parent"] = self._nodes.positions[node.parent]
        if node.attempts and node.seconds is not None:
            described["started"] = node.attempts[0].started
            described["seconds"] = round(node.seconds, 1)
            described["attempts"] = len(node.attempts)
        return described


def _printed(number: PrintedNumber) -> str:
    where = f"{number.metric}: {number.path}, line {number.line}"
    return "; ".join(filter(None, (where, number.over, number.note)))
