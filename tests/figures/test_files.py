from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from normwise.figures import activations, curves, gradients, layout, preactivations, save, style, svg, sweep
from synthetic import record, study

NASTY = ["<script>alert(1)</script>", 'a "quote" & $x_1$', "_100%_^2", "a]]>b", "学習率 \\$5", "x\ny\x07"]


def drawings():
    runs = study(lrs=[0.02, 0.2])
    one = runs[:2]
    yield curves.draw(curves.info(runs))
    yield curves.draw(curves.info([*runs, record("hot", diverged=300)], "loss"))
    yield preactivations.draw(preactivations.info(one))
    yield gradients.draw(gradients.info(one))
    yield activations.draw(activations.info(one))
    yield sweep.draw(sweep.info(runs, "lr"))


@pytest.fixture(scope="module")
def svgs():
    return [svg(figure, f"figure{place}") for place, figure in enumerate(drawings())]


def test_the_same_figure_gives_the_same_svg(svgs):
    assert [svg(figure, f"figure{place}") for place, figure in enumerate(drawings())] == svgs


def test_ids_are_unique_in_a_page_and_every_reference_is_met(svgs):
    page = "".join(svgs)
    ids = re.findall(r'\bid="([^"]+)"', page)
    references = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {one or other for one, other in references} == set(ids)


def test_an_svg_holds_nothing_that_a_browser_would_fetch_and_no_style_for_the_page(svgs):
    for text in svgs:
        assert "://" not in text
        assert "<style" not in text
        assert "<!DOCTYPE" not in text
        assert "metadata" not in text


def test_an_svg_scales_and_takes_the_pages_typeface(svgs):
    for text in svgs:
        root = ET.fromstring(text)
        assert root.attrib.keys() >= {"viewBox"}
        assert not root.attrib.keys() & {"width", "height"}
        assert root.findall(".//text")
        assert "DejaVu" not in text


def test_every_colour_follows_the_page(svgs):
    for text in svgs:
        bare = re.sub(r"var\(--nw-([0-9a-f]{6}), #\1\)", "", text)
        assert not re.search(r"#[0-9a-f]{6}\b", bare)
        used = {f"#{colour}" for colour in re.findall(r"--nw-([0-9a-f]{6})", text)}
        assert used <= style.dark().keys()


def test_the_text_is_at_least_ten_points(svgs):
    for text in svgs:
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", text)]
        assert min(sizes) >= 10
        assert float(ET.fromstring(text).attrib["viewBox"].split()[2]) <= 358  # so 10 points are at least 10 CSS pixels


@pytest.mark.parametrize("name", NASTY)
def test_names_are_drawn_literally(name):
    text = svg(curves.draw(curves.info([record(name, steps=200)])), "a")
    drawn = ["".join(element.itertext()) for element in ET.fromstring(text).iter("text")]
    assert layout.plain_text(name) in drawn
    assert "<script" not in text


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("module", [preactivations, gradients, activations])
def test_names_are_drawn_literally_in_headings(module, name, tmp_path):
    path, _ = save(module.draw(module.info([record(name[:15], steps=200)])), tmp_path, "a")
    texts = ["".join(element.itertext()) for element in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith(layout.plain_text(name[:15])) for text in texts)


def test_inline_the_heading_is_left_to_the_page(tmp_path):
    figure = gradients.draw(gradients.info([record(steps=200)]))
    path, _ = save(figure, tmp_path, "a")
    assert "gradient norm by layer" in path.read_text(encoding="utf-8")
    assert "gradient norm by layer" not in svg(figure, "a")


def test_save_writes_a_standalone_svg_and_a_png(tmp_path):
    figure = curves.draw(curves.info(study(seeds=1)))
    paths = save(figure, tmp_path / "new" / "folder", "accuracy", 'says "this" & <that>')
    root = ET.parse(paths[0]).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["aria-label"] == 'says "this" & <that>'
    assert "var(" not in paths[0].read_text(encoding="utf-8")
    assert 'style="fill: #ffffff"' in paths[0].read_text(encoding="utf-8")
    assert [path.name for path in sorted(paths[0].parent.iterdir())] == ["accuracy.png", "accuracy.svg"]
    assert paths[1].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    width = int.from_bytes(paths[1].read_bytes()[16:20])
    assert width == round(150 * layout.WIDTH)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    info = curves.info(study(seeds=1))
    first, second = (save(curves.draw(info), tmp_path / part, "accuracy") for part in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_figures_and_report_are_imported_without_torch_matplotlib_or_jinja():
    code = "import sys, normwise.figures, normwise.report; print({'torch', 'matplotlib', 'jinja2'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_pyplot_is_never_imported():
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from synthetic import study
from normwise.figures import curves, svg
svg(curves.draw(curves.info(study(seeds=1))), "a")
print("matplotlib.pyplot" in sys.modules)
"""
    folder = __file__.rpartition("figures")[0]
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
