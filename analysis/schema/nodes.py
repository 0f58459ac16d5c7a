"""Typed entries of ``provenance.json``, one for each trained node."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field


def _at(*path: str, default: object = "") -> Any:
    """Declares a field that is nested in the file; it has the default if the file lacks it."""
    return Field(default, validation_alias=AliasPath(*path))


class Attempt(BaseModel):
    """One attempt to train a node: its start in ISO format, and its duration."""

    started: str = ""
    seconds: float = 0.0


class TrainedNode(BaseModel):
    """A trained node with its provenance; unknown keys of the file are ignored.

    Attributes:
      name, fingerprint: the node's name and fingerprint; every text is "" if the file lacks it.
      commit, python, machine, device, command, packages: environment of the training.
      experiments: experiments that share the node.
      attempts: attempts to train the node, in order.
      seed, finetune_seed: seeds of pre-training and fine-tuning; None if there is none.
      parent: fingerprint of the node that this one continues; None at step 0.
      suite: suite of a fine-tuning; "" for a segment of pre-training.
      stage, start_step, end_step: stage and steps of a segment of pre-training.
      checkpoint_step: pre-training step that a fine-tuning starts from.
      pretraining: configuration of the model that is fine-tuned.
      config: settings of the training.
      total_steps, batch_size, input_length: values in ``config``.
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
        """τ of the experiments that share the node."""
        return tuple(str(one.get("tau", "")) for one in self.experiments)

    @property
    def end(self) -> int:
        """Last step of the node, on the profile's scale."""
        return self.total_steps if self.suite else self.end_step

    @property
    def steps(self) -> int:
        """Number of steps of the node, on the profile's scale."""
        return self.end - self.start_step

    @property
    def seconds(self) -> float | None:
        """Duration of all attempts in seconds; None if unknown."""
        return sum(one.seconds for one in self.attempts) if self.attempts else None

    @property
    def lane(self) -> tuple[str, str]:
        """Branch and range of steps of a segment: the last two parts of its name.

        >>> TrainedNode(node="base/s0/tau60K/60K-500K").lane
        ('tau60K', '60K-500K')
        """
        before, _, stretch = self.name.rpartition("/")
        return before.rpartition("/")[2], stretch

    @property
    def versions(self) -> str:
        """Packages with their versions, in one line."""
        return ", ".join(f"{name} {version}" for name, version in self.packages.items())

    @property
    def machine_and_time(self) -> str:
        """Device, machine, start and duration, in a phrase."""
        where = f"on {self.device or '?'}, {self.machine or '?'}"
        if not self.attempts:
            return where
        starts = "attempt" if len(self.attempts) == 1 else "attempts"
        took = f"{self.seconds:.1f} s in {len(self.attempts)} {starts}"
        return f"{where}, {self.attempts[0].started}, {took}"

    @property
    def surroundings(self) -> dict[str, str]:
        """Known facts that many nodes have in common, by label."""
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
    """Content of ``provenance.json``: every finished node of collected records.

    >>> first = {"node": "hybrid", "fingerprint": "a1"}
    >>> nodes = Nodes.of([first, {"node": "tau60K", "inputs": {"parent": "a1"}}])
    >>> [node.name for node in nodes.ancestors(nodes.named["tau60K"])]
    ['hybrid']
    """

    model_config = ConfigDict(frozen=True)

    nodes: list[TrainedNode]

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]] = ()) -> Nodes:
        """Creates nodes from JSON objects; by default none."""
        return cls.model_validate({"nodes": list(entries)})

    @functools.cached_property
    def named(self) -> dict[str, TrainedNode]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Indices in ``nodes`` by fingerprint."""
        return {node.fingerprint: at for at, node in enumerate(self.nodes) if node.fingerprint}

    def parent(self, node: TrainedNode) -> TrainedNode | None:
        """Returns the node that a node continues; None at step 0 or if unknown."""
        at = self.positions.get(node.parent or "")
        return None if at is None else self.nodes[at]

    def ancestors(self, node: TrainedNode) -> Iterator[TrainedNode]:
        """Yields the parent of a node, the parent's parent, and so on."""
        seen: set[str] = set()
        before = self.parent(node)
        while before and before.fingerprint not in seen:
            seen.add(before.fingerprint)
            yield before
            before = self.parent(before)


__all__ = ["Nodes", "TrainedNode"]
