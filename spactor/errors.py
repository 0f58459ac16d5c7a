"""Errors that a user can correct, errors of a run, and the warning about a damaged file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

LONGEST_MESSAGE = 2000


class UserError(Exception):
    """A mistake that the user can correct; a one-line message names the mistake and the remedy.

    The command line prints the message and exits with code 2. A message may quote arbitrary text
    from a file, so line ends become spaces, other unprintable characters are escaped, and the
    middle of a very long message is cut.

    >>> print(UserError("no profile 'a\\nb\\x1b[31m': give another"))
    no profile 'a b\\x1b[31m': give another
    """

    def __init__(self, message: str) -> None:
        super().__init__(_line(message))


def _line(message: str) -> str:
    line = " ".join(message.split())
    if len(line) > LONGEST_MESSAGE:
        line = f"{line[: LONGEST_MESSAGE // 2]} … {line[-LONGEST_MESSAGE // 2 :]}"
    if not line.isprintable():
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return line


def first_line(error: BaseException | None) -> str:
    """Returns an error's message, shortened to be quoted in another message."""
    return str(error).strip().partition("\n")[0][:80] or type(error).__name__


class Damaged(UserError):
    """A file that a run wrote exists and can't be read."""


class DamagedCheckpoint(Damaged):
    """A checkpoint exists and can't be read."""


@dataclass(eq=False)
class Diverged(UserError):
    """A metric of a run is no longer finite.

    Attributes:
      metric: name of the metric.
      value: "nan", "inf" or "-inf".
      step: first step at which the metric was not finite.
      batch_digest: digest of the batch that this step's update read (`spactor.data.digest`).
      checkpoint_step: step of the last checkpoint before; None without one.
    """

    metric: str
    value: str
    step: int
    batch_digest: str
    checkpoint_step: int | None

    def __reduce__(self) -> tuple[object, ...]:
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return type(self), tuple(values)

    def __str__(self) -> str:
        saved = self.checkpoint_step
        return _line(
            f"{self.metric} became {self.value} at step {self.step} (batch {self.batch_digest}; "
            f"{'no checkpoint before it' if saved is None else f'last good checkpoint {saved}'}): "
            "lower the learning rate, or look at the data of that step"
        )


class DamageWarning(UserWarning):
    """A damaged file was renamed and is written again; the command line prints the message only."""
