"""The page in a real browser: what its script adds, and that nothing leaves the page."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import pytest
import traced_study

pytestmark = pytest.mark.browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    "--disable-component-update",
)
CELL = 'td[data-cell="2-2-1"]'
"""Table 2, τ = 120K, 500K, GLUE."""
LUMINANCE = """(selector) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(document.querySelector(selector));
  return [light(style.color), light(getComputedStyle(document.body).backgroundColor)];
}"""
"""Relative luminance of an element's text and of the page's ground (WCAG 2.2)."""


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium with a profile of its own."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is missing: nox -s browser installs it"
    )
    if CHROMIUM is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(page, tmp_path_factory):
    """Where the page lies."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def open_page(browser, address):
    """Opens the page; at the end no message was logged, and nothing but the page requested."""
    opened = []

    def open_one(**options):
        context = browser.new_context(**options)
        tab = context.new_page()
        messages, requests = [], []
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(address)
        opened.append((context, messages, requests))
        return tab

    yield open_one
    for context, messages, requests in opened:
        context.close()
        assert messages == []
        assert {url for url in requests if not url.startswith(("data:", "blob:"))} == {address}


@pytest.fixture
def tab(open_page):
    """The page in a window of a usual size."""
    return open_page(viewport={"width": 1280, "height": 900})


def shown(tab, selector):
    """Text of the visible ones."""
    return tab.locator(selector).evaluate_all(
        "(nodes) => nodes.filter((node) => node.checkVisibility()).map((node) => node.innerText)"
    )


def open_numbers(tab):
    """Unfolds the list of numbers."""
    tab.locator("#all-numbers > summary").click()
    tab.locator("#numbers tbody tr").first.wait_for()


def open_origin(tab, cell):
    """Clicks a cell; its dialog, once it is open."""
    cell.click()
    dialog = tab.locator("#origin")
    dialog.wait_for(state="visible")
    return dialog


