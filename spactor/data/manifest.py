"""The manifest of a prepared data folder: what it holds, with a digest of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spactor import files, strict_json
from spactor.errors import UserError

FORMAT = 1
FILE_NAME = "manifest.json"
VOCABULARY_FILE = "sentencepiece.model"


def tokens_file(split: str) -> str:
    """Name of the file that holds the tokens of ``train`` or ``validation``."""
    return f"tokens_{split}.npy"


def documents_file(split: str) -> str:
    """Name of the file that holds the documents of ``train`` or ``validation``."""
    return f"documents_{split}.jsonl"


def examples_file(suite: str, task: str, split: str) -> str:
    """Name of the file that holds a task's examples."""
    return f"suites/{suite}/{task}/{split}.jsonl"


def types_file(suite: str, task: str) -> str:
    """Name of the file that holds the types of an official benchmark's fields; see `examples`."""
    return f"suites/{suite}/{task}/types.json"


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of everything in a manifest that can change a number.

    The digests of all files are in it, so it names the content, not the way it was made.
    Package versions are left out: a release that changes no docstring changes no number.
    """
    facts = {key: value for key, value in manifest.items() if key != "fingerprint"}
    facts["corpus"] = {k: v for k, v in facts["corpus"].items() if k != "packages"}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Writes the manifest and makes it durable."""
    text = json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n"
    files.write_atomically(folder / FILE_NAME, text.encode())


def read(folder: Path) -> dict[str, Any]:
    """Reads and validates the manifest, but not the files it lists.

    Raises:
      UserError: it is missing, damaged or of another format.
    """
    path = folder / FILE_NAME
    try:
        manifest = strict_json.loads(path.read_text(encoding="utf-8"))
        fine = manifest["format"] == FORMAT and manifest["fingerprint"] == fingerprint_of(manifest)
        files = manifest["files"]
        if not all(map(_is_inside, files)) or not all(isinstance(d, str) for d in files.values()):
            raise ValueError
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}): run 'repro prepare'"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged; run 'repro prepare' to build it again") from error
    if not fine:
        raise UserError(
            f"{path}: changed since it was written; run 'repro prepare' to build it again"
        )
    return manifest


def require(folder: Path, *names: str) -> dict[str, Any]:
    """Reads the manifest and checks the named files, or all files, against it.

    Raises:
      UserError: as `read`, or a file is missing or changed.
    """
    manifest = read(folder)
    if wrong := damage(folder, manifest, names):
        raise UserError(f"{wrong}: run 'repro prepare' to build it again")
    return manifest


def _is_inside(name: str) -> bool:
    """Whether a path of the manifest is a plain one below its folder.

    >>> [_is_inside(name) for name in ("a/b.npy", "../a", "/a", "a//b", "a\\\\b", "c:/a", "")]
    [True, False, False, False, False, False, False]
    """
    parts = name.split("/")
    return all(part not in ("", ".", "..") and part.isprintable() for part in parts) and not (
        set(name) & set("\\:")
    )


def damage(folder: Path, manifest: Mapping[str, Any], only: tuple[str, ...] = ()) -> str | None:
    """Describes the first listed file that is missing or changed; None if all are intact.

    Args:
      folder: of prepared data.
      manifest: of the folder.
      only: files to check; all by default.
    """
    files: Mapping[str, str] = manifest["files"]
    for name in only or sorted(files):
        path = folder / name
        if name not in files:
            return f"{folder / FILE_NAME} lists no {name}"
        try:
            if not path.resolve().is_relative_to(folder.resolve()):
                return f"{path} leads out of its folder"
            if digest_of_file(path) != files[name]:
                return f"{path} has changed since it was written"
        except FileNotFoundError:
            return f"{path} is missing"
        except OSError as error:
            return f"{path} cannot be read ({error.strerror})"
    return None
