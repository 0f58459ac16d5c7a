"""Interface of engines, which train nodes and write files that ``repro collect`` reads."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.engines.data import EMBEDDED, DataSource, PreparedData, require_packages
from repro.plan import Finetuning, Node, Tree
from repro.specs import Profile
from spactor.errors import UserError
from spactor.progress import Observer


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """Number of machines that train a node together, and the number of this one.

    Attributes:
      count: number of hosts.
      number: number of this host, from 0; host 0 writes the node's files.
      coordinator: HOST:PORT on host 0 that JAX's processes connect to; "" if JAX finds it itself,
        such as on a TPU slice.

    Raises:
      UserError: the number or the address is invalid.

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
        """Whether this is host 0."""
        return self.number == 0


ALONE = Hosts()


@dataclass(frozen=True, kw_only=True)
class Work:
    """A node to train, with its data and its folders.

    Attributes:
      profile: profile of the node.
      node: a segment or a fine-tuning.
      data: result of `Engine.prepare`.
      folder: folder of the node.
      parent: folder of the node's parent; None if it starts from scratch.
    """

    profile: Profile
    node: Node
    data: PreparedData
    folder: Path
    parent: Path | None


class Engine(ABC):
    """Prepares data and trains nodes; an interrupted node resumes with equal numbers.

    Args:
      cache: folder for prepared data and compiled programs, so that the program of nodes of one
        size and stage is compiled once.
      source: source of the data.
    """

    def __init__(self, cache: Path, source: DataSource = EMBEDDED) -> None:
        self._cache = cache
        self._source = source

    def require_data(self, profile: Profile) -> None:
        """Checks that the profile's data can be found or prepared here, before anything is written.

        Raises:
          UserError: no data folder is named, or it does not exist.
          ModuleNotFoundError: preparing needs SentencePiece, which is not installed.
        """
        self._source.require_here(profile)
        if self._source.prepared is None:
            require_packages("sentencepiece")

    def check(self, tree: Tree) -> None:
        """Checks that the engine can train a tree, before anything is written.

        Raises:
          UserError: the engine can't train it, for example because no data folder is named.
        """
        self._source.require_here(tree.profile)

    def prepare(self, profile: Profile, report: Callable[[str], None]) -> PreparedData:
        """Finds or builds the profile's data, in the cache folder unless a folder was named."""
        return self._source.prepare(profile, self._cache, report)

    def metric_versions(self, node: Node) -> Mapping[str, Any]:
        """Returns the versions of a fine-tuning's metrics by task; {} for a segment."""
        return self._source.metric_versions(node.suite) if isinstance(node, Finetuning) else {}

    def barrier(self, report: Callable[[str], None]) -> str:
        """Waits for all hosts; returns a run id that is equal on all of them, "" for one host."""
        return ""

    @abstractmethod
    def device(self) -> str:
        """Describes the devices that train, such as "1 × cpu cpu"."""

    @abstractmethod
    def run(self, work: Work, observer: Observer) -> None:
        """Trains a node to its end, from the last checkpoint in its folder.

        Args:
          work: the node, its data and its folders.
          observer: function that is called at every logged step.
        """

    @abstractmethod
    def restore(self, node: Node, folder: Path) -> Any:
        """Returns the discriminator's parameters at the end of a finished node."""

    def take_spent(self) -> Mapping[str, float]:
        """Returns seconds of this process since the last call, by activity (`repro.spent`)."""
        return {}

    def can_score(self) -> bool:
        """Whether `score` is supported, and its libraries are installed on this machine."""
        return False

    def score(self, node: Finetuning, *, data: PreparedData, folder: Path, step: int) -> None:
        """Scores the predictions of one step in a node's folder."""
        raise NotImplementedError(f"the engine of {node.name} scores while it trains")
