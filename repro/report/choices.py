"""What the paper leaves open and what was chosen, from ``repro/deviations.md``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from repro.report.numbers import PairedTable

SETTINGS_TABLE = 5


@dataclass(frozen=True)
class Departure:
    """A setting in which the profile that ran departs from the paper's."""

    setting: str
    size: str
    ours: str
    published: str


def departures(settings: PairedTable) -> tuple[Departure, ...]:
    """Settings of Table 5 that are not the paper's, of the sizes that were run."""
    return tuple(
        Departure(
            " ".join(one.place.labels), one.place.heading, one.ours.text(), one.published.text()
        )
        for one in settings.compared
        if not one.ours.missing and not one.equal
    )


def deviations() -> Markup:
    """``repro/deviations.md`` as part of a page: headings two levels down, its title left out."""
    text = resources.files("repro").joinpath("deviations.md").read_text(encoding="utf-8")
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    title = next(at for at, token in enumerate(tokens) if token.type == "heading_close")
    # Escaped by the parser, raw HTML included.
    return Markup(parser.renderer.render(_fitted(tokens[title + 1 :]), parser.options, {}))


def _fitted(tokens: Sequence[Token]) -> list[Token]:
    """Headings one level down, columns with their scope, tables that may scroll, no links."""
    fitted = []
    heading = ""
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[at + 1].content
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1:]) + 1}"
        # Files of the checkout aren't beside the page.
        token.children = [one for one in token.children or () if not one.type.startswith("link_")]
        if token.type == "th_open":
            token.attrSet("scope", "col")
        if token.type == "table_open":
            label = Markup('<div class="scroll" tabindex="0" role="group" aria-label="{}">')
            fitted.append(_html(label.format(heading)))
        fitted.append(token)
        if token.type == "table_close":
            fitted.append(_html("</div>"))
    return fitted


def _html(content: str) -> Token:
    return Token("html_block", "", 0, content=content)
