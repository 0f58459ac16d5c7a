"""Token ids of a suite's examples, written once, so that training on them needs NumPy alone.

    suites/<suite>/tokens.npy           uint16 or int32 [tokens]: the ids of all rows, end to end
    suites/<suite>/tokens.offsets.npy   int64 [rows + 1]: row i is tokens[offsets[i]:offsets[i + 1]]
    suites/<suite>/tokens.json          target length, and number of rows by task, split and side

A row is one side (inputs or targets) of an example, neither cut nor padded, without eos. Examples
are in file order, which is the order in which seqio reads and scores them. Both arrays are
memory-mapped, so a run holds in memory what it has read.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from spactor import npy, strict_json
from spactor.data import manifest
from spactor.data.vocabulary import EOS_ID
from spactor.errors import UserError
from spactor.files import write_atomically

SIDES = ("inputs", "targets")
_MAX_TARGET_LENGTH = 2**20


@dataclass(frozen=True)
class Ragged:
    """Rows of token ids of any length: row i is ``tokens[offsets[i]:offsets[i + 1]]``."""

    tokens: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def padded(self, length: int, rows: np.ndarray | None = None) -> np.ndarray:
        """int32[rows, length] as T5 makes them: cut to length - 1, eos, then padding.

        Args:
          length: of each row.
          rows: indices of the rows; all by default.

        >>> two = Ragged(np.array([5, 6, 7, 8]), np.array([0, 1, 4]))
        >>> two.padded(3).tolist(), two.padded(3, np.array([1, 1])).tolist()
        ([[5, 1, 0], [6, 7, 1]], [[6, 7, 1], [6, 7, 1]])
        """
        rows = np.arange(len(self)) if rows is None else rows
        starts = self.offsets[rows]
        out = np.zeros((len(rows), length), np.int32)
        lengths = np.minimum(self.offsets[rows + 1] - starts, length - 1)
        column = np.arange(length)
        inside = column < lengths[:, None]
        out[inside] = self.tokens[(starts[:, None] + column)[inside]]
        out[np.arange(len(rows)), lengths] = EOS_ID
        return out


@dataclass(frozen=True)
class SuiteTokens:
    """A suite's examples as token ids.

    Attributes:
      target_length: decoder positions that hold any answer, eos included.
      rows: by task, split and side ("inputs" or "targets"); tasks in the suite's order. A task of
        an official benchmark may have training rows alone.
    """

    target_length: int
    rows: Mapping[tuple[str, str, str], Ragged]

    def side(self, split: str, side: str) -> dict[str, Ragged]:
        """Rows of one side by task, of the tasks that have the split."""
        return {task: rows for (task, *place), rows in self.rows.items() if place == [split, side]}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that are scored."""
        return tuple(self.side("validation", "inputs"))


class Part(NamedTuple):
    """One side of the examples of one task and split, as it is written.

    Attributes:
      task, split: names.
      side: "inputs" or "targets".
      tokens: ids of all rows, end to end.
      lengths: int64[rows].
    """

    task: str
    split: str
    side: str
    tokens: np.ndarray
    lengths: np.ndarray


def files_of(suite: str) -> tuple[str, str, str]:
    """Paths of a suite's tokens, offsets and index inside a prepared folder."""
    home = f"suites/{suite}"
    return f"{home}/tokens.npy", f"{home}/tokens.offsets.npy", f"{home}/tokens.json"


def write(folder: Path, suite: str, target_length: int, parts: Iterable[Part]) -> None:
    """Writes a suite's token ids.

    Args:
      folder: data folder that is being prepared.
      suite: name.
      target_length: decoder positions that hold any answer, eos included.
      parts: in the suite's order of tasks.
    """
    parts = list(parts)
    tokens, offsets, index = (folder / name for name in files_of(suite))
    dtype = parts[0].tokens.dtype if parts else np.uint16
    npy.write(tokens, np.concatenate([np.zeros(0, dtype), *(part.tokens for part in parts)]))
    lengths = np.concatenate([[0], *(part.lengths for part in parts)])
    npy.write(offsets, np.cumsum(lengths, dtype=np.int64))
    content = {
        "target_length": target_length,
        "parts": [[part.task, part.split, part.side, len(part.lengths)] for part in parts],
    }
    write_atomically(index, (json.dumps(content, indent=1) + "\n").encode())


@functools.lru_cache(maxsize=8)
def read(folder: Path, suite: str) -> SuiteTokens:
    """Token ids of a suite, checked against the folder's manifest.

    A prepared folder never changes under its name, so a process reads a suite once.

    Raises:
      UserError: the folder has no such suite, or its files are damaged.
    """
    names = files_of(suite)
    facts = manifest.read(folder)
    if not set(names) <= set(facts["files"]):
        raise UserError(f"{folder} holds no examples of suite {suite!r}: prepare the data again")
    if wrong := manifest.damage(folder, facts, only=names):
        raise UserError(f"{wrong}: run 'repro prepare' to build it again")
    tokens, offsets, index = (folder / name for name in names)
    try:
        content = strict_json.loads(index.read_text("utf-8"))
        return _suite_tokens(npy.read(tokens), npy.read(offsets), content)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{index.parent}: damaged token ids ({error}); run 'repro prepare' to build them again"
        ) from error


def _suite_tokens(tokens: np.ndarray, offsets: np.ndarray, content: Any) -> SuiteTokens:
    """Cuts the arrays into parts, after checking that offsets and index fit them."""
    target_length = content["target_length"]
    if type(target_length) is not int or not 0 < target_length < _MAX_TARGET_LENGTH:
        raise ValueError(f"target_length is {target_length!r}")
    if (tokens.ndim, offsets.ndim) != (1, 1) or {tokens.dtype.kind, offsets.dtype.kind} - set("iu"):
        raise ValueError("tokens and offsets must be lists of integers")
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(tokens):
        raise ValueError("offsets don't span the tokens")
    if np.any(offsets[1:] < offsets[:-1]):
        raise ValueError("offsets don't rise")
    rows: dict[tuple[str, str, str], Ragged] = {}
    start = 0
    for task, split, side, count in content["parts"]:
        if type(count) is not int or not 0 <= count < len(offsets) - start:
            raise ValueError(f"{task}, {split}, {side}: {count!r} rows")
        rows[str(task), str(split), str(side)] = Ragged(tokens, offsets[start : start + count + 1])
        start += count
    if start != len(offsets) - 1:
        raise ValueError(f"the index counts {start} rows of {len(offsets) - 1}")
    return SuiteTokens(target_length=target_length, rows=MappingProxyType(rows))
