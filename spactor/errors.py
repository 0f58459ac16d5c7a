"""The one exception that stands for a user's mistake."""

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
        line = " ".join(message.split())
        if len(line) > LONGEST_MESSAGE:
            line = f"{line[: LONGEST_MESSAGE // 2]} … {line[-LONGEST_MESSAGE // 2 :]}"
        if not line.isprintable():
            signs = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
            line = "".join(signs)
        super().__init__(line)
