"""Progress of a run: a bar for each running node on a terminal, one line per node elsewhere."""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from repro.plan import Finetuning, Node, Tree
from spactor.progress import Observer


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


@dataclass
class _Running:
    """A node that runs: when it began, its first and latest logged step and their times."""

    node: Node
    began: float
    task: TaskID | None = None
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None
    end_step: int = 0
    loss: float | None = None
    tokens_per_second: float = 0.0

    def pace(self) -> float | None:
        """Seconds per step between the first and the latest logged step."""
        if not self.first or not self.last or self.last[0] == self.first[0]:
            return None
        return (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])

    def left(self) -> float | None:
        """Seconds to the node's end."""
        pace = self.pace()
        return None if pace is None or not self.last else pace * (self.end_step - self.last[0])

    def facts(self) -> list[str]:
        """Loss and speed as text."""
        facts = [] if self.loss is None else [f"loss {self.loss:.4g} nats"]
        if self.tokens_per_second:
            facts.append(f"{self.tokens_per_second:,.0f} tokens/s")
        return facts


class Display:
    """Shows the nodes that run and how far the tree is.

    Args:
      tree: what runs.
      weights: relative work of each node, such as its FLOPs.
      console: where to write; bars are drawn only on a terminal.
    """

    def __init__(self, tree: Tree, weights: Mapping[str, float], console: Console) -> None:
        self._tree = tree
        self._weights = weights
        self._console = console
        self._left = set(tree.nodes)
        self._running: dict[str, _Running] = {}
        self._most = 1  # Nodes that ran at the same time.
        self._opened = time.monotonic()
        # What this command ran, by kind, since fine-tuning decodes: seconds up to each node's
        # first logged step, mostly compilation, and seconds per weight from there on.
        self._starts: dict[bool, list[float]] = {True: [], False: []}
        self._rates: dict[bool, list[float]] = {True: [], False: []}
        self._bar: Progress | None = None
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

    @property
    def weights(self) -> Mapping[str, float]:
        """Relative work of each node."""
        return self._weights

    def print(self, line: str) -> None:
        """Prints one line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def skip(self, name: str) -> None:
        """Counts a node that was finished already."""
        self._left.discard(name)

    def start(self, name: str) -> Observer:
        """A node begins; returns what to call at each of its logged steps."""
        self.stop(name)
        running = _Running(self._tree.nodes[name], time.monotonic())
        self._running[name] = running
        self._most = max(self._most, len(self._running))
        if self._bar:
            running.task = self._bar.add_task(
                name, total=running.node.steps, place=self._place(), facts="starting"
            )
        return functools.partial(self.observe, name)

    def stop(self, name: str) -> None:
        """A node does not run any more, finished or not."""
        running = self._running.pop(name, None)
        if self._bar and running and running.task is not None:
            self._bar.remove_task(running.task)

    def observe(
        self,
        name: str,
        step: int,
        end_step: int,
        values: Mapping[str, float],
        sequences_per_second: float,
    ) -> None:
        """A step of a running node was logged."""
        running = self._running.get(name)
        if running is None:
            return
        running.last, running.end_step = (step, time.monotonic()), end_step
        running.first = running.first or running.last
        running.loss = values.get("train/loss", running.loss)
        if not math.isnan(sequences_per_second):
            running.tokens_per_second = sequences_per_second * running.node.tokens_per_sequence
        if self._bar and running.task is not None:
            facts = running.facts()
            if (left := running.left()) is not None:
                facts.append(f"{duration(left)} left")
                if any(self._rates.values()):
                    facts.append(f"tree {duration(self._tree_left())}")
            self._bar.update(
                running.task,
                completed=running.node.steps - (end_step - step),
                facts=", ".join(facts),
            )

    def finish(self, name: str) -> None:
        """A node finished; prints its line."""
        running = self._running[name]
        node, place = running.node, self._place()
        self._learn(running)
        self._left.discard(name)
        self.stop(name)
        facts = [f"{node.steps} steps", duration(time.monotonic() - running.began)]
        facts += running.facts()
        if self._left and any(self._rates.values()):
            facts.append(f"about {duration(self._tree_left())} left")
        self.print(f"{place} {name}: {', '.join(facts)}")

    def _place(self) -> str:
        total = len(self._tree.nodes)
        return f"[{total - len(self._left) + 1}/{total}]"

    def _learn(self, running: _Running) -> None:
        """Splits a finished node's time into what it takes to begin and what its steps take."""
        node, pace = running.node, running.pace()
        if pace is None or running.first is None:
            return
        kind = isinstance(node, Finetuning)
        self._starts[kind].append(running.first[1] - running.began)
        self._rates[kind].append(pace * node.steps / self._weights[node.name])

    def _tree_left(self) -> float:
        """Seconds for all nodes that are not finished, as those before them took."""
        total = 0.0
        for name in self._left:
            running = self._running.get(name)
            if running and (left := running.left()) is not None:
                total += left
                continue
            kind = isinstance(self._tree.nodes[name], Finetuning)
            kind = kind if self._rates[kind] else not kind
            # Programs are compiled once, so later nodes begin as the quickest did.
            total += min(self._starts[kind])
            total += statistics.median(self._rates[kind]) * self._weights[name]
        return total / self._most
