"""Arrays in plain ``.npy`` files, read without unpickling."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from spactor.files import write_atomically


def read(path: Path) -> np.ndarray:
    """Memory-maps the array of a ``.npy`` file, read-only.

    A header with a larger size than the file's is an error, so a damaged file can't make NumPy
    allocate too much memory.

    Raises:
      ValueError: the file is missing, damaged or not a ``.npy`` file.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # NumPy parses the header as Python source: a damaged header can raise many errors.
        raise ValueError(f"not a readable .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError("an archive of arrays, not a .npy file")
    return array


def write(path: Path, array: np.ndarray) -> None:
    """Writes an array atomically: readers see the old file or the whole new one.

    Raises:
      UserError: the write failed.
    """
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())
