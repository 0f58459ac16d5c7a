"""What is known of a trained node: the entry that ``provenance.json`` holds of it, typed."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11


class _Part(BaseModel):
    """Keys of a file that are not named here are ignored; a missing one has its default."""

    model_config = ConfigDict(frozen=True)


class Seeds(_Part):
    """Seeds of pre-training and of fine-tuning; None where there is none."""

    pretraining: int | None = None
    finetuning: int | None = None


class Lengths(TypedDict, total=False):
    """The settings of a configuration that are read one by one; it has more."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    total_steps: int
    batch_size: int
    input_length: int


class Inputs(_Part):
    """What a node's numbers depend on, as far as it is read back.

    Attributes:
      kind: "pretraining" or "finetuning".
      parent: fingerprint of the node it continues; None at step 0.
      config: settings of its training.
      pretraining: of fine-tuning, the configuration of the model.
      checkpoint_step: of fine-tuning, the pre-training step it starts from.
    """

    kind: str = ""
    size: str = ""
    suite: str = ""
    stage: str = ""
    parent: str | None = None
    start_step: int = 0
    end_step: int = 0
    checkpoint_step: int | None = None
    config: Lengths = {}
    pretraining: dict[str, Any] | None = None


class Tokens(_Part):
    """Numbers of tokens of the prepared data."""

    train: int | None = None


class Data(_Part):
    """The prepared data."""

    fingerprint: str = ""
    tokens: Tokens = Tokens()
    unigram_entropy_nats: float | None = None
    most_frequent_token_rate: float | None = None


class Attempt(_Part):
    """A start of a node, and how long it trained."""

    started: str = ""
    seconds: float = 0.0


class TrainedNode(_Part):
    """A trained node and how it came about; "" or None is what the file lacks."""

    name: str = Field("", alias="node")
    fingerprint: str = ""
    commit: str = ""
    python: str = ""
    machine: str = ""
    device: str = ""
    command: str = ""
    packages: dict[str, Any] = {}
    seeds: Seeds = Seeds()
    inputs: Inputs = Inputs()
    experiments: list[dict[str, Any]] = []
    data: Data = Data()
    attempts: list[Attempt] = []

    @property
    def is_finetuning(self) -> bool:
        """Whether it is a fine-tuning, not a segment of pre-training."""
        return self.inputs.kind == "finetuning"

    @property
    def suite(self) -> str:
        """Suite of a fine-tuning; "" of a segment."""
        return self.inputs.suite if self.is_finetuning else ""

    @property
    def stage(self) -> str:
        """Stage of a segment; "" of a fine-tuning."""
        return "" if self.is_finetuning else self.inputs.stage

    @property
    def size(self) -> str:
        """Size of the model."""
        first = self.experiments[0] if self.experiments else {}
        return self.inputs.size or str(first.get("size", ""))

    @property
    def taus(self) -> tuple[str, ...]:
        """τ of the experiments that it serves."""
        return tuple(str(one.get("tau", "")) for one in self.experiments)

    @property
    def start(self) -> int:
        """The profile's step at which it starts."""
        return 0 if self.is_finetuning else self.inputs.start_step

    @property
    def end(self) -> int:
        """The profile's step at which it ends."""
        if self.is_finetuning:
            return self.inputs.config.get("total_steps", 0)
        return self.inputs.end_step

    @property
    def steps(self) -> int:
        """Number of steps that it trained."""
        return self.end - self.start

    @property
    def seconds(self) -> float | None:
        """Seconds that its attempts took; None where they are unknown."""
        return sum(one.seconds for one in self.attempts) if self.attempts else None

    @property
    def lane(self) -> tuple[str, str]:
        """Branch and stretch of a segment, which end its name.

        >>> TrainedNode(node="base/s0/tau60K/60K-500K").lane
        ('tau60K', '60K-500K')
        """
        before, _, stretch = self.name.rpartition("/")
        return before.rpartition("/")[2], stretch

    @property
    def versions(self) -> str:
        """Packages with their versions."""
        return ", ".join(f"{name} {version}" for name, version in self.packages.items())

    @property
    def machine_and_time(self) -> str:
        """Device, machine and clock, in a phrase."""
        where = f"on {self.device or '?'}, {self.machine or '?'}"
        if not self.attempts:
            return where
        starts = "attempt" if len(self.attempts) == 1 else "attempts"
        took = f"{self.seconds:.1f} s in {len(self.attempts)} {starts}"
        return f"{where}, {self.attempts[0].started}, {took}"

    @property
    def surroundings(self) -> dict[str, str]:
        """What many nodes share, by its name for people; without what is unknown."""
        tokens = self.data.tokens.train
        facts = {
            "code": self.commit,
            "data": self.data.fingerprint,
            "training tokens": f"{tokens:,}" if tokens else "",
            "device": self.device,
            "machine": self.machine,
            "Python": self.python,
            "packages": self.versions,
            "command": self.command,
        }
        return {name: value for name, value in facts.items() if value}


class Nodes(_Part):
    """``provenance.json`` beside collected records: every finished node.

    >>> first = {"node": "hybrid", "fingerprint": "a1"}
    >>> nodes = Nodes.of([first, {"node": "tau60K", "inputs": {"parent": "a1"}}])
    >>> [node.name for node in nodes.ancestors(nodes.named["tau60K"])]
    ['hybrid']
    """

    nodes: list[TrainedNode] = []

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]]) -> Nodes:
        """Nodes from plain data of JSON."""
        return cls.model_validate({"nodes": list(entries)})

    @functools.cached_property
    def named(self) -> dict[str, TrainedNode]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Places in ``nodes`` by fingerprint."""
        return {node.fingerprint: at for at, node in enumerate(self.nodes) if node.fingerprint}

    def parent(self, node: TrainedNode) -> TrainedNode | None:
        """The node that another continues; None at step 0 and where it is unknown."""
        at = self.positions.get(node.inputs.parent or "")
        return None if at is None else self.nodes[at]

    def ancestors(self, node: TrainedNode) -> Iterator[TrainedNode]:
        """The nodes behind a node, nearest first."""
        seen: set[str] = set()
        before = self.parent(node)
        while before and before.fingerprint not in seen:
            seen.add(before.fingerprint)
            yield before
            before = self.parent(before)


__all__ = ["Nodes", "TrainedNode"]
