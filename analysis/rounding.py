"""Rounding of scores and of the numbers in tables for print.

A float is rounded by its exact value, and exact halves away from zero, as in the paper (Python's
format rounds them to even). Zero has no sign.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

Style = Literal["plain", "scientific", "percent", "thousands", "signed", "p"]

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SMALLEST_P = 0.001


def rounded(value: float, decimals: int, style: Style = "plain") -> str:
    """Formats a number with a number of decimals.

    An exact half is rounded away from zero, as in the paper's only cell with one: 13/32 in Table 14
    is printed 40.63.

    Args:
      value: the number; a fraction for "percent", a p-value for "p".
      decimals: number of decimals of ``value``, before "percent" multiplies it by 100; of the
        mantissa for "scientific".
      style: "signed" adds a plus sign; "p" prints a small p-value as "<0.001".

    >>> rounded(85.894, 2), rounded(1.05, 2), rounded(-0.001, 2), rounded(40.625, 2)
    ('85.89', '1.05', '0.00', '40.63')
    >>> rounded(85.885, 2), rounded(-40.625, 2), rounded(2.0, 1)  # 85.885 is a little more.
    ('85.89', '-40.63', '2.0')
    >>> rounded(16000.0, 1, "scientific"), rounded(0.15, 2, "percent"), rounded(1e4, 0, "thousands")
    ('1.6×10⁴', '15%', '10,000')
    >>> rounded(0.566, 2, "signed"), rounded(-0.001, 2, "signed"), rounded(3e-7, 3, "p")
    ('+0.57', '0.00', '<0.001')
    """
    if style == "scientific":
        mantissa, exponent = f"{value:.{decimals}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    if style == "p" and value < _SMALLEST_P:
        return f"<{_SMALLEST_P}"
    kinds = {"percent": f".{max(decimals - 2, 0)}%", "thousands": f",.{decimals}f"}
    unit = Decimal(1).scaleb(-max(decimals, 2 if style == "percent" else 0))
    exact = Decimal(value).quantize(unit, rounding=ROUND_HALF_UP)
    text = format(exact, kinds.get(style, f".{decimals}f"))
    if not any(digit in "123456789" for digit in text):
        return text.removeprefix("-")
    return f"+{text}" if style == "signed" and value > 0 else text
