from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from normwise.figures import curves, svg
from normwise.report import Entry, Group, Page, PageArm, PageFigure, Section, Table, render, write
from synthetic import record, study
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
    figures = [figure for group in page.groups for figure in group.figures]
    assert [attrs["aria-label"] for attrs in plots] == [
        figure.alt.replace(" %", "\N{NO-BREAK SPACE}%") for figure in figures
    ]
    assert [attrs["id"] for tag, attrs in reader.tags if tag == "figure"] == [f"figure-{f.name}" for f in figures]
    assert html.count("<figcaption>") == len(figures)


def test_figures_of_a_group_share_a_section_a_caption_and_a_line_of_the_contents(html):
    headings = ["Summary", "Training", "Inside", "Settings and machine", "Make this report again"]
    assert re.findall("<h2>(.*?)</h2>", html) == headings
    assert html.count("One caption for three figures.") == 1
    contents = re.findall('<li><a href="#(.*?)">(.*?)</a></li>', html)
    assert [heading for _, heading in contents] == headings
    for anchor, heading in contents:
        assert re.search(f'<section id="{anchor}">\\s*<h2>{heading}</h2>', html)


def test_ids_are_unique(html):
    ids = [attrs["id"] for _, attrs in Reader(html).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_nothing_is_fetched_and_only_the_pages_own_script_runs(html):
    tags = Reader(html).tags
    assert not [tag for tag, _ in tags if tag in ("iframe", "img", "object", "embed", "video")]
    addresses = [attrs[key] for _, attrs in tags for key in ("src", "href") if key in attrs]
    assert all(address.startswith(("#", "data:,")) for address in addresses)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html.partition("<script>")[0])
    policy = next(attrs["content"] for _, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-")
    (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "import(", "innerHTML", "eval("):
        assert word not in script


def embedded(html):
    return json.loads(re.findall('<script type="application/json" id="data">(.*?)</script>', html)[0])


def test_the_numbers_of_the_charts_are_embedded(html):
    data = embedded(html)
    assert [arm["name"] for arm in data["arms"]] == ["plain", "bn", "hot", "failed"]
    assert data["arms"][0]["batch"] == 60
    line = data["charts"]["accuracy"]["lines"][0]
    expected = curves.info(study(["plain"])).curves[0].main
    assert line["x"] == list(expected.steps)
    assert line["y"] == [float(f"{value:.6g}") for value in expected.mean]


def test_a_gap_is_null_and_a_name_cannot_end_the_script():
    run = record("</script><script>alert(1)</script>", steps=200)
    run.metrics[1]["test"]["accuracy"] = math.nan
    info = curves.info([run])
    figure = PageFigure("a", "t", "alt", svg(curves.draw(info), "a"), chart=curves.chart(info))
    arms = [PageArm(info.curves[0].arm, "#d55e00", 0)]
    html = render(Page("t", "v", groups=[Group("g", [figure])], arms=arms))
    data = embedded(html)
    assert data["charts"]["a"]["lines"][0]["y"][1] is None
    assert data["arms"][0]["name"] == run.settings["arm"]
    assert html.count("<script") == 2


def test_a_study_that_runs_is_read_again_and_one_that_ended_is_not(html):
    running = render(Page("t", "", progress="Running: 1 of 3 runs ended; 41 % of the steps."))
    assert '<meta http-equiv="refresh"' in running
    assert "1 of 3 runs ended" in running
    assert "verdict" not in Reader(running).tags
    assert "refresh" not in html


def test_a_figure_without_a_picture_has_its_words_for_those_without_scripts():
    info = curves.info([record(steps=200)])
    figure = PageFigure("a", "t", "the words", "", chart=curves.chart(info))
    assert "<noscript><p>the words</p></noscript>" in render(Page("t", "v", groups=[Group("g", [figure])]))


def test_everything_that_a_user_wrote_is_escaped():
    drawn = svg(curves.draw(curves.info([record(NASTY, steps=100)])), "a")
    page = Page(
        title=NASTY,
        verdict=NASTY,
        subtitle=NASTY,
        notes=[NASTY],
        tables=[Table(NASTY, [NASTY], [[NASTY]])],
        ranking=[NASTY],
        progress=NASTY,
        groups=[Group(NASTY, [PageFigure("a", NASTY, NASTY, drawn, NASTY)], NASTY)],
        facts=[Section(NASTY, [(NASTY, NASTY)])],
        command=NASTY,
        entries=[Entry(NASTY, NASTY, "alarm", NASTY, NASTY, [(NASTY, NASTY)], [(NASTY, [NASTY])])],
        advice=NASTY,
    )
    reader = Reader(render(page))
    assert "script" not in [tag for tag, _ in reader.tags]
    whole = [text for text in reader.text if text == NASTY]
    # <title>, title, progress, verdict, ranking, subtitle, note, table (3), group, its caption, figure's title and
    # caption, section, key, value; in the contents; the advice; of the entry its code, heading, label, text, a fact (2)
    # and a list (2)
    assert len(whole) == 27
    assert NASTY in [attrs.get("aria-label") for _, attrs in reader.tags]
    command = "".join(reader.text).partition("Make this report again")[2]
    assert NASTY in command


def test_a_page_with_only_a_verdict():
    html = render(Page("title", "Nothing to say."))
    assert "Nothing to say." in html
    for absent in ("<table", "<figure", "<pre", "<dl", "<ul", "<h2", "<script", "<nav"):
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
