"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake the user can mend; its message is one line that names the fault and the mend.

    The command line prints the message and exits with code 2; a library caller sees an
    ordinary exception.
    """
