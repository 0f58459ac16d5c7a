"""Matplotlib's SVG as an image of the page, with the page's colours in light and in dark.

An image's elements are no part of the document. Its style sheet is its own; so what matplotlib
writes as styles becomes presentation attributes, which a style sheet may override.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from markupsafe import Markup

_STYLE = re.compile(r' style="([^"]*)"')
_SHEET = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_GROUP = re.compile(r'<g id="[^"]*">')
_SPACE = re.compile(r"\s+")
_BETWEEN = re.compile(r">\s+<")
_PATH = re.compile(r' d="[^"]*"')
_DECIMALS = re.compile(r"(\.\d{2})\d+")
# From matplotlib's style sheet, for every element.
_ROOT = 'stroke-linejoin="round" stroke-linecap="butt"'
# What ends neither an attribute in double quotes nor the body of a ``data:`` address.
_SAFE = " !$'()*+,-./:;<=>?@[]_{|}~"


def address(svg: bytes, style: str) -> Markup:
    """A ``data:`` address of a figure's SVG, to be quoted by ``"``.

    Args:
      svg: as matplotlib writes it.
      style: CSS for it.
    """
    text = svg.decode()
    body = text[text.index("<svg") :]
    for pattern in (_SHEET, _METADATA, _COMMENT):
        body = pattern.sub("", body)
    body = _STYLE.sub(_attributes, _GROUP.sub("<g>", body))
    # A hundredth of a point is finer than print.
    body = _PATH.sub(lambda path: _SPACE.sub(" ", _DECIMALS.sub(r"\1", path[0])), body)
    head, _, rest = _BETWEEN.sub("><", body).partition(">")
    styled = f"{head} {_ROOT}><style>{_SPACE.sub(' ', style)}</style>{rest}"
    return Markup("data:image/svg+xml," + quote(styled.replace('"', "'"), _SAFE))


def _attributes(style: re.Match[str]) -> str:
    pairs = [pair.split(":", 1) for pair in style[1].split(";") if ":" in pair]
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)
