"""Choices ranked by log-likelihood, as by T0 and lm-evaluation-harness; nothing is decoded.

A choice's log-likelihood, given the item's inputs, is the sum over the tokens of its text, eos
included; a length-normalized task divides it by the number of tokens. The choice with the highest
log-likelihood is the model's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ROWS = 64
"""Items per compiled batch; the last batch is padded, never cut."""

Score = Callable[[np.ndarray, np.ndarray], Any]
"""Maps inputs int32 ``[B, L]`` and targets int32 ``[B, C, T]`` to log-likelihoods ``[B, C]``."""


@dataclass(frozen=True)
class Items:
    """Items with choices, as token ids.

    Attributes:
      inputs: int32 ``[E, L]``, eos and padding included.
      targets: int32 ``[E, C, T]``; if an item has fewer than C choices, the last are padding.
      counts: int ``[E]``, number of choices of each item.
      right: int ``[E]``, index of the right choice of each item.
    """

    inputs: np.ndarray
    targets: np.ndarray
    counts: np.ndarray
    right: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)


def log_likelihoods(score: Score, items: Items) -> np.ndarray:
    """Returns log-likelihoods of all choices in nats, item by item: float32 ``[sum of counts]``.

    Args:
      score: function compiled for ``ROWS`` items; see `spactor.step.build_scorer`.
      items: items with choices.
    """
    filled = -len(items) % ROWS

    def batches(rows: np.ndarray) -> list[np.ndarray]:
        padded = np.concatenate([rows, np.zeros((filled, *rows.shape[1:]), rows.dtype)])
        return np.split(padded, len(padded) // ROWS)

    # A list, so that every batch is dispatched before the first result is fetched.
    scores = [
        score(*both) for both in zip(batches(items.inputs), batches(items.targets), strict=True)
    ]
    table = np.concatenate([np.asarray(part, np.float32) for part in scores])[: len(items)]
    return table[np.arange(table.shape[1]) < items.counts[:, None]]


def accuracy_and_margin(
    scores: np.ndarray | Sequence[float],
    counts: np.ndarray | Sequence[int],
    right: np.ndarray | Sequence[int],
) -> dict[str, float]:
    """Returns accuracy in per cent, and mean margin of the right choice in nats.

    An item's margin is the right choice's score minus the highest score of another choice.

    Args:
      scores: scores of all choices, item by item.
      counts: number of choices of each item, at least two.
      right: index of the right choice of each item. If scores are equal, the first choice is the
        model's answer.

    >>> accuracy_and_margin([-1.0, -3.0, -2.0, -1.5, -1.0], [2, 3], [0, 1])
    {'accuracy': 50.0, 'margin': 0.75}
    """
    answers, margins = [], []
    items = np.split(np.asarray(scores, np.float64), np.cumsum(counts)[:-1])
    for of_item, number in zip(items, right, strict=True):
        answers.append(int(np.argmax(of_item)) == number)
        margins.append(of_item[number] - np.max(np.delete(of_item, number)))
    return {"accuracy": 100.0 * float(np.mean(answers)), "margin": float(np.mean(margins))}
