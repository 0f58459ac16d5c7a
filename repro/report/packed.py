"""What the page builds on demand: sections that start folded and the traces of cells.

They are four fifths of the page. In one compressed block they cost a tenth of that, and the browser
parses none of it before a reader opens a section or clicks a cell.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from markupsafe import Markup

_GZIP = 31
"""The ``wbits`` with which zlib writes gzip's format."""


class Packed:
    """Collects sections while the templates render; ``text`` is the block for the page's script.

    Args:
      data: plain data that the script reads too, by name.
    """

    def __init__(self, **data: Any) -> None:
        self._data = data
        self._sections: dict[str, str] = {}

    def add(self, name: str, section: Markup) -> str:
        """Takes a section of HTML, already escaped, and prints nothing in its place."""
        self._sections[name] = str(section)
        return ""

    def text(self) -> str:
        """JSON of the sections and the data, compressed with gzip, in base64.

        >>> import gzip
        >>> block = Packed(rule="mean").text()
        >>> gzip.decompress(base64.b64decode(block)).decode()
        '{"sections":{},"rule":"mean"}'
        """
        whole = {"sections": self._sections, **self._data}
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
        # Equal records give equal bytes: the header has no time of writing. Those of
        # `gzip.compress` differ between versions of Python.
        return base64.b64encode(zlib.compress(text.encode(), 9, _GZIP)).decode()
