"""A map of the tree: steps from left to right, a lane for each branch, in units of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.schema.facts import SIZES
from figures.drawing import TAU_STYLES
from repro.report.tree import Segment

WIDTH = 1000.0
_LEFT, _RIGHT = 130.0, 20.0
_TOP, _LANE = 50.0, 54.0
_BEND = 26.0
_LABEL_WIDTH = 88.0
"""Shorter stretches have no room for a label."""
_TICK_WIDTH = 44.0


@dataclass(frozen=True)
class Stretch:
    """A segment: where its line runs, and whether there is room for its name."""

    segment: Segment
    colour: str
    x: float
    until: float
    y: float
    path: str

    @property
    def labelled(self) -> bool:
        """Whether its name fits."""
        return self.until - self.x > _LABEL_WIDTH

    @property
    def middle(self) -> float:
        """Middle of the level part of the line."""
        return (self.x + self.until) / 2 + _BEND / 3


@dataclass(frozen=True)
class TreeMap:
    """One size's segments.

    Attributes:
      size: the model's.
      height: of the drawing.
      lanes: height and name of each.
      ticks: position and step of each, where a step has room for its number.
      stretches: one per segment.
    """

    size: str
    height: float
    lanes: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, int], ...]
    stretches: tuple[Stretch, ...]


def maps(segments: Sequence[Segment]) -> tuple[TreeMap, ...]:
    """A map for every size that has segments."""
    own = {size: [one for one in segments if one.first.size == size] for size in SIZES}
    return tuple(_map(size, found) for size, found in own.items() if found)


def _map(size: str, segments: Sequence[Segment]) -> TreeMap:
    begins: dict[str, int] = {}
    for segment in segments:
        lane = segment.first.lane[0]
        begins[lane] = min(begins.get(lane, segment.first.start_step), segment.first.start_step)
    # The hybrid above, the branches in the order in which they leave it, the baseline below.
    lanes = sorted(begins, key=lambda lane: (lane != "hybrid", lane == "sc", begins[lane]))
    heights = {lane: _TOP + _LANE * at for at, lane in enumerate(lanes)}
    scale = (WIDTH - _LEFT - _RIGHT) / max(1, *(segment.first.end for segment in segments))
    at = {segment.key: heights[segment.first.lane[0]] for segment in segments}

    def stretch(segment: Segment) -> Stretch:
        x, until = (_LEFT + scale * step for step in (segment.first.start_step, segment.first.end))
        y = at[segment.key]
        above = at.get(segment.parent, y) if segment.parent else y
        path = f"M{x:.1f} {above:.1f}H{until:.1f}"
        if above != y:
            half = x + _BEND / 2
            path = (
                f"M{x:.1f} {above:.1f}C{half:.1f} {above:.1f} {half:.1f} {y:.1f} "
                f"{x + _BEND:.1f} {y:.1f}H{max(until, x + _BEND):.1f}"
            )
        return Stretch(segment, _colour(segment.first.lane[0]), x, until, y, path)

    return TreeMap(
        size=size,
        height=_TOP + _LANE * (len(lanes) - 1) + 30.0,
        lanes=tuple((heights[lane], _name(lane)) for lane in lanes),
        ticks=_ticks({0, *(segment.first.end for segment in segments)}, scale),
        stretches=tuple(map(stretch, segments)),
    )


def _ticks(stops: set[int], scale: float) -> tuple[tuple[float, int], ...]:
    """The last stop and, from the left, those that leave room before the next."""
    ticks: list[tuple[float, int]] = []
    last = max(stops)
    for stop in sorted(stops):
        x = _LEFT + scale * stop
        free = not ticks or x - ticks[-1][0] >= _TICK_WIDTH
        if stop == last or (free and scale * (last - stop) >= _TICK_WIDTH):
            ticks.append((x, stop))
    return tuple(ticks)


def _tau(lane: str) -> str:
    return {"sc": "0", "hybrid": "inf"}.get(lane, lane.removeprefix("tau"))


def _colour(lane: str) -> str:
    return TAU_STYLES[_tau(lane)].color if _tau(lane) in TAU_STYLES else "#555555"


def _name(lane: str) -> str:
    """What a reader calls a lane.

    >>> _name("sc"), _name("tau60K"), _name("hybrid")
    ('baseline', 'SPACTOR(60K)', 'hybrid')
    """
    if lane.startswith("tau"):
        return f"SPACTOR({_tau(lane)})"
    return "baseline" if lane == "sc" else lane
