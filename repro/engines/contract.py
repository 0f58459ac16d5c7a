"""What an engine is: it turns a node of the tree into files that the collector reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from repro.engines.data import PreparedData
from repro.plan import Finetuning, Node, Tree
from repro.specs import Profile


class Observer(Protocol):
    """Called at every logged step."""

    def __call__(
        self, step: int, end_step: int, values: Mapping[str, float], sequences_per_second: float
    ) -> None:
        """Tells the step, the last step, the values logged and the speed."""


class Engine(Protocol):
    """Prepares data and runs nodes; stops and resumes without losing a number."""

    def check(self, tree: Tree) -> None:
        """Refuses, before anything is written, a tree that it can't run."""

    def prepare(self, profile: Profile, cache: Path, report: Callable[[str], None]) -> PreparedData:
        """Builds or finds the data of a profile."""

    def device(self) -> str:
        """What it computes on."""

    def metric_versions(self, node: Node) -> Mapping[str, Any]:
        """Versions of the scores a node gives, by task."""

    def run(
        self,
        profile: Profile,
        node: Node,
        *,
        data: PreparedData,
        folder: Path,
        parent: Path | None,
        observer: Observer,
    ) -> None:
        """Trains one node to its end, going on from what its folder holds."""

    def can_score(self) -> bool:
        """Whether it can turn predictions that a node's folder keeps into scores."""

    def score(self, node: Finetuning, *, data: PreparedData, folder: Path, step: int) -> None:
        """Scores the predictions that a node's folder keeps of one step."""

    def restore(self, node: Node, folder: Path) -> Any:
        """The discriminator's parameters at the end of a finished node."""
