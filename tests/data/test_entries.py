"""Statements on parameters, on documents by hand."""

from __future__ import annotations

import pytest
from made_sources import document

from spactor.data.builders import entries


@pytest.mark.parametrize(
    ("text", "name", "aspect", "answer"),
    [
        ("axis : int, optional\n    The axis to turn around.", "axis", "type", "int"),
        ("x : {array-like, matrix} of shape (n,)\n  Data of the model.", None, None, None),
        ("Args:\n  size (`int`, *optional*): The size of it all.", "size", "type", "int"),
        (":param str text: what is to be parsed here", "text", "type", "str"),
        (":type text: list(str)\n:rtype: one of the things", "text", "type", "list"),
        ("Args:\n  lines: An iterable of lines to be read.", "lines", "type", "iterable"),
        ("Here *fp* must be a file opened for reading.", "fp", "type", "file"),
        ("It is a string that nobody has named.", None, None, None),
        ("Args:\n  depth: How deep to go. Defaults to 16.", "depth", "default", "16"),
        ("  depth -- how deep to go (default: None)", "depth", "default", "None"),
        ("As ever, depth defaults to 0.5, and no less.", "depth", "default", "0.5"),
        ("Its value defaults to the size of the array.", None, None, None),
    ],
)
def test_statements(text: str, name: str | None, aspect: str, answer: str) -> None:
    found = entries.statements(document(f"Do it.\n\n{text}"))
    if name is None:
        assert found == ()
    else:
        assert [(s.name, s.aspect, s.answer) for s in found] == [(name, aspect, answer)]
        assert answer in found[0].text
