"""Examples of fine-tuning tasks as text, and files of JSON lines in a prepared folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spactor import strict_json
from spactor.errors import UserError

REPAIR = "run 'repro prepare'"
"""What to do where a file of a prepared folder is damaged."""


@dataclass(frozen=True)
class Example:
    """One question and its answer, as plain text.

    Attributes:
      id: names the document or the row it was made from.
      inputs, targets: as seqio names them, before tokenization.
      evidence: words that reveal the answer to a model that was trained on them; no training text
        holds the evidence of a validation example. Empty for generated and released questions.
    """

    id: str
    inputs: str
    targets: str
    evidence: str = ""

    def line(self) -> str:
        """The example as one line of JSON."""
        return json.dumps(asdict(self))


def json_lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Objects of a file of JSON lines, each with the place to name in an error.

    Raises:
      UserError: the file can't be read, or a line is not a JSON object.
    """
    try:
        # Not splitlines: texts may hold U+2028 and other line separators.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}): {REPAIR}") from None
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        where = f"{path}, line {number}"
        try:
            value = strict_json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: damaged ({error}): {REPAIR}") from None
        if not isinstance(value, dict):
            raise UserError(f"{where}: not a JSON object: {REPAIR}")
        yield value, where


def read_texts(path: Path, keys: Sequence[str]) -> list[dict[str, str]]:
    """Some fields of each line of a file of JSON lines, all of them texts.

    Raises:
      UserError: the file can't be read, or a field is missing or not a text.
    """
    found = []
    for value, where in json_lines(path):
        if not all(isinstance(value.get(key), str) for key in keys):
            raise UserError(f"{where}: no texts {', '.join(keys)}: {REPAIR}")
        found.append({key: value[key] for key in keys})
    return found
