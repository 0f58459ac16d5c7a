"""Wrapping breaks no word, and aligned cells stay in their columns."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from spactor.text_table import GAP, align, wrap

words = st.text("ab7.,-%=±[] ", max_size=40)


@given(words, st.integers(1, 20))
def test_a_wrapped_text_has_the_same_words(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(
        len(line) <= width or " " not in re.sub(r"[ ](?=[%=±\d-])|(?<=[=±,]) ", "", line)
        for line in lines
    )


@given(
    st.lists(st.tuples(words, st.integers(0, 10**9).map(str), words), min_size=1),
    st.integers(1, 60),
)
def test_cells_stay_in_their_columns_and_numbers_whole(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    table = [("name", "count", "more words"), *rows]
    lines = align(table, right=[1], width=width, rule=True)
    (rule,) = (line for line in lines if line.startswith("─"))
    spans = [found.span() for found in re.finditer("─+", rule)]
    assert len(spans) == 3
    assert all(after[0] - before[1] == GAP for before, after in itertools.pairwise(spans))
    at = lines.index(rule)
    columns = [[line[start:end] for line in lines[at + 1 :]] for start, end in spans]
    assert [cell.strip() for cell in columns[1] if cell.strip()] == [row[1] for row in rows]
    for column, at in ((columns[0], 0), (columns[2], 2)):
        assert " ".join(column).split() == " ".join(row[at] for row in rows).split()
    if len(rule) <= width:
        assert max(map(len, lines)) <= width
