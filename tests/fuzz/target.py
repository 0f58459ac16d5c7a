"""A target of the fuzzers, and what placing and making its files needs."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "repro" / "t5x_golden"


def alone(name: str) -> Callable[[bytes, Path], None]:
    """Puts the bytes into a file of this name and nothing beside it."""
    return lambda data, folder: put(folder / name, data)


def put(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        path.write_bytes(data)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of file and what reads it.

    Attributes:
      name: of the target.
      readers: functions that take in the bytes, by their dotted names.
      kind: a key of `mutations.KINDS`.
      seeds: makes valid files.
      place: puts bytes into the folder, and what belongs beside them.
      read: reads what was placed.
      needs: modules without which there is no such reader, such as "jax".
      writes: whether it may write below the folder, as a command does.
    """

    name: str
    readers: tuple[str, ...]
    kind: str
    seeds: Callable[[], list[bytes]]
    place: Callable[[bytes, Path], None]
    read: Callable[[Path], object]
    needs: tuple[str, ...] = ()
    writes: bool = False


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def rows(*rows: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@functools.cache
def valid_records() -> Any:
    from analysis.schema import records

    shared = {"source": "measured", "profile": "own", "size": "base", "tau": "inf", "seed": 0}
    score = {"suite": "glue", "task": "cola", "metric": "matthews_corrcoef", "value": 55.5}
    at = {"finetune_seed": 0, "checkpoint": 500_000, "step": 10}
    return records.from_rows(
        [
            {**shared, **at, **score},
            {**shared, **at, **score, "selection": "best_average", "std": 0.5, "runs": 3},
            {**shared, "step": 4, "paper_step": 40, "metric": "validation/sc_loss", "value": 2.5},
            {**shared, "metric": "setting/a", "value": None, "text": "b", "bold": True},
            {**shared, "metric": "cost/pretraining_flops", "value": 1e12, "decimals": 2},
        ]
    )
