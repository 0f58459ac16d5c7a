"""Matplotlib's SVG as part of a page: no style sheet of its own, inked by the page's.

A page's content security policy admits no style attributes, and a dark page needs other inks;
so what matplotlib writes as styles becomes presentation attributes, which a style sheet may
override.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_STYLE = re.compile(r' style="([^"]*)"')
_SHEET = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_NAMES = re.compile(r'(\bid="|url\(#|href="#)')
_PATH = re.compile(r' d="[^"]*"')
_DECIMALS = re.compile(r"(\.\d{2})\d+")
# From matplotlib's style sheet, for every element.
_ROOT = 'stroke-linejoin="round" stroke-linecap="butt"'


def inline(svg: bytes, name: str, caption: str) -> Markup:
    """A figure's SVG: no prologue, ids of its own, a name for screen readers."""
    text = svg.decode()
    body = text[text.index("<svg") :]
    for pattern in (_SHEET, _METADATA, _COMMENT):
        body = pattern.sub("", body)
    body = _NAMES.sub(rf"\g<1>{name}-", body)
    body = _STYLE.sub(_attributes, body)
    # A hundredth of a point is finer than print.
    body = _PATH.sub(lambda path: _DECIMALS.sub(r"\1", path[0]), body)
    # Drawn from our own code with names escaped by matplotlib: markup by intent.
    return Markup(
        body.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}" {_ROOT}', 1)
    )


def _attributes(style: re.Match[str]) -> str:
    pairs = [pair.split(":", 1) for pair in style[1].split(";") if ":" in pair]
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)


__all__ = ["inline"]
