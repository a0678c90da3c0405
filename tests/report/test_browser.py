"""The report in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from normwise.doctor.page import write as write_diagnosis
from normwise.figures import curves, sweep
from normwise.lab import Comparison, compare
from normwise.lab.page import page_arms
from normwise.report import Group, Page, PageFigure, write
from synthetic import record, study
from synthetic_diagnosis import deep
from synthetic_page import VERDICT, full_page

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'normwise[test]'")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LONG = (
    "plain",
    "<script>alert(1)</script> he initialisation: activation=relu, init=he",
    "$x_1$ after the activation with momentum and an exponential schedule, and-one-word-that-is-far-too-long-to-fit-in",
    "hot",
)
SEEN = "figure .plot:not(.has-live) > svg, figure .live > svg"
TEXTS = "figure .plot:not(.has-live) > svg text, figure .live > svg text"
TEXT_CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report() -> Page:
    return full_page(LONG)


@pytest.fixture(scope="module")
def address(report, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write(report, path)
    return path.as_uri()


class Visit:
    """A page that was opened, with what its console said and what it asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.console: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("dialog", lambda dialog: self.console.append("a dialog opened"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address, wait_until="load")


@pytest.fixture(scope="module", params=[(1280, "light"), (1280, "dark"), (390, "light")], ids=str)
def visit(browser, address, request) -> Iterator[Visit]:
    width, scheme = request.param
    visit = Visit(browser, address, viewport={"width": width, "height": 844}, color_scheme=scheme)
    visit.page.wait_for_timeout(200)  # for a request that comes late
    yield visit
    visit.page.close()


def test_the_console_is_silent_and_nothing_is_fetched(visit, address):
    assert visit.console == []
    assert [url for url in visit.requests if url not in (address, "data:,")] == []


def test_the_verdict_is_in_sight_without_scrolling(visit):
    verdict = visit.page.locator(".verdict")
    assert verdict.inner_text() == VERDICT.replace(" %", "\N{NO-BREAK SPACE}%")
    box = verdict.bounding_box()
    assert box["y"] + box["height"] < 844
    title = visit.page.locator("h1").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert verdict.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") > 1.25 * title


def test_every_figure_is_visible_and_inside_the_page(visit, report):
    width = visit.page.viewport_size["width"]
    plots = visit.page.locator(SEEN)
    assert plots.count() == sum(len(group.figures) for group in report.groups)
    for box in boxes(plots):
        assert box["visible"]
        assert box["width"] > 290
        assert box["height"] > 150
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def boxes(elements: Any) -> list[dict[str, Any]]:
    """Where elements are, and whether they are seen; asked at once, because each question to the browser takes time."""
    return elements.evaluate_all(
        """all => all.map(e => {
            const {x, width, height} = e.getBoundingClientRect();
            return {x, width, height, visible: e.checkVisibility({visibilityProperty: true, opacityProperty: true})};
        })"""
    )


def test_the_page_does_not_scroll_sideways(visit):
    width = visit.page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= visit.page.viewport_size["width"]


def test_the_text_of_the_figures_is_legible(visit):
    heights = visit.page.locator(TEXTS).evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a)"
    )
    assert min(heights) >= 10


def test_the_text_of_the_figures_stays_inside_them(visit):
    over = visit.page.locator(TEXTS).evaluate_all(
        """all => all.filter(e => {
            const text = e.getBoundingClientRect(), svg = e.ownerSVGElement.getBoundingClientRect();
            return text.left < svg.left - 1 || text.right > svg.right + 1;
        }).map(e => e.textContent)"""
    )
    assert over == []


def test_names_are_shown_as_they_were_written(visit):
    for arm in LONG:
        assert visit.page.locator("tbody th").get_by_text(arm, exact=True).count() == 1


def test_text_stands_out_from_the_ground(visit):
    ground = rgb(visit.page, "body", "backgroundColor")
    for selector in ("h1", ".verdict", "td", "thead th", "figcaption", "dt", "dd", "footer"):
        assert contrast(rgb(visit.page, selector, "color"), ground) >= TEXT_CONTRAST, selector
    for ink in set(visit.page.locator(TEXTS).evaluate_all("all => all.map(e => getComputedStyle(e).fill)")):
        assert contrast(channels(ink), ground) >= TEXT_CONTRAST


