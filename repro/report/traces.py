"""Where every cell comes from, compact enough to lie in the page.

A score is traced through the runs behind it, which the cells of one suite, τ and checkpoint share;
runs name their nodes, and nodes what they share: code, data, machine, packages, command. Cells that
no run is behind have the lines that ``repro explain`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.schema import published
from repro.report.numbers import PairedTable
from tables import origins
from tables.origins import ScoredRun
from tables.places import Place

Json = dict[str, Any]
_DECIMALS = 4


class Traces:
    """Gathers what the page's script shows of each cell; ``data`` is the whole of it."""

    def __init__(self, records: pd.DataFrame, provenance: Sequence[Mapping[str, Any]]) -> None:
        self._records = records
        self._nodes = {str(entry.get("node", "")): at for at, entry in enumerate(provenance)}
        self._fingerprints = [str(entry.get("fingerprint", "")) for entry in provenance]
        self._runs: dict[tuple[str, str], Mapping[tuple[str, int], tuple[ScoredRun, ...]]] = {}
        self._groups: dict[tuple[str, str, str, int], int] = {}
        self._groups_of_runs: list[list[Json]] = []
        self._shared: dict[str, tuple[int, Json]] = {}
        self._described = [self._node(entry) for entry in provenance]
        self._cells: dict[str, Json] = {}

    @property
    def data(self) -> Json:
        """The selection rule, cells by id, groups of runs, nodes, and what nodes share."""
        return {
            "rule": origins.HOW_SELECTED,
            "cells": self._cells,
            "groups": self._groups_of_runs,
            "nodes": self._described,
            "shared": [facts for _, facts in self._shared.values()],
        }

    @property
    def common(self) -> Json:
        """What is the same for every node."""
        everywhere = [set(facts.items()) for _, facts in self._shared.values()]
        same = set.intersection(*everywhere) if everywhere else set()
        return {name: value for name, value in self._first.items() if (name, value) in same}

    def add(self, table: PairedTable) -> None:
        """Traces every cell of a table, on both sides."""
        printed = published.load(table.number)
        lines = origins.printed_scores(printed)
        for name, (ours, theirs) in table.places.items():
            cell = self._measured(ours)
            if theirs is not None and not theirs.cell.missing:
                key = (theirs.tau, theirs.checkpoint, theirs.suite, theirs.task)
                if theirs.suite:
                    cell["paper"] = lines.get(key, [])
                else:
                    cell["paper"] = list(origins.trace(theirs, printed).lines)
            if cell:
                self._cells[name] = cell

    @property
    def _first(self) -> Json:
        return next((facts for _, facts in self._shared.values()), {})

    def _measured(self, place: Place) -> Json:
        if place.cell.missing and not place.suite:
            return {"lines": ["not run: the records hold no such number"]}
        if not place.suite:
            return {"lines": list(origins.trace(place, self._records).lines)}
        group = self._group(place)
        if group is None:
            return {}
        return {"group": group} | ({"task": place.task} if place.task else {})

    def _group(self, place: Place) -> int | None:
        of = (place.size, place.suite)
        if of not in self._runs:
            self._runs[of] = origins.scored_runs(self._records, *of)
        runs = self._runs[of].get((place.tau, place.checkpoint), ())
        if not runs:
            return None
        key = (*of, place.tau, place.checkpoint)
        if key not in self._groups:
            self._groups[key] = len(self._groups_of_runs)
            self._groups_of_runs.append(list(map(self._run, runs)))
        return self._groups[key]

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
        at = self._nodes.get(run.node)
        # Another run of the same name is not the run of these scores.
        if at is not None and run.fingerprint in ("", self._fingerprints[at]):
            described["at"] = at
        return described

    def _node(self, entry: Mapping[str, Any]) -> Json:
        attempts = entry.get("attempts") or ()
        inputs = entry.get("inputs") or {}
        parent = str(inputs.get("parent") or "")
        described: Json = {
            "node": str(entry.get("node", "")),
            "fingerprint": str(entry.get("fingerprint", "")),
            "shared": self._share(entry),
        }
        if parent in self._fingerprints and parent:
            described["parent"] = self._fingerprints.index(parent)
        if attempts:
            described["started"] = attempts[0].get("started", "")
            described["seconds"] = round(sum(one.get("seconds", 0.0) for one in attempts), 1)
            described["attempts"] = len(attempts)
        return described

    def _share(self, entry: Mapping[str, Any]) -> int:
        data = entry.get("data") or {}
        tokens = (data.get("tokens") or {}).get("train")
        packages = entry.get("packages") or {}
        facts = {
            "code": entry.get("commit"),
            "data": data.get("fingerprint"),
            "training tokens": f"{tokens:,}" if tokens else None,
            "device": entry.get("device"),
            "machine": entry.get("machine"),
            "Python": entry.get("python"),
            "packages": ", ".join(f"{name} {version}" for name, version in packages.items()),
            "command": entry.get("command"),
        }
        known = {name: str(value) for name, value in facts.items() if value}
        return self._shared.setdefault(repr(known), (len(self._shared), known))[0]


__all__ = ["Traces"]
