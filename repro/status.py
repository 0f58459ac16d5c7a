"""Output of ``repro status``: the state of all nodes, or the next run's action for single nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import folders, identity, scoring
from repro.identity import Identity
from repro.node_state import Condition, inspect, state_of
from repro.plan import Finetuning, Node, Tree
from repro.step_lines import METRICS, read_steps
from spactor.text_table import paragraphs


@dataclass(frozen=True)
class State:
    """State of a node: its condition (`repro.node_state`), and the reason for it."""

    node: str
    condition: Condition
    reason: str = ""


def states(tree: Tree, runs: Path) -> list[State]:
    """Returns the state of every node."""
    found = []
    for name, node in tree.nodes.items():
        state = state_of(tree, runs, node)
        reason = "".join(state.reasons[:1])
        if state.condition == "partial":
            reason = _reached(folders.node_folder(runs, tree.profile.name, name))
        found.append(State(name, state.condition, reason))
    return found


def states_text(tree: Tree, found: Iterable[State]) -> str:
    """Formats a summary, and a line for each node that is begun, diverged or stale."""
    counts = Counter(state.condition for state in found)
    lines = [
        f"{tree.profile.name}: {counts['finished']} of {len(tree.nodes)} nodes finished, "
        f"{counts['partial']} begun, {counts['stale']} stale, {counts['new']} not begun"
        + (f", {counts['diverged']} diverged" if counts["diverged"] else "")
    ]
    for state in found:
        if state.condition == "partial":
            lines.append(f"- {state.node}: begun, {state.reason}")
        elif state.condition == "diverged":
            lines.append(f"- {state.node}: {state.reason}")
        elif state.condition == "stale":
            lines.append(f"- {state.node}: stale, {state.reason}; the next run trains it again")
    return paragraphs(lines)


def _reached(folder: Path) -> str:
    path = folder / METRICS
    steps = read_steps(path) if path.is_file() else {}
    return f"step {max(steps)} logged" if steps else "no step logged yet"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The next run's action for a node, and the reasons.

    Attributes:
      node: name of the node.
      verdict: the action, in a few words.
      reasons: reasons for the action, one line each.
    """

    node: str
    verdict: str
    reasons: tuple[str, ...]

    def text(self) -> str:
        """Formats the answer with a line for each reason."""
        lines = [f"{self.node}: {self.verdict}, because"]
        return paragraphs([*lines, *(f"- {reason}" for reason in self.reasons)])


def recorded_files(tree: Tree, runs: Path) -> dict[str, str]:
    """Returns the digests of data that the nodes of a tree recorded, by path."""
    files: dict[str, str] = {}
    for name in tree.nodes:
        recorded = folders.read_node(folders.node_folder(runs, tree.profile.name, name))
        files |= recorded.get("inputs", {}).get("data", {})
    return files


def explain(tree: Tree, runs: Path, files: Mapping[str, str], names: Iterable[str]) -> list[Answer]:
    """Explains the next run's action for some nodes.

    Args:
      tree: a tree with the nodes and their ancestors.
      runs: an opened folder of runs.
      files: digests by path, from the prepared data's manifest.
      names: names of the nodes.
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
        match state.condition:
            case "stale":
                verdict = "stale; the next run sets it aside and trains it again"
                reasons = self._changes(node, state.recorded) if state.recorded else state.reasons
            case "diverged":
                verdict, reasons = "diverged", state.reasons
            case "finished":
                verdict, reasons = "finished", ("no input changed since",)
                if isinstance(node, Finetuning) and (
                    to_score := scoring.reasons_to_score(folder, node, self.files)
                ):
                    verdict, reasons = "finished; its predictions are to be scored", to_score
            case "partial":
                verdict = "begun; the next run continues it"
                unchanged = "it is not finished, and no input has changed since it began"
                reasons = (unchanged, *self._waits(node))
            case "new":
                verdict = "the next run trains it"
                reasons = ("it has not begun", *self._waits(node))
        return Answer(node=node.name, verdict=verdict, reasons=reasons)

    def _waits(self, node: Node) -> tuple[str, ...]:
        if node.parent is None:
            return ()
        state = inspect(self._folder(node.parent), self.known[node.parent].inputs)
        return () if state.condition == "finished" else (f"its parent {node.parent} runs first",)

    def _changes(self, node: Node, recorded: Mapping[str, Any]) -> tuple[str, ...]:
        """Lists the node's changed inputs, and then a change of its parent."""
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
        # This recurses up to the first ancestor with changed inputs of its own.
        why = self._changes(self.tree.nodes[node.parent], before)
        return f"its parent {node.parent} changed: {'; '.join(why)}"

    def _recorded_parent(self, name: str, fingerprint: str | None) -> Mapping[str, Any] | None:
        """Finds a parent's ``node.json`` with a fingerprint, in its folder or in ``stale/``."""
        stale = folders.stale_folder(self.runs, self.tree.profile.name, name, fingerprint or "")
        homes = [self._folder(name), *sorted(stale.parent.glob(f"{stale.name}*"))]
        found = filter(None, map(folders.read_node, homes))
        return next((one for one in found if one["fingerprint"] == fingerprint), None)

    def _folder(self, name: str) -> Path:
        return folders.node_folder(self.runs, self.tree.profile.name, name)
