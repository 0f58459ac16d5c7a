"""Progress of a run: a bar on a terminal, one line per node elsewhere."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from repro.plan import Finetuning, Node, Tree


def duration(seconds: float) -> str:
    """A duration as text.

    >>> duration(42.4), duration(190), duration(7500), duration(1e6)
    ('42 s', '3 min', '2 h 5 min', '11 days 13 h')
    >>> duration(5e11)
    '15,844 years'
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    if days > 3 * 365:
        return f"{days / 365.25:,.0f} years"
    return f"{days} days {hours} h"


class Display:
    """Shows the node that runs and how far the tree is.

    Args:
      tree: what runs.
      weights: relative work of each node, such as its FLOPs.
      console: where to write; a bar is drawn only on a terminal.
    """

    def __init__(self, tree: Tree, weights: Mapping[str, float], console: Console) -> None:
        self._tree = tree
        self._weights = weights
        self._console = console
        self._left = set(tree.nodes)
        self._node: Node | None = None
        self._began = self._opened = time.monotonic()
        # First and latest (step, time) logged in this attempt, latest loss and speed.
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] | None = None
        self._loss: float | None = None
        self._tokens_per_second = 0.0
        # What this process ran, by kind, since fine-tuning decodes: seconds up to each node's
        # first logged step, mostly compilation, and seconds per weight from there on.
        self._starts: dict[bool, list[float]] = {True: [], False: []}
        self._rates: dict[bool, list[float]] = {True: [], False: []}
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.fields[place]} {task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[facts]}"),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Display:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._opened

    def print(self, line: str) -> None:
        """Prints one line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def skip(self, name: str) -> None:
        """Counts a node that was finished already."""
        self._left.discard(name)

    def start(self, node: Node) -> None:
        """A node begins."""
        self._node, self._began = node, time.monotonic()
        self._first = self._last = self._loss = None
        self._tokens_per_second = 0.0
        if self._bar:
            self._task = self._bar.add_task(
                node.name, total=node.steps, place=self._place(), facts="starting"
            )

    def observe(
        self, step: int, end_step: int, values: Mapping[str, float], sequences_per_second: float
    ) -> None:
        """A step was logged; passed to the engine as its observer."""
        node = self._node
        if node is None:
            return
        self._last = step, time.monotonic()
        self._first = self._first or self._last
        self._loss = values.get("train/loss", self._loss)
        if not math.isnan(sequences_per_second):
            self._tokens_per_second = sequences_per_second * node.tokens_per_sequence
        if self._bar and self._task is not None:
            self._bar.update(
                self._task,
                completed=node.steps - (end_step - step),
                facts=self._facts(self._node_left(end_step)),
            )

    def finish(self, node: Node) -> None:
        """A node finished; prints its line."""
        seconds = time.monotonic() - self._began
        self._learn(node)
        place = self._place()
        self._left.discard(node.name)
        if self._bar and self._task is not None:
            self._bar.remove_task(self._task)
        self._node = self._task = None
        facts = [f"{node.steps} steps", duration(seconds)]
        if self._loss is not None:
            facts.append(f"loss {self._loss:.4g}")
        if self._tokens_per_second:
            facts.append(f"{self._tokens_per_second:,.0f} tokens/s")
        if self._left and any(self._rates.values()):
            facts.append(f"about {duration(self._tree_left())} left")
        self.print(f"{place} {node.name}: {', '.join(facts)}")

    def _place(self) -> str:
        total = len(self._tree.nodes)
        return f"[{total - len(self._left) + 1}/{total}]"

    def _facts(self, node_left: float | None) -> str:
        facts = [] if self._loss is None else [f"loss {self._loss:.4g}"]
        if self._tokens_per_second:
            facts.append(f"{self._tokens_per_second:,.0f} tokens/s")
        if node_left is not None:
            facts.append(f"{duration(node_left)} left")
            if any(self._rates.values()):
                facts.append(f"tree {duration(node_left + self._tree_left())}")
        return ", ".join(facts)

    def _pace(self) -> float | None:
        """Seconds per step between the first and the latest logged step."""
        if not self._first or not self._last or self._last[0] == self._first[0]:
            return None
        return (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])

    def _node_left(self, end_step: int) -> float | None:
        pace = self._pace()
        return None if pace is None or not self._last else pace * (end_step - self._last[0])

    def _learn(self, node: Node) -> None:
        """Splits a finished node's time into what it takes to begin and what its steps take."""
        kind = isinstance(node, Finetuning)
        pace = self._pace()
        if pace is None or self._first is None:
            return
        self._starts[kind].append(self._first[1] - self._began)
        self._rates[kind].append(pace * node.steps / self._weights[node.name])

    def _tree_left(self) -> float:
        """Seconds for the nodes not begun, as those before them took."""
        total = 0.0
        for name in self._left:
            node = self._tree.nodes[name]
            if node is self._node:
                continue
            kind = isinstance(node, Finetuning)
            kind = kind if self._rates[kind] else not kind
            # Programs are compiled once, so later nodes begin as the quickest did.
            total += min(self._starts[kind])
            total += statistics.median(self._rates[kind]) * self._weights[name]
        return total
