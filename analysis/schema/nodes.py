"""What is known of a trained node: the entry that ``provenance.json`` holds of it, typed."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field


def _at(*path: str, default: object = "") -> Any:
    """A field that a file holds under nested keys; a missing one has the default."""
    return Field(default, validation_alias=AliasPath(*path))


class Attempt(BaseModel):
    """A start of a node, and how long it trained."""

    started: str = ""
    seconds: float = 0.0


class TrainedNode(BaseModel):
    """A trained node and how it came about; keys of the file that are not named are ignored.

    Attributes:
      name, fingerprint: of the node; like every text "" where the file lacks it.
      commit, python, machine, device, command, packages: what it ran with.
      seed, finetune_seed: of pre-training and fine-tuning; None where there is none.
      parent: fingerprint of the node it continues; None at step 0.
      stage, start_step, end_step: of a segment of pre-training.
      suite, checkpoint_step: of a fine-tuning; the pre-training step it starts from.
      config: settings of its training.
      total_steps, batch_size, input_length: of ``config``.
      pretraining: of fine-tuning, the configuration of the model.
      experiments: those that it serves.
      attempts: its starts, in order.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field("", validation_alias="node")
    fingerprint: str = ""
    commit: str = ""
    python: str = ""
    machine: str = ""
    device: str = ""
    command: str = ""
    packages: dict[str, Any] = {}
    experiments: list[dict[str, Any]] = []
    attempts: list[Attempt] = []

    seeds: dict[str, Any] = {}
    seed: int | None = _at("seeds", "pretraining", default=None)
    finetune_seed: int | None = _at("seeds", "finetuning", default=None)

    data: dict[str, Any] = {}
    data_fingerprint: str = _at("data", "fingerprint")
    training_tokens: int | None = _at("data", "tokens", "train", default=None)
    unigram_entropy_nats: float | None = _at("data", "unigram_entropy_nats", default=None)
    most_frequent_token_rate: float | None = _at("data", "most_frequent_token_rate", default=None)

    inputs: dict[str, Any] = {}
    parent: str | None = _at("inputs", "parent", default=None)
    input_size: str = _at("inputs", "size")
    suite: str = _at("inputs", "suite")
    stage: str = _at("inputs", "stage")
    start_step: int = _at("inputs", "start_step", default=0)
    end_step: int = _at("inputs", "end_step", default=0)
    checkpoint_step: int | None = _at("inputs", "checkpoint_step", default=None)
    pretraining: dict[str, Any] | None = _at("inputs", "pretraining", default=None)
    config: dict[str, Any] = _at("inputs", "config", default={})
    total_steps: int = _at("inputs", "config", "total_steps", default=0)
    batch_size: int | None = _at("inputs", "config", "batch_size", default=None)
    input_length: int | None = _at("inputs", "config", "input_length", default=None)

    @property
    def size(self) -> str:
        """Size of the model."""
        first = self.experiments[0] if self.experiments else {}
        return self.input_size or str(first.get("size", ""))

    @property
    def taus(self) -> tuple[str, ...]:
        """τ of the experiments that it serves."""
        return tuple(str(one.get("tau", "")) for one in self.experiments)

    @property
    def end(self) -> int:
        """The profile's step at which it ends."""
        return self.total_steps if self.suite else self.end_step

    @property
    def steps(self) -> int:
        """Number of steps that it trained."""
        return self.end - self.start_step

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
        tokens = self.training_tokens
        facts = {
            "code": self.commit,
            "data": self.data_fingerprint,
            "training tokens": f"{tokens:,}" if tokens else "",
            "device": self.device,
            "machine": self.machine,
            "Python": self.python,
            "packages": self.versions,
            "command": self.command,
        }
        return {name: value for name, value in facts.items() if value}


class Nodes(BaseModel):
    """``provenance.json`` of collected records: every finished node.

    >>> first = {"node": "hybrid", "fingerprint": "a1"}
    >>> nodes = Nodes.of([first, {"node": "tau60K", "inputs": {"parent": "a1"}}])
    >>> [node.name for node in nodes.ancestors(nodes.named["tau60K"])]
    ['hybrid']
    """

    model_config = ConfigDict(frozen=True)

    nodes: list[TrainedNode]

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]] = ()) -> Nodes:
        """Nodes from plain data of JSON; by default none."""
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
        at = self.positions.get(node.parent or "")
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