@pytest.mark.parametrize(("width", "scheme"), [(1200, "dark"), (390, "light")])
def test_a_diagnosis_can_be_read_on_any_screen(browser, tmp_path, width, scheme):
    write_diagnosis(deep(), tmp_path / "report.html")
    visit = Visit(
        browser, (tmp_path / "report.html").as_uri(), viewport={"width": width, "height": 844}, color_scheme=scheme
    )
    test_the_page_does_not_scroll_sideways(visit)
    test_the_text_of_the_figures_is_legible(visit)
    test_the_text_of_the_figures_stays_inside_them(visit)
    page = visit.page
    ground = rgb(page, "body", "backgroundColor")
    for selector in (".advice code", ".entry p", ".entry dt", ".tone", ".entry code"):
        assert contrast(rgb(page, selector, "color"), ground) >= TEXT_CONTRAST, selector
    assert page.locator(".entry .symbol").count() == 3
    assert visit.console == []
    page.close()


def test_a_heat_map_tells_the_value_that_is_pointed_at(browser, tmp_path):
    diagnosis = deep()
    write_diagnosis(diagnosis, tmp_path / "report.html")
    page = Visit(browser, (tmp_path / "report.html").as_uri(), viewport={"width": 1200, "height": 900}).page
    shown = page.locator("#figure-update-by-layer svg").first
    shown.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    tip = page.locator("#figure-update-by-layer .tip")
    seen = diagnosis.evidence.trainings[0].watched.observations[1].weights[1]
    assert "hidden2, step 2" in tip.inner_text()
    digits = f"{seen.update / seen.weight:.1e}".partition("e")[0]
    assert digits.removesuffix(".0") in tip.inner_text()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.close()


def test_dark_follows_the_reader(browser, address):
    grounds = {}
    for scheme in ("light", "dark"):
        page = Visit(browser, address, color_scheme=scheme).page
        grounds[scheme] = luminance(rgb(page, "body", "backgroundColor"))
        page.emulate_media(media="print")
        assert luminance(rgb(page, "body", "backgroundColor")) == 1
        assert contrast(rgb(page, ".verdict", "color"), (255, 255, 255)) > TEXT_CONTRAST
        page.close()
    assert grounds["dark"] < 0.05 < 0.9 < grounds["light"]


def test_print_keeps_every_figure(browser, address):
    page = Visit(browser, address, viewport={"width": 720, "height": 1000}).page
    page.emulate_media(media="print")
    plots = page.locator("figure .plot > svg")
    assert all(box["visible"] and box["width"] > 200 for box in boxes(plots))
    assert not any(box["width"] for box in boxes(page.locator(".live, .controls, nav")))
    assert page.locator("figure").first.evaluate("e => getComputedStyle(e).breakInside") == "avoid"
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 720
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.close()


@pytest.fixture
def charts(browser, tmp_path) -> Iterator[Any]:
    """A page of two arms, three seeds each, whose first chart is the accuracy; and what it said and asked for."""
    write(full_page(("plain", "bn", "hot")), tmp_path / "report.html")
    visit = Visit(browser, (tmp_path / "report.html").as_uri(), viewport={"width": 1280, "height": 900})
    yield visit
    assert visit.console == []
    assert [url for url in visit.requests if not url.startswith(("file:", "data:"))] == []
    visit.page.close()


def lines(page: Any, arm: int) -> int:
    return page.locator(f'.plot[data-chart="accuracy"] .live > svg g.line[data-arm="{arm}"]').count()


def test_an_arm_that_is_switched_off_is_in_no_figure(charts):
    page = charts.page
    assert (lines(page, 0), lines(page, 1)) == (2, 2)
    page.get_by_role("checkbox", name="bn").uncheck()
    assert (lines(page, 0), lines(page, 1)) == (2, 0)
    for name in ("preactivations", "gradients", "activations"):
        assert page.locator(f"#figure-{name}-0").is_visible()
        assert not page.locator(f"#figure-{name}-1").is_visible()
    page.get_by_role("checkbox", name="bn").check()
    assert lines(page, 1) == 2
    assert page.locator("#figure-gradients-1").is_visible()


def test_the_keys_and_the_pointer_show_the_recorded_numbers(charts):
    page = charts.page
    run_means = curves.info(study(["plain", "bn"])).curves
    chart = page.locator('.plot[data-chart="accuracy"] .live > svg')
    chart.focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    tip = page.locator('.plot[data-chart="accuracy"] .tip')
    assert "training step 1,200" in tip.inner_text()
    for arm in run_means:
        test, train = (f"{100 * part.mean[12]:.1f} %" for part in arm.parts)
        row = tip.locator("tr", has_text=arm.arm)
        assert row.locator("td").all_inner_texts() == [test, train]
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 15, box["y"] + 100)
    assert "training step 5,000" in tip.inner_text()
    assert tip.locator("tr", has_text="hot").count() == 0  # its runs had diverged by then


