"""Parses a page of HTML for assertions."""

from __future__ import annotations

from html.parser import HTMLParser

THE_PAPER = "https://arxiv.org/abs/2401.13160"
"""The only address that the page links to."""
VOID = {"meta", "br", "img", "link", "input"}


class Page(HTMLParser):
    """Checks nesting; collects tags, attributes, ids, links, scripts and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.text, self.links = [], [], set(), [], []
        self.scripts, self.styles, self.attributes = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
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
    def words(self):
        return " ".join(" ".join(self.text).split())
