from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from normwise.figures import curves, svg
from normwise.report import Page, PageFigure, Section, Table, render, write
from synthetic import record
from synthetic_page import VERDICT, full_page

NASTY = "<script>alert('x')</script> \"quoted\" & 'single' $x_1$ {{ 7 * 7 }}"


class Reader(HTMLParser):
    """The tags and the text of a page, as a browser sees them; fails where a tag is not closed."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open += [] if tag in self.VOID else [tag]

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page():
    return full_page()


@pytest.fixture(scope="module")
def html(page):
    return render(page)


def test_the_order_is_verdict_table_figures_settings_command(html):
    places = [html.index(part) for part in (f'class="verdict">{VERDICT[:2]}', "<table", "<figure", "<dl>", "<pre>")]
    assert places == sorted(places)


def test_headings_come_in_order(html):
    levels = [int(tag[1]) for tag, _ in Reader(html).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_figure_has_a_text_alternative_a_title_and_a_caption(page, html):
    reader = Reader(html)
    plots = [attrs for tag, attrs in reader.tags if attrs.get("role") == "img"]
    assert [attrs["aria-label"] for attrs in plots] == [figure.alt for figure in page.figures]
    assert [attrs["id"] for tag, attrs in reader.tags if tag == "figure"] == [f"figure-{f.name}" for f in page.figures]
    assert html.count("<figcaption>") == len(page.figures)


def test_figures_of_a_group_share_a_section(html):
    assert re.findall("<h2>(.*?)</h2>", html) == [
        "Summary",
        "Training",
        "Inside",
        "Settings and machine",
        "Make this report again",
    ]


def test_ids_are_unique(html):
    ids = [attrs["id"] for _, attrs in Reader(html).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_nothing_is_fetched_and_nothing_runs(html):
    tags = Reader(html).tags
    assert not [tag for tag, _ in tags if tag in ("script", "iframe", "img", "object", "embed", "video")]
    addresses = [attrs[key] for _, attrs in tags for key in ("src", "href") if key in attrs]
    assert all(address.startswith(("#", "data:,")) for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    policy = next(attrs["content"] for _, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


def test_everything_that_a_user_wrote_is_escaped():
    drawn = svg(curves.draw(curves.info([record(NASTY, steps=100)])), "a")
    page = Page(
        title=NASTY,
        verdict=NASTY,
        subtitle=NASTY,
        notes=[NASTY],
        tables=[Table(NASTY, [NASTY], [[NASTY]])],
        figures=[PageFigure("a", NASTY, NASTY, NASTY, drawn, NASTY)],
        facts=[Section(NASTY, [(NASTY, NASTY)])],
        command=NASTY,
    )
    reader = Reader(render(page))
    assert "script" not in [tag for tag, _ in reader.tags]
    whole = [text for text in reader.text if text == NASTY]
    # <title>, title, verdict, subtitle, note, table (3), group, figure's title and caption, section, key, value
    assert len(whole) == 14
    assert NASTY in [attrs.get("aria-label") for _, attrs in reader.tags]
    command = "".join(reader.text).partition("Make this report again")[2]
    assert NASTY in command


def test_a_page_with_only_a_verdict():
    html = render(Page("title", "Nothing to say."))
    assert "Nothing to say." in html
    for absent in ("<table", "<figure", "<pre", "<dl", "<ul", "<h2"):
        assert absent not in html


def test_the_columns_of_words_are_set_to_the_left():
    html = render(Page("t", "v", tables=[Table("c", ["arm", "norm", "n"], [["a", "batch", "3"]], text_columns=2)]))
    assert '<th scope="col" class="words">norm</th><th scope="col">n</th>' in html
    assert '<th scope="row" class="words">a</th><td data-label="norm" class="words">batch</td>' in html
    assert '<td data-label="n">3</td>' in html


def test_the_same_page_gives_the_same_text(html):
    assert render(full_page()) == html


def test_write_replaces_a_whole_file(tmp_path):
    path = tmp_path / "new" / "report.html"
    write(Page("first", "A much longer verdict that was here before."), path)
    write(Page("second", "Short."), path)
    assert path.read_text(encoding="utf-8") == render(Page("second", "Short."))
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_path_that_is_not_utf8_can_be_written(tmp_path):
    write(Page("title", "Data in caf\udce9."), tmp_path / "report.html")
    assert "Data in caf\\udce9." in (tmp_path / "report.html").read_text(encoding="utf-8")
