"""Append-only files of JSON lines, one object a step, as the T5X world writes them.

Of a step written twice, by a run that was stopped and went on, the last line holds; one line torn
by a kill is skipped.
"""

from __future__ import annotations

from pathlib import Path

from spactor import strict_json
from spactor.errors import UserError


def read_steps(path: Path) -> dict[int, dict[str, float]]:
    """Values by step of an append-only file of JSON lines, in order of the steps.

    Of a step that stands there twice the last line holds. A line cut short by a kill is
    skipped when it is the last or when the run went on behind it.

    Raises:
      UserError: naming file and line, for anything else that can't be read.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: move its folder away and run again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error}); move its folder away") from None
    steps: dict[int, dict[str, float]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        # A strict prefix of a flat object never ends in a brace; blank where a resumed run
        # began a new line.
        if not line or (line.startswith("{") and not line.endswith("}")):
            continue
        steps |= [_entry(line, f"{path}, line {number}")]
    return dict(sorted(steps.items()))


def _entry(line: str, where: str) -> tuple[int, dict[str, float]]:
    mend = "mend the line, or move its folder away and run again"
    try:
        values = strict_json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: damaged, no JSON object ({error}); {mend}") from None
    step = values.pop("step", None) if isinstance(values, dict) else None
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise UserError(f"{where}: damaged, no step; {mend}")
    for name, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UserError(f"{where}: damaged, {name} is {value!r}, no number; {mend}")
    return step, {name: float(value) for name, value in values.items()}