def test_the_axis_can_be_epochs_and_seconds(charts):
    page = charts.page
    chart = page.locator('.plot[data-chart="accuracy"] .live > svg')
    tip = page.locator('.plot[data-chart="accuracy"] .tip')
    ends = {"epochs": "epoch 250", "examples": "training examples seen 300,000", "seconds": "seconds of training 3"}
    for axis, said in ends.items():
        page.locator("select").select_option(axis)
        chart.focus()
        page.keyboard.press("End")
        assert tip.inner_text().startswith(said)


def test_zoom_by_dragging_and_back(charts):
    page = charts.page
    chart = page.locator('.plot[data-chart="accuracy"] .live > svg')
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    before = chart.locator("text").all_text_contents()
    y = box["y"] + box["height"] - 60
    page.mouse.move(box["x"] + 150, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 250, y, steps=3)
    page.mouse.up()
    assert chart.locator("text").all_text_contents() != before
    page.get_by_role("button", name="Reset zoom").click()
    assert chart.locator("text").all_text_contents() == before


def test_lines_end_at_the_axes_of_a_zoom_and_triangles_say_where_they_go_on(browser, tmp_path):
    run = record(steps=400)
    for line, accuracy in zip(run.metrics, (0.1, 0.5, 0.9, 0.9, 0.5), strict=True):
        line["test"]["accuracy"] = line["train"]["accuracy"] = accuracy
    info = curves.info([run])._replace(limits=(0.4, 0.6))
    figure = PageFigure("a", "t", "alt", "", chart=curves.chart(info))
    write(Page("t", "v", groups=[Group("g", [figure])], arms=page_arms(["plain"], [run])), tmp_path / "report.html")
    page = Visit(browser, (tmp_path / "report.html").as_uri()).page
    found = page.evaluate("""() => {
        const box = (name) => {
            const {x, y, width, height} = document.querySelector(`.live > svg ${name}`).getBBox();
            return {x, y, width, height};
        };
        const marks = document.querySelectorAll(".live .marks .mark").length;
        return {mean: box("path.mean:not(.dashed)"), clip: box("clipPath rect"), axis: box(".axis"), marks};
    }""")
    mean, clip, axis = (found[name] for name in ("mean", "clip", "axis"))
    assert mean["y"] < clip["y"]  # the line goes on beyond the axis, where it is cut
    assert mean["y"] + mean["height"] > clip["y"] + clip["height"]
    assert clip["x"] >= axis["x"]
    assert clip["x"] + clip["width"] <= axis["x"] + axis["width"] + 1
    assert found["marks"] >= 2 * 2  # of both lines one triangle at the foot and one at the top
    page.close()


def test_the_readout_of_many_arms_has_the_best_first_and_says_how_many_it_left_out(browser, tmp_path):
    runs = [record(f"arm {place}", steps=200, pace=1 + place) for place in range(14)]
    info = curves.info(runs)
    figure = PageFigure("a", "t", "alt", "", chart=curves.chart(info))
    names = [curve.arm for curve in info.curves]
    write(Page("t", "v", groups=[Group("g", [figure])], arms=page_arms(names, runs)), tmp_path / "report.html")
    page = Visit(browser, (tmp_path / "report.html").as_uri(), viewport={"width": 1280, "height": 900}).page
    chart, tip = page.locator(".live > svg"), page.locator(".tip")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 100)
    best = sorted(runs, key=lambda run: -run.metrics[-1]["test"]["accuracy"])
    assert tip.locator("tr th:first-child span").all_inner_texts() == [run.settings["arm"] for run in best[:12]]
    assert "2 more" in tip.inner_text()
    assert tip.bounding_box()["width"] <= 0.6 * box["width"]
    page.close()


def test_a_tap_shows_the_values_and_keeps_them(browser, address):
    visit = Visit(browser, address, viewport={"width": 390, "height": 844}, has_touch=True)
    page = visit.page
    tips = {}
    for name in ("preactivations-0", "accuracy"):
        chart = page.locator(f'.plot[data-chart="{name}"] .live > svg')
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        page.touchscreen.tap(box["x"] + 150, box["y"] + 80)
        page.wait_for_timeout(100)
        tips[name] = page.locator(f'.plot[data-chart="{name}"] .tip')
        assert tips[name].is_visible()
        assert tips[name].locator("tr").first.inner_text().strip()  # no empty row
    assert not tips["preactivations-0"].is_visible()
    assert visit.console == []
    page.close()


def test_what_was_chosen_outlasts_reading_the_page_anew(charts):
    page = charts.page
    page.get_by_role("checkbox", name="bn").uncheck()
    page.get_by_role("checkbox", name="each seed").check()
    page.locator("select").select_option("epochs")
    page.locator('.plot[data-chart="accuracy"] .live > svg').focus()
    page.keyboard.press("+")
    page.reload()
    assert not page.get_by_role("checkbox", name="bn").is_checked()
    assert page.get_by_role("checkbox", name="each seed").is_checked()
    assert page.locator("select").input_value() == "epochs"
    assert lines(page, 1) == 0
    assert page.locator('.plot[data-chart="accuracy"] .reset').is_visible()


