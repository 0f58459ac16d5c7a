"""What an engine is: it turns a node of the tree into files that the collector reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from repro.engines.data import PreparedData
from repro.plan import Finetuning, Node, Tree
from repro.specs import Profile
from spactor.errors import UserError
from spactor.progress import Observer


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """The machines that train a node together, and which of them this is.

    Attributes:
      count: how many there are.
      number: of this one; host 0 keeps the books.
      coordinator: HOST:PORT on host 0 where JAX's processes join; "" where JAX finds it itself, as
        on a TPU slice.

    Raises:
      UserError: no such host, or no such address.

    >>> Hosts(count=2, number=1).first
    False
    """

    count: int = 1
    number: int = 0
    coordinator: str = ""

    def __post_init__(self) -> None:
        if self.number >= self.count:
            raise UserError(
                f"--host {self.number} and --hosts {self.count}: hosts are numbered from 0 to "
                "--hosts less 1"
            )
        if self.coordinator and not re.fullmatch(r"\S+:\d+", self.coordinator):
            raise UserError(
                f"--coordinator {self.coordinator}: give host 0's name and a free port of it, such "
                "as 10.0.0.1:8476"
            )

    @property
    def first(self) -> bool:
        """Whether this one keeps the books."""
        return self.number == 0


ALONE = Hosts()


class Engine(Protocol):
    """Prepares data and runs nodes; stops and resumes without losing a number."""

    def check(self, tree: Tree) -> None:
        """Refuses, before anything is written, a tree that it can't run."""

    def prepare(self, profile: Profile, cache: Path, report: Callable[[str], None]) -> PreparedData:
        """Builds or finds the data of a profile."""

    def barrier(self, report: Callable[[str], None]) -> str:
        """Waits until every host has started; returns a run id that all hosts share."""

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
