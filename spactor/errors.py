"""A user's mistake, the two faults a run can meet, and the warning of damage that it survived."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_MESSAGE = 2000


class UserError(Exception):
    """A mistake the user can mend; its message is one line that names the fault and the mend.

    The command line prints the message and exits with code 2; a library caller sees an
    ordinary exception. What a message quotes from a file may hold anything, so line ends become
    spaces, other signs that don't print are written out, and the middle of a very long one is
    left out.

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
        signs = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        line = "".join(signs)
    return line


def first_line(error: BaseException | None) -> str:
    """What an error says, short enough to stand in another's line."""
    return str(error).strip().partition("\n")[0][:80] or type(error).__name__


class Damaged(UserError):
    """Something a run wrote is there and can't be read."""


class DamagedCheckpoint(Damaged):
    """A checkpoint is there and can't be read."""


@dataclass(eq=False)
class Diverged(UserError):
    """A number of a run is no longer finite.

    Attributes:
      metric: its name.
      value: "nan", "inf" or "-inf".
      step: the first after whose update it was so.
      batch_digest: of what that update read (`spactor.data.digest`).
      checkpoint_step: of the last checkpoint before; None if there is none.
    """

    metric: str
    value: str
    step: int
    batch_digest: str
    checkpoint_step: int | None

    def __str__(self) -> str:
        saved = self.checkpoint_step
        return _line(
            f"{self.metric} became {self.value} at step {self.step} (batch {self.batch_digest}; "
            f"{'no checkpoint before it' if saved is None else f'last good checkpoint {saved}'}): "
            "lower the learning rate, or look at the data of that step"
        )


class DamageWarning(UserWarning):
    """Something was damaged, was set aside and is made again; one line that names it.

    The command line prints the line alone.
    """
