"""Parses a page of HTML for assertions."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser

EMPTY_ICON, THE_PAPER = "data:,", "https://arxiv.org/abs/2401.13160"
VOID = {"meta", "br", "img", "link", "input"}


class Page(HTMLParser):
    """Checks nesting; counts elements; collects tags, attributes, ids, links, scripts and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.text, self.links = [], [], set(), [], []
        self.count = 0
        self.scripts, self.styles, self.attributes = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.count += 1
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]
        self.links += [v for n, v in attributes if n in ("src", "href", "xlink:href", "action")]
        self.styles += [v for n, v in attributes if n == "style" or n.startswith("on")]
        if tag == "script":
            self.scripts.append([dict(attributes).get("type", ""), ""])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1][1] += data
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def foreign_links(self):
        """Links other than to parts of the page, its own images, and the paper."""
        return [
            link
            for link in self.links
            if not link.startswith(("#", "data:image/svg+xml,"))
            and link not in (EMPTY_ICON, THE_PAPER)
        ]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def unpacked(text):
    """What the page's script reads: the sections that start folded, and the traces."""
    block = re.search(r'<script type="text/plain" id="packed"[^>]*>([^<]*)</script>', text)[1]
    return json.loads(gzip.decompress(base64.b64decode(block)))


def unfolded(text):
    """The page with every folded section in its place, as after it was opened."""
    for name, section in unpacked(text)["sections"].items():
        opening = f'<details class="folded" id="{name}">'
        assert text.count(opening) == 1
        text = text.replace(opening, opening + section)
    return text
