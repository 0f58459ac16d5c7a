"""Parsing of numbers in files of records, in JSON's grammar.

    accepted    12    -0.5    1e-05    1E+5    9007199254740992 (2^53)
    refused     1_0.5    +5    .5    5.    007    0x10    1,5    " 5"    ٥    nan    inf

Python's ``float()`` accepts most of the refused forms, but other programs read them as text or as
another number. A missing number is an empty cell.

An integer column accepts every whole number in the grammar, so 120000, 120000.0 and 1.2e5 are the
same integer: pandas writes the second form in a column with empty cells, and R the third. Integers
are 0 to 2^53 and are not converted to floating point, where 2^53 + 1 would become 2^53.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Integral, Real

LARGEST_INTEGER = 2**53
"""Largest integer up to which floating point represents every integer."""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_NONE = re.compile(r"[+-]?(nan|inf|infinity|na|n/a|#n/a|null|none|-)", re.IGNORECASE)
_WHOLE = "give a whole number, 0 or more"


def real(value: object) -> float:
    """Converts a value to a finite floating-point number.

    Args:
      value: text in the module's grammar, or a number that is no boolean.

    Raises:
      ValueError: the value is anything else; the message names the fix.

    >>> real("1e-05"), real(3)
    (1e-05, 3.0)
    >>> real("1_0.5")
    Traceback (most recent call last):
    ValueError: give a number such as 12, -0.5 or 1e-05, without '_', '+' or leading zeros
    """
    if isinstance(value, str):
        found = float(_checked(value))
    elif isinstance(value, Real) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
    else:
        raise ValueError("give a number")
    if not math.isfinite(found):
        raise ValueError("give a finite number that floating point can hold")
    return found


def whole(value: object) -> int:
    """Converts a value to an integer from 0 to 2^53, exactly.

    Args:
      value: text in the module's grammar, or a number that is no boolean. A floating-point number
        must be below 2^53, since 2^53 could be the rounded 2^53 + 1.

    Raises:
      ValueError: the value is anything else; the message names the fix.

    >>> whole("1.2e5"), whole("9007199254740992")
    (120000, 9007199254740992)
    >>> whole("9007199254740993")
    Traceback (most recent call last):
    ValueError: give an integer of at most 2^53 (9007199254740992)
    """
    exact: Decimal | int
    largest = LARGEST_INTEGER
    if isinstance(value, str):
        exact = Decimal(_checked(value))
    elif isinstance(value, Integral) and not isinstance(value, bool):
        exact = int(value)
    else:
        number = real(value)
        if not number.is_integer():
            raise ValueError(_WHOLE)
        exact, largest = int(number), LARGEST_INTEGER - 1
    if exact > largest:
        raise ValueError(f"give an integer of at most 2^53 ({LARGEST_INTEGER})")
    if exact < 0 or exact != int(exact):
        raise ValueError(_WHOLE)
    return int(exact)


def _checked(text: str) -> str:
    """Returns the text if it is in the grammar; raises ``ValueError`` with the cause if not."""
    if _NUMBER.fullmatch(text):
        return text
    if text != text.strip():
        raise ValueError("remove the spaces around it")
    if not text.isascii():
        raise ValueError("give a number in the digits 0 to 9 and the signs '-' and '.'")
    if _NONE.fullmatch(text):
        raise ValueError("give a finite number, or leave the cell empty where there is none")
    if re.fullmatch(r"[+-]?[0-9]+(,[0-9]+)+(\.[0-9]+)?", text):
        raise ValueError("give a number with a decimal point, without commas")
    raise ValueError("give a number such as 12, -0.5 or 1e-05, without '_', '+' or leading zeros")
