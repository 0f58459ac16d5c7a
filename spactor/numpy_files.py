"""NumPy's files, read without trust: no pickle, and no more memory than the file has bytes for."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

_MOST_BYTES = 1 << 30
"""Of all arrays of an archive together; those of this project have some megabytes."""
_LOCAL_HEADER_BYTES = 30
"""Of a member of a ZIP archive; its name and extra field stand behind, then its data."""


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


def read_archive(path: Path | IO[bytes]) -> dict[str, np.ndarray]:
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


def map_archive(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an uncompressed ``.npz`` file by name, memory-mapped and read-only.

    NumPy maps ``.npy`` files alone. Check sums are not looked at.

    Raises:
      ValueError: it can't be read as one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("compressed")
        content = np.asarray(np.memmap(path, np.uint8, mode="r"))
        return {
            member.filename.removesuffix(".npy"): _mapped(content, member) for member in members
        }
    except Exception as error:
        raise ValueError(f"no arrays ({error})") from error


def _array(data: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _mapped(archive: np.ndarray, member: zipfile.ZipInfo) -> np.ndarray:
    """The array of a member, as a part of the archive's bytes."""
    start = member.header_offset + _LOCAL_HEADER_BYTES
    # The header ends in the lengths of the two that stand behind it, 16 bits each.
    start += int(archive[start - 4 : start].view("<u2").sum())
    content = archive[start : start + member.file_size]
    # Longer headers are of no version that NumPy writes for plain numbers.
    header = io.BytesIO(content[: 1 << 16].tobytes())
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError("another version of NumPy's format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(header)
    if dtype.hasobject or fortran_order:
        raise ValueError("no plain numbers, row by row")
    data = content[header.tell() :][: math.prod(shape) * dtype.itemsize]
    return data.view(dtype).reshape(shape)