def test_the_readout_of_a_sweep_names_the_value_of_every_arm(browser, tmp_path):
    rates = [0.01 * 2**place for place in range(12)]  # more than there is room for at the axis
    arms = [f"arm {place}" for place in range(8)]
    info = sweep.info(study(arms, seeds=1, lrs=rates, steps=200), "lr")
    figure = PageFigure("a", "t", "alt", "", chart=sweep.chart(info))
    write(Page("t", "v", groups=[Group("g", [figure])], arms=page_arms(arms, [])), tmp_path / "report.html")
    page = Visit(browser, (tmp_path / "report.html").as_uri()).page
    page.locator(".live > svg").focus()
    page.keyboard.press("Home")
    tip = page.locator(".tip")
    assert "learning rate 0.01" in tip.inner_text()
    means = sorted((arm.points[0].mean for arm in info.arms), reverse=True)
    assert tip.locator("td").all_inner_texts() == [f"{100 * mean:.1f} %" for mean in means]
    page.keyboard.press("End")
    assert "learning rate 20.48" in tip.inner_text()
    page.close()


def test_a_run_that_diverged_before_the_first_evaluation_is_marked(browser, tmp_path):
    run = record("hot", steps=200, diverged=3, every=100)
    info = curves.info([run])
    figure = PageFigure("a", "t", "alt", "", chart=curves.chart(info))
    write(Page("t", "v", groups=[Group("g", [figure])], arms=page_arms(["hot"], [run])), tmp_path / "report.html")
    visit = Visit(browser, (tmp_path / "report.html").as_uri())
    (cross,) = boxes(visit.page.locator("g .cross"))
    assert visit.page.locator(".key").inner_text().split() == ["hot", "test", "train", "diverged"]
    (chart,) = boxes(visit.page.locator(".live > svg"))
    assert chart["x"] < cross["x"] < chart["x"] + chart["width"]
    texts = visit.page.locator(".live text").all_text_contents()
    assert {"0", "1", "2", "3"} <= set(texts)  # no fractions of a step
    assert "0.5" not in texts
    assert visit.console == []
    visit.page.close()


def test_each_seed_is_a_thin_line(charts):
    page = charts.page
    seeds = page.locator('.plot[data-chart="accuracy"] .live path.seed')
    assert seeds.count() == 0
    page.get_by_role("checkbox", name="each seed").check()
    assert seeds.count() == 3 * 3 * 2  # arms, seeds, and test and train


def test_without_scripts_there_are_the_pictures(browser, address, report):
    page = Visit(browser, address, java_script_enabled=False).page
    plots = boxes(page.locator("figure .plot > svg"))
    assert len(plots) == sum(len(group.figures) for group in report.groups)
    assert all(box["visible"] and box["width"] > 250 for box in plots)
    assert not page.locator("#controls").is_visible()
    page.close()


def rgb(page: Any, selector: str, style: str) -> tuple[float, ...]:
    return channels(page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{style}"))


def channels(colour: str) -> tuple[float, ...]:
    return tuple(float(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


def luminance(colour: tuple[float, ...]) -> float:
    """WCAG relative luminance."""
    shares = [channel / 255 for channel in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Comparison:
    out = tmp_path_factory.mktemp("comparison")
    return compare(out=out, steps=40, seeds=2, eval_every=10, lr=(0.2, 0.5), workers=0)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_of_a_real_comparison(browser, comparison, width):
    visit = Visit(browser, comparison.report.resolve().as_uri(), viewport={"width": width, "height": 844})
    page = visit.page
    assert visit.console == []
    assert len(visit.requests) == 1
    assert page.locator(".verdict").inner_text() == comparison.verdict.replace(" %", "\N{NO-BREAK SPACE}%")
    plots = boxes(page.locator(SEEN))
    assert len(plots) == len(comparison.figures)
    assert all(box["width"] > 250 and box["height"] > 150 for box in plots)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    page.close()


def test_numbers_have_a_minus_and_zero_has_none(browser):
    page = browser.new_page()
    numbers = files("normwise.report").joinpath("templates/numbers.js").read_text(encoding="utf-8")
    said = page.evaluate(
        f"(() => {{ {numbers}; return [roundTicks(-0.5, 0.5, 5).map((at) => written(at)), power(-1e-5)]; }})()"
    )
    assert said == [["−0.4", "−0.2", "0", "0.2", "0.4"], "−10⁻⁵"]
    page.close()
