"""NumPy's files, read without trust: no pickle, and no more memory than the file has bytes for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

_MOST_BYTES = 1 << 30
"""Of all arrays of an archive together; those of this project have some megabytes."""


def read_array(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file, memory-mapped.

    Raises:
      ValueError: it can't be read as one.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # A damaged header is read as Python and fails as such, with any of a dozen exceptions.
        raise ValueError(f"no array ({error})") from error


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name.

    Raises:
      ValueError: it can't be read as one, or holds more than a gigabyte.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                raise ValueError("more than a gigabyte")
            return {
                member.filename.removesuffix(".npy"): _array(archive.read(member))
                for member in archive.infolist()
            }
    except Exception as error:
        raise ValueError(f"no arrays ({error})") from error


def _array(data: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
