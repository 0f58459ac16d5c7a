"""The token ids of a suite's examples, written once, so that training on them needs NumPy alone.

One file per suite, ``suites/<suite>/tokens.npz``: of every task, split and side (inputs, targets)
the ids of all examples one after the other and their offsets, neither cut nor padded, without
eos. Examples lie in file order, which is the order in which seqio reads and scores them. The file
is memory-mapped, so that what a run holds is what it has read.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from spactor import numpy_files
from spactor.data import manifest
from spactor.data.vocabulary import EOS_ID
from spactor.errors import UserError

TARGET_LENGTH = "target_length"
"""Key of the one number in a file that is no token."""


@dataclass(frozen=True)
class Ragged:
    """Rows of token ids of any length: row i is ``tokens[offsets[i]:offsets[i + 1]]``."""

    tokens: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def is_whole(self) -> bool:
        """Whether the offsets cut all of the tokens, in order."""
        tokens, offsets = self.tokens, self.offsets
        return (
            (tokens.ndim, offsets.ndim) == (1, 1)
            and tokens.dtype.kind in "iu"
            and offsets.dtype.kind in "iu"
            and len(offsets) > 0
            and offsets[0] == 0
            and offsets[-1] == len(tokens)
            and bool(np.all(offsets[1:] >= offsets[:-1]))
        )

    def padded(self, length: int, rows: np.ndarray | None = None) -> np.ndarray:
        """int32[rows, length] as T5 makes them: cut to length - 1, eos, then padding.

        Args:
          length: of each row.
          rows: numbers of the rows wanted; all by default.

        >>> two = Ragged(np.array([5, 6, 7, 8]), np.array([0, 1, 4]))
        >>> two.padded(3).tolist(), two.padded(3, np.array([1, 1])).tolist()
        ([[5, 1, 0], [6, 7, 1]], [[6, 7, 1], [6, 7, 1]])
        """
        rows = np.arange(len(self)) if rows is None else rows
        starts = self.offsets[rows]
        out = np.zeros((len(rows), length), np.int32)
        kept = np.minimum(self.offsets[rows + 1] - starts, length - 1)
        column = np.arange(length)
        inside = column < kept[:, None]
        out[inside] = self.tokens[(starts[:, None] + column)[inside]]
        out[np.arange(len(rows)), kept] = EOS_ID
        return out


@dataclass(frozen=True)
class SuiteTokens:
    """A suite's examples as token ids.

    Attributes:
      target_length: decoder positions that hold any answer, eos included.
      rows: by task, split and side ("inputs" or "targets"); tasks in the suite's order.
    """

    target_length: int
    rows: Mapping[tuple[str, str, str], Ragged]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(dict.fromkeys(task for task, _, _ in self.rows))


def file_of(suite: str) -> str:
    """Path of a suite's token ids inside a prepared folder."""
    return f"suites/{suite}/tokens.npz"


@functools.lru_cache(maxsize=8)
def read(folder: Path, suite: str) -> SuiteTokens:
    """A suite's token ids, checked against the folder's manifest.

    A prepared folder never changes under its name, so a process reads a suite once.

    Raises:
      UserError: no such suite in the folder, or it is damaged.
    """
    name = file_of(suite)
    facts = manifest.read(folder)
    if name not in facts["files"]:
        raise UserError(f"{folder} holds no examples of suite {suite!r}: prepare the data again")
    if wrong := manifest.damage(folder, facts, only=(name,)):
        raise UserError(f"{wrong}: run 'repro prepare' to build it again")
    try:
        return _suite_tokens(numpy_files.map_archive(folder / name))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / name}: damaged ({error}); run 'repro prepare' to build it again"
        ) from error


def _suite_tokens(arrays: Mapping[str, np.ndarray]) -> SuiteTokens:
    rows: dict[tuple[str, str, str], Ragged] = {}
    for key in arrays:
        if key == TARGET_LENGTH or key.endswith("_offsets"):
            continue
        task, split, side = key.split("/")
        ragged = Ragged(arrays[key], arrays[f"{key}_offsets"])
        if not ragged.is_whole():
            raise ValueError(f"{key} and its offsets don't fit")
        rows[task, split, side] = ragged
    length = arrays[TARGET_LENGTH]
    if length.shape or length.dtype.kind not in "iu" or not 0 < length < 2**20:
        raise ValueError(f"{TARGET_LENGTH} is {length}")
    return SuiteTokens(target_length=int(length), rows=MappingProxyType(rows))