def contrast(tab, selector):
    """Of an element's text against the page's ground."""
    high, low = sorted(tab.evaluate(LUMINANCE, selector), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_numbers_are_filtered_by_words_table_and_verdict(tab):
    open_numbers(tab)
    count = tab.locator("#numbers output")
    every = int(count.inner_text().split()[0])
    tab.locator("#numbers [name=text]").fill("glue 120k")
    rows = shown(tab, "#numbers tbody tr")
    assert 0 < len(rows) < every and count.inner_text() == f"{len(rows)} of {every} numbers"
    assert all("glue" in row.casefold() and "120k" in row.casefold() for row in rows)
    tab.locator("#numbers [name=table]").select_option("2")
    assert all(row.startswith("2\t") for row in shown(tab, "#numbers tbody tr"))
    tab.locator("#numbers [name=verdict]").select_option("not run")
    assert all(row.endswith("not run") for row in shown(tab, "#numbers tbody tr"))


def test_claims_are_filtered_and_empty_parts_go(tab):
    tab.locator("#claims [name=paper]").select_option("inconsistent")
    cards = shown(tab, "#claims .card")
    assert cards and all("inconsistent" in card for card in cards)
    parts = tab.locator("#claims .part").all()
    assert [part.is_visible() for part in parts].count(False) > 0
    assert all(part.locator(".card:visible").count() for part in parts if part.is_visible())


def test_a_heading_sorts_up_then_down_then_as_it_was(tab):
    def column():
        rows = tab.locator("#numbers tbody tr")
        return rows.evaluate_all("(rows) => rows.map((row) => row.cells[5].innerText)")

    def numbers(texts):
        return [float(text.replace("×10", "e").replace("−", "-")) for text in texts]

    open_numbers(tab)
    before = column()
    heading = tab.locator("#numbers thead th").nth(5)
    heading.locator("button").click()
    known = [text for text in column() if re.fullmatch(r"[-+]?[\d.]+", text)]
    assert heading.get_attribute("aria-sort") == "ascending"
    assert numbers(known) == sorted(numbers(known)) and len(known) > 20
    assert column()[-1] == "–", "what isn't known comes last"
    heading.locator("button").press("Enter")
    known = [text for text in column() if re.fullmatch(r"[-+]?[\d.]+", text)]
    assert heading.get_attribute("aria-sort") == "descending"
    assert numbers(known) == sorted(numbers(known), reverse=True) and column()[-1] == "–"
    heading.locator("button").press(" ")
    assert heading.get_attribute("aria-sort") is None and column() == before


def test_a_table_as_printed_sorts_across_its_sections_and_back(tab):
    def labels():
        return tab.locator("#table2 tbody tr").evaluate_all(
            "(rows) => rows.map((row) => row.cells[0].innerText + ' ' + row.cells[1].innerText)"
        )

    before = labels()
    button = tab.locator("#table2 thead button").nth(3)
    button.click()
    # Higher τ and later checkpoints score higher (tests/records/synthetic_records.py).
    ran = [label for label in labels() if label != "60K 1M"]
    assert ran[0] == "0 500K" and ran[-1] == "∞ 1M"
    button.click()
    assert labels()[0] == "∞ 1M"
    button.click()
    assert labels() == before


def test_a_click_on_a_cell_shows_its_origin(tab):
    dialog = open_origin(tab, tab.locator(f"table.grid {CELL}"))
    assert dialog.locator("h2").inner_text() == "Table 2, τ 120K, Ckpt. 500K, GLUE"
    dialog.locator("summary").nth(1).click()
    text = dialog.inner_text()
    for words in (
        "41.63 ± 0.18",  # of 41.5 and 41.75
        "86.35 ± 0.13",
        "Mean over 2 runs of the suite's score",
        "base/s0/tau120K/500K/finetune-glue/f1",
        "41.7500",
        "cola matthews corrcoef",
        "base/s0/hybrid/0-120K → base/s0/tau120K/120K-500K",
        "c0ffee",
        "d" * 64,
        "2026-01-01T00:00:00+00:00, 10 s in 1 attempt",
        "analysis/schema/published/table2.csv, line 19",
        "repro explain 2 --row '120K 500K' --column GLUE",
    ):
        assert words in text, words
    assert traced_study.HOSTILE in text and dialog.locator("img").count() == 0
    tab.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert tab.evaluate("document.activeElement.dataset.cell") == "2-2-1"


def test_the_origin_of_a_cell_without_a_run_and_of_a_count(tab):
    dialog = open_origin(tab, tab.locator('table.grid td[data-cell="2-0-2"]'))
    assert "not run" in dialog.inner_text()
    dialog.locator(".close").click()
    dialog = open_origin(tab, tab.locator('table.grid td[data-cell="2-0-0"]'))
    assert "counted analytically from the profile" in dialog.inner_text()


def test_a_number_in_the_list_opens_its_cell_too(tab):
    open_numbers(tab)
    tab.locator("#numbers [name=text]").fill("120K 500K GLUE")
    tab.locator("#numbers [name=table]").select_option("2")
    dialog = open_origin(tab, tab.locator("#numbers tbody tr:not([hidden]) td").nth(2))
    assert dialog.locator("h2").inner_text() == "Table 2, τ 120K, Ckpt. 500K, GLUE"
    dialog.locator(".close").click()
    # A number of a table that is still folded.
    tab.locator("#numbers [name=table]").select_option("14")
    tab.locator("#numbers [name=text]").fill("")
    dialog = open_origin(tab, tab.locator("#numbers tbody tr:not([hidden]) td").nth(2))
    assert dialog.locator("h2").inner_text().startswith("Table 14, Base, τ ")


def test_arrows_enter_and_escape_do_it_from_the_keyboard(tab):
    tab.locator("#table2 thead button").last.focus()
    tab.keyboard.press("Tab")
    cell = "document.activeElement.dataset.cell"
    assert tab.evaluate(cell) == "2-0-0"
    for key, reached in (
        *(("ArrowDown", "2-1-0"), ("ArrowDown", "2-2-0"), ("ArrowRight", "2-2-1")),
        *(("End", "2-2-7"), ("ArrowRight", "2-2-7"), ("Home", "2-2-0"), ("ArrowRight", "2-2-1")),
    ):
        tab.keyboard.press(key)
        assert tab.evaluate(cell) == reached
    tab.keyboard.press("Enter")
    dialog = tab.locator("#origin")
    dialog.wait_for(state="visible")
    assert "2 runs" in dialog.inner_text()
    # The tab key stays inside an open dialog, or goes to the browser's own controls.
    for _ in range(8):
        tab.keyboard.press("Tab")
        assert tab.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    tab.keyboard.press("Escape")
    assert tab.evaluate(cell) == "2-2-1"
    # One stop a table: the cell where one was.
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Tab")
    assert tab.evaluate(cell) == "2-2-1"


def test_the_tab_key_walks_through_the_whole_page_and_shows_where_it_is(tab):
    open_numbers(tab)
    tab.evaluate("""() => {
      window.seen = [];
      document.addEventListener("focusin", ({ target }) => {
        const style = getComputedStyle(target);
        window.seen.push([
          style.outlineStyle !== "none" && style.outlineWidth !== "0px",
          target.tagName, target.className,
          target.dataset.cell ?? target.getAttribute("href") ?? target.name ?? "",
        ]);
      });
    }""")
    for _ in range(60):
        for _ in range(10):
            tab.keyboard.press("Tab")
        walked = tab.evaluate("window.seen")
        rounds = [at for at, one in enumerate(walked) if one[2] == "skip"]
        if len(rounds) > 1:
            break
    assert len(rounds) > 1, "it comes to the end and begins anew"
    seen = walked[rounds[0] : rounds[1]]
    assert [one for one in seen if not one[0]] == [], "without a mark"
    assert seen[0][2] == "skip" and seen[1][3] == "#registered"
    kinds = {(kind, name) for _, kind, name, _ in seen}
    assert {("BUTTON", "sort"), ("BUTTON", "enlarge"), ("SUMMARY", "")} <= kinds
    assert {"text", "ours", "paper", "table", "verdict"} <= {one[3] for one in seen}
    for number in range(1, 6):
        cells = [one[3] for one in seen if re.fullmatch(rf"{number}-\d+-\d+", one[3])]
        assert len(cells) == 1, f"one stop in Table {number}"


def test_a_figure_is_zoomed_with_keys_and_put_back(tab):
    figure = tab.locator("#figure4")
    image = figure.locator("img")
    figure.locator(".enlarge").press("Enter")
    svg = tab.locator("#zoom svg")
    assert svg.is_visible() and svg.locator("image").get_attribute("href") == image.get_attribute(
        "src"
    )
    whole = svg.get_attribute("viewBox")
    width = float(whole.split()[2])
    tab.keyboard.press("+")
    x, _, zoomed, _ = map(float, svg.get_attribute("viewBox").split())
    assert zoomed == pytest.approx(width / 1.4)
    tab.keyboard.press("ArrowRight")
    assert float(svg.get_attribute("viewBox").split()[0]) == pytest.approx(x + 0.1 * zoomed)
    tab.locator("#zoom .stage").hover()
    tab.mouse.wheel(0, -100)
    tab.wait_for_function(
        "(before) => Number(document.querySelector('#zoom svg').getAttribute('viewBox')"
        ".split(' ')[2]) < before",
        arg=zoomed * 0.9,
    )
    tab.locator("[data-zoom=whole]").click()
    assert list(map(float, svg.get_attribute("viewBox").split())) == list(map(float, whole.split()))
    tab.keyboard.press("-")
    assert float(svg.get_attribute("viewBox").split()[2]) == width, "no smaller than whole"
    tab.keyboard.press("Escape")
    assert tab.locator("#zoom svg").count() == 0
    # The tree is a drawing of the page itself, and goes back to its place.
    tree = tab.locator("#tree-base")
    tree.locator(".enlarge").click()
    assert svg.is_visible() and tree.locator("svg").count() == 0
    tab.keyboard.press("Escape")
    assert tree.locator("svg").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_both_legible(open_page, scheme):
    tab = open_page(color_scheme=scheme)
    ink, ground = tab.evaluate(LUMINANCE, "body")
    assert (ink < 0.1 < 0.8 < ground) if scheme == "light" else (ink > 0.6 > 0.1 > ground)
    for selector in ("body", ".lead", ".verdict.good", ".verdict.weak", ".verdict.bad", ".paper"):
        assert contrast(tab, selector) >= 4.5, selector
    # Figures take the page's ground and ink, though they are images.
    pixels = tab.evaluate("""async () => {
      const image = document.querySelector("#figure4 img");
      await image.decode();
      const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
      canvas.drawImage(image, 0, 0);
      return [...canvas.getImageData(1, 1, 1, 1).data];
    }""")
    assert (min(pixels[:3]) > 240) if scheme == "light" else (max(pixels[:3]) < 40)


def test_it_prints_in_light_without_what_only_a_screen_can_do(open_page):
    tab = open_page(color_scheme="dark")
    printed = tab.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert 10 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 60
    tab.emulate_media(media="print")
    assert tab.evaluate(LUMINANCE, "body")[0] < 0.1
    for hidden in ("#contents", "#numbers .scroll", ".enlarge", "#claims .filter"):
        assert not tab.locator(hidden).first.is_visible(), hidden
    for visible in ("#claims .card", "#table2 table", "#figure4 img", "#deviations table"):
        assert tab.locator(visible).first.is_visible(), visible


def test_a_phone_scrolls_tables_and_not_the_page(open_page):
    tab = open_page(viewport={"width": 360, "height": 700})
    open_numbers(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    assert tab.evaluate("document.querySelector('#table2 .scroll').scrollWidth") > 360


def test_without_its_script_the_results_are_there_and_a_command_for_the_rest(open_page):
    tab = open_page(java_script_enabled=False)
    for visible in ("#claims .card", "#figure4 img", "#table2 tbody tr"):
        assert tab.locator(visible).first.is_visible(), visible
    for inert in (".filter", "button", ".hint"):
        assert tab.locator(inert).count() == 0 or not tab.locator(f"{inert}:visible").count()
    tab.locator("#table6 > summary").click()
    assert tab.locator("#table6 noscript").inner_text().endswith("repro table 6")


def test_a_table_is_saved_as_csv(tab):
    with tab.expect_download() as saved:
        tab.locator("#table2 .csv").first.click()
    assert saved.value.suggested_filename == "table2.csv"
    text = Path(saved.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == tab.locator("#table2 tbody tr").count()
    (row,) = [row for row in rows if (row["τ"], row["Ckpt."]) == ("120K", "500K")]
    assert (row["GLUE, ours"], row["GLUE, paper"]) == ("41.63 ± 0.18", "86.35 ± 0.13")
    assert float(row["GLUE, difference"]) == pytest.approx(41.63 - 86.35, abs=0.02)


def test_a_link_to_what_is_folded_unfolds_it(tab):
    claim = tab.locator("#claims details.part:not([open]) .card").first.get_attribute("id")
    for name, selector in ((claim, f'[id="{claim}"]'), ("table14", "#table14 table")):
        content = tab.locator(selector).first
        assert not content.is_visible()
        tab.evaluate("(name) => { location.hash = name; }", name)
        content.wait_for(state="visible")


def test_a_link_of_the_contents_brings_its_section_to_the_top(open_page):
    """Though some have a list that is built then; before, the page is too short for the last."""
    tab = open_page(viewport={"width": 1280, "height": 700})
    links = tab.locator("#contents a")
    for target in links.evaluate_all("(links) => links.map((link) => link.hash)"):
        tab.locator(f'#contents a[href="{target}"]').click()
        tab.wait_for_function(
            "(name) => Math.abs(document.querySelector(name).getBoundingClientRect().y - 16) < 1",
            arg=target,
            timeout=10_000,
        )


def test_the_policy_stops_what_the_page_did_not_bring(browser, address):
    tab = browser.new_page()
    tab.goto(address)
    messages = []
    tab.on("console", lambda message: messages.append(message.text))
    tab.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.intruded = true";
      document.body.append(script);
      fetch("https://example.org/").catch(() => {});
      new Image().src = "https://example.org/x.png";
    }""")
    tab.wait_for_timeout(200)
    assert tab.evaluate("window.intruded") is None
    assert sum("Content Security Policy" in line for line in messages) >= 3
    tab.close()
