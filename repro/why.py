"""The next run's action for a node, and why: its folder's inputs compared with the current ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import advice, folders, identity, scoring
from repro.identity import Identity
from repro.node_state import inspect
from repro.plan import Finetuning, Node, Tree
from repro.specs import Profile
from spactor.text_table import paragraphs


def data_unknown(profile: Profile, runs: Path) -> str:
    """The line for data that is not prepared on this machine."""
    return (
        f"the data is not prepared here (run `{advice.command('prepare', profile, runs)}`): "
        "assuming the data that each node recorded"
    )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The next run's action for a node, and the reasons.

    Attributes:
      node: its name.
      verdict: the action, in a few words.
      reasons: one line each.
    """

    node: str
    verdict: str
    reasons: tuple[str, ...] = ()

    def text(self) -> str:
        """The answer, a line per reason."""
        colon = ", because" if self.reasons else ""
        return paragraphs(
            [f"{self.node}: {self.verdict}{colon}", *(f"- {r}" for r in self.reasons)]
        )


def recorded_files(tree: Tree, runs: Path) -> dict[str, str]:
    """Digests of the data that the nodes of a tree recorded, by path."""
    files: dict[str, str] = {}
    for name in tree.nodes:
        recorded = folders.read_node(folders.node_folder(runs, tree.profile.name, name))
        files |= recorded.get("inputs", {}).get("data", {})
    return files


def explain(tree: Tree, runs: Path, files: Mapping[str, str], names: Iterable[str]) -> list[Answer]:
    """The answer for each node.

    Args:
      tree: the nodes', with the parents of all.
      runs: an opened runs folder.
      files: digests by path, from the prepared data's manifest.
      names: of nodes.
    """
    environment = folders.environment_of(runs, tree.profile.name) or {}
    explainer = _Explainer(tree, runs, identity.identities(tree, files, environment), files)
    return [explainer.answer(tree.nodes[name]) for name in names]


@dataclass(frozen=True)
class _Explainer:
    tree: Tree
    runs: Path
    known: Mapping[str, Identity]
    files: Mapping[str, str]

    def answer(self, node: Node) -> Answer:
        folder = self._folder(node.name)
        state = inspect(folder, self.known[node.name].inputs)
        if state.condition == "stale":
            verdict = "stale; the next run sets it aside and trains it again"
            if state.recorded is None:
                return Answer(node=node.name, verdict=verdict, reasons=state.reasons)
            return Answer(
                node=node.name, verdict=verdict, reasons=self._changes(node, state.recorded)
            )
        if state.condition == "diverged":
            return Answer(node=node.name, verdict="diverged", reasons=state.reasons)
        if state.condition == "finished":
            scores = (
                scoring.reasons_to_score(folder, node, self.files)
                if isinstance(node, Finetuning)
                else ()
            )
            verdict = "finished; its predictions are to be scored" if scores else "finished"
            return Answer(
                node=node.name, verdict=verdict, reasons=scores or ("no input changed since",)
            )
        begun = state.condition == "partial"
        verdict = "begun; the next run goes on with it" if begun else "the next run trains it"
        reasons = (
            f"it has no {folders.DONE} of these inputs, and a {folders.NODE} that fits them"
            if begun
            else f"there is no {folder / folders.NODE}",
        )
        waits = self._waits(node)
        return Answer(node=node.name, verdict=verdict, reasons=(*reasons, *waits))

    def _waits(self, node: Node) -> tuple[str, ...]:
        if node.parent is None:
            return ()
        state = inspect(self._folder(node.parent), self.known[node.parent].inputs)
        return () if state.condition == "finished" else (f"first runs its parent {node.parent}",)

    def _changes(self, node: Node, recorded: Mapping[str, Any]) -> tuple[str, ...]:
        """Inputs of the node that changed, then a line about its parent."""
        now, then = self.known[node.name].inputs, recorded.get("inputs", {})
        own = {key: value for key, value in now.items() if key != "parent"}
        lines = identity.differences({key: then.get(key) for key in own}, own)
        if then.get("parent") != now["parent"]:
            lines.append(self._parent_line(node, then.get("parent")))
        return tuple(lines)

    def _parent_line(self, node: Node, started_from: str | None) -> str:
        if node.parent is None:
            return "it had a parent and now begins from scratch"
        before = self._recorded_parent(node.parent, started_from)
        if before is None:
            return f"its parent {node.parent} is not the run it started from"
        # Recurses up to the first ancestor whose own inputs changed.
        why = self._changes(self.tree.nodes[node.parent], before)
        return f"its parent {node.parent} changed: {'; '.join(why)}"

    def _recorded_parent(self, name: str, fingerprint: str | None) -> Mapping[str, Any] | None:
        """``node.json`` of a parent with a fingerprint, in its folder or under ``stale/``."""
        stale = folders.stale_folder(self.runs, self.tree.profile.name, name, fingerprint or "")
        homes = [self._folder(name), *sorted(stale.parent.glob(f"{stale.name}*"))]
        found = filter(None, map(folders.read_node, homes))
        return next((one for one in found if one["fingerprint"] == fingerprint), None)

    def _folder(self, name: str) -> Path:
        return folders.node_folder(self.runs, self.tree.profile.name, name)
