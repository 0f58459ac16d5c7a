"""Progress of a run: a live display of all nodes in a terminal, or plain lines."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.text import Text

from repro.costs import Rates, duration, makespan
from repro.plan import Finetuning, Node, Tree
from spactor.progress import Observer

PLAIN_WIDTH = 80
PLAIN_PERIOD_SECONDS = 60.0
"""Period of plain lines, if the output is not a terminal."""


def shortened(name: str, width: int) -> str:
    """Shortens a node's name to a width in characters.

    >>> shortened("base/s0/tau250K/500K/finetune-glue/f0", 30)
    'base/s0/tau25…finetune-glue/f0'
    """
    if len(name) <= width:
        return name
    end = (width - 1 + 3) // 2
    return f"{name[: width - 1 - end]}…{name[-end:]}"


@dataclass
class _Running:
    """A running node: its start, and its first and latest logged step with their times."""

    node: Node
    began: float
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None
    end_step: int = 0
    loss: str = ""
    tokens_per_second: float = 0.0

    def pace(self) -> float | None:
        """Seconds per step between the first and the latest logged step."""
        if not self.first or not self.last or self.last[0] == self.first[0]:
            return None
        return (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])

    def left(self, pace: float) -> float:
        """Remaining seconds of the node, given the seconds per step."""
        steps = self.end_step - self.last[0] if self.last else self.node.steps
        return pace * steps

    def done(self) -> str:
        """Formats the number of trained steps and of all steps."""
        steps = self.node.steps - (self.end_step - self.last[0]) if self.last else 0
        return f"{steps}/{self.node.steps}"

    def speed(self) -> str:
        """Formats the tokens per second; "" before they are known."""
        return f"{self.tokens_per_second:,.0f} tokens/s" if self.tokens_per_second else ""

    def observe(self, values: Mapping[str, float], sequences_per_second: float) -> None:
        """Stores the loss and the speed of a logged step."""
        # The objective of pre-training is a weighted sum, so the span-corruption loss is shown.
        name = "loss" if isinstance(self.node, Finetuning) else "sc_loss"
        if (loss := values.get(f"train/{name}")) is not None:
            self.loss = f"{loss:.3f} nats/token"
        elif (objective := values.get("train/loss")) is not None:
            self.loss = f"objective {objective:.4g}"
        if not math.isnan(sequences_per_second):
            self.tokens_per_second = sequences_per_second * self.node.tokens_per_sequence


class Display:
    """Shows the running nodes, the number of finished ones, and the remaining time.

    Args:
      tree: the tree that runs.
      weights: relative work of each node, such as its FLOPs.
      console: console to write to; a live display needs a terminal.
      earlier: seconds of nodes that earlier runs finished on this machine, by name.
      clock: function that returns monotonic seconds.
    """

    def __init__(
        self,
        tree: Tree,
        weights: Mapping[str, float],
        console: Console,
        earlier: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.jobs = 1
        """Number of nodes that may run at the same time."""
        self.weights = weights
        self._tree = tree
        self._console = console
        self._clock = clock
        self._left = dict.fromkeys(tree.nodes)  # in the tree's order
        self._running: dict[str, _Running] = {}
        self._opened = self._printed = clock()
        self._rates = Rates(tree, weights, earlier or {})
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(
                console=console, transient=True, get_renderable=self._renderable, auto_refresh=True
            )

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    @property
    def elapsed(self) -> float:
        """Seconds since the display was created."""
        return self._clock() - self._opened

    def print(self, line: str) -> None:
        """Prints one line."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def skip(self, name: str) -> None:
        """Counts a node that was finished already."""
        self._left.pop(name, None)

    def start(self, name: str) -> Observer:
        """Adds a running node; returns the function to call at each of its logged steps."""
        self._running[name] = _Running(self._tree.nodes[name], self._clock())
        return functools.partial(self.observe, name)

    def stop(self, name: str) -> None:
        """Removes a running node, finished or not."""
        self._running.pop(name, None)

    def observe(
        self,
        name: str,
        step: int,
        end_step: int,
        values: Mapping[str, float],
        sequences_per_second: float,
    ) -> None:
        """Records a logged step of a running node.

        Args:
          name: name of the node.
          step, end_step: the logged step, and the node's last.
          values: logged metrics.
          sequences_per_second: speed; NaN if unknown.
        """
        running = self._running.get(name)
        if running is None:
            return
        running.last, running.end_step = (step, self._clock()), end_step
        running.first = running.first or running.last
        running.observe(values, sequences_per_second)
        if not self._live and self._clock() - self._printed >= PLAIN_PERIOD_SECONDS:
            self._printed = self._clock()
            for line in self.lines(PLAIN_WIDTH):
                self.print(line)

    def finish(self, name: str) -> None:
        """Removes a finished node, and prints a line with its time, loss and speed."""
        running = self._running[name]
        pace = running.pace()
        if pace is not None and running.first and running.last:
            stepping = running.last[1] - running.first[1]
            self._rates.add(name, self._clock() - running.began - stepping, pace)
        self._left.pop(name, None)
        self.stop(name)
        total = len(self._tree.nodes)
        facts = [duration(self._clock() - running.began), running.loss, running.speed()]
        place = f"[{total - len(self._left)}/{total}]"
        self.print(f"{place} {name}: {', '.join(filter(None, facts))}")

    def lines(self, width: int) -> list[str]:
        """Formats a line per running node and one for the tree, at most ``width`` characters."""
        # The copy is needed because Live draws in another thread.
        rows = [
            (name, one.done(), one.loss or "starting", one.speed())
            for name, one in list(self._running.items())
        ]
        widths = [max((len(row[at]) for row in rows), default=0) for at in range(4)]
        room = min(widths[0], max(width - sum(widths[1:]) - 2 * 3, 12))
        lines = []
        for name, *facts in rows:
            cells = [shortened(name, room).ljust(room)]
            cells += [fact.rjust(size) for fact, size in zip(facts, widths[1:], strict=True)]
            lines.append("  ".join(cells).rstrip()[:width])
        total = len(self._tree.nodes)
        left = self.remaining()
        time_left = "measuring the time" if left is None else f"about {duration(left)} left"
        lines.append(f"{total - len(self._left)} of {total} nodes finished, {time_left}"[:width])
        return lines

    def remaining(self) -> float | None:
        """Estimates the seconds until all nodes are finished; None before anything is measured."""
        running = dict(self._running)
        paces = {name: pace for name, one in running.items() if (pace := one.pace()) is not None}
        starts = {name: one.first[1] - one.began for name, one in running.items() if one.first}
        compiling = self._rates.compiling(starts.values())
        begun = list(starts)
        seconds: dict[str, float] = {}
        for name in list(self._left):
            if name in paces:
                seconds[name] = running[name].left(paces[name])
                continue
            whole = self._rates.seconds(name, paces)
            if whole is None:
                return None
            if not self._rates.is_known(name, begun):
                # Only the first node of a kind compiles its programs.
                whole += compiling
                begun.append(name)
            if name in running:
                # An upper bound, since a resumed node trains only its remaining steps.
                whole = max(whole - (self._clock() - running[name].began), 0.0)
            seconds[name] = whole
        return makespan(seconds, self._tree, self.jobs)

    def _renderable(self) -> Text:
        return Text("\n".join(self.lines(self._console.width)), no_wrap=True, overflow="crop")
