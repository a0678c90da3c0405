"""From a figure to SVG text and to files."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from normwise.figures import layout, style
from normwise.records.files import replace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_TYPEFACE = re.compile(r"font-family: [^;]*; ")


def svg(figure: Figure, name: str) -> str:
    """The figure as inline SVG: one ``<svg>`` element to put into an HTML page.

    The figure's heading is left out, for the page has its own (``title`` of the figure's module). Text stays text, in
    the page's typeface. There is a viewBox and no size, a transparent ground, no metadata and nothing that a browser
    would fetch; the same figure gives the same SVG.

    Args:
        figure: what ``draw`` returned.
        name: letters, digits and hyphens; the start of each id, so it must be unique in the page.
    """
    root = _parsed(figure, ground="none")
    _crop(root)
    _clean(root, name)
    dark = style.dark()
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", _COLOUR.sub(lambda found: _themed(found[0], dark), element.attrib["style"]))
    return _serialised(root).replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)


def save(figure: Figure, directory: Path, name: str, alt: str = "") -> tuple[Path, Path]:
    """Write ``<name>.svg`` and ``<name>.png`` (150 dots per inch), both on white.

    Args:
        figure: what ``draw`` returned.
        directory: made where it does not exist.
        name: the stem of the files.
        alt: what ``describe`` returned; the SVG carries it for screen readers.

    Returns:
        The two paths, SVG first. A file is replaced whole, so a reader never sees half of one.
    """
    root = _parsed(figure, ground="white")
    _clean(root, name)
    width, height = figure.get_size_inches()
    root.attrib |= {"width": f"{width * 96:g}", "height": f"{height * 96:g}", "role": "img", "aria-label": alt}
    paths = directory / f"{name}.svg", directory / f"{name}.png"
    directory.mkdir(parents=True, exist_ok=True)
    replace(paths[0], _serialised(root).encode())
    replace(paths[1], _rendered(figure, "png", dpi=150, facecolor="white", metadata={"Software": None}))
    return paths


def _rendered(figure: Figure, kind: str, **options: Any) -> bytes:
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context(style.settings()), _any_alphabet():
        figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


@contextmanager
def _any_alphabet() -> Iterator[None]:
    """Let names have letters that matplotlib's own typeface lacks: a browser has them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _parsed(figure: Figure, ground: str) -> ET.Element:
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    return ET.fromstring(_rendered(figure, "svg", facecolor=ground, metadata=metadata))


def _crop(root: ET.Element) -> None:
    """Drop the heading, the margin at its left and, unless notes stand next to it, the room that it takes."""
    groups = {group.get("id"): (parent, group) for parent in root.iter() for group in parent.findall(f"{_SVG}g")}
    if layout.HEADING_ID in groups:
        parent, heading = groups[layout.HEADING_ID]
        parent.remove(heading)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    left, top = 72 * layout.MARGIN, 0.0 if layout.NOTES_ID in groups else 72 * layout.HEADING - 4
    root.set("viewBox", f"{left:g} {top:g} {width - left:g} {height - top:g}")


def _clean(root: ET.Element, name: str) -> None:
    _number_ids(root, name)
    _prune(root)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"font-family": "sans-serif", "stroke-linejoin": "round", "stroke-linecap": "butt"}
    for element in root.iter():
        _tidy(element)


def _prune(root: ET.Element) -> None:
    """Drop the metadata, the style sheet (it would apply to the whole page) and groups with nothing in them."""
    for child in list(root):
        _prune(child)
        kind = child.tag.removeprefix(_SVG)
        if kind in ("metadata", "style") or (kind in ("g", "defs") and len(child) == 0):
            root.remove(child)
    root.tail = None
    if root.tag != f"{_SVG}text":
        root.text = None


def _tidy(element: ET.Element) -> None:
    """Leave out what says nothing, and the typeface: that is the page's."""
    if "style" in element.attrib:
        element.set("style", _TYPEFACE.sub("", element.attrib["style"]))
    if "d" in element.attrib:
        element.set("d", " ".join(element.attrib["d"].split()))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]


def _number_ids(root: ET.Element, name: str) -> None:
    """Keep only the ids that something refers to, numbered in the order of first reference: ``name-1``, ``name-2``."""
    for element in root.iter():
        if f"{_XLINK}href" in element.attrib:
            element.set("href", element.attrib.pop(f"{_XLINK}href"))
    numbered = {old: f"{name}-{place}" for place, old in enumerate(dict.fromkeys(_references(root)), start=1)}
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id" and value not in numbered:
                del element.attrib["id"]
            elif key == "id":
                element.set("id", numbered[value])
            elif key == "href" and not value.startswith("data:"):
                element.set(key, f"#{numbered[value.removeprefix('#')]}")
            else:
                element.set(key, _REFERENCE.sub(lambda found: f"url(#{numbered[found[1]]})", value))


def _references(root: ET.Element) -> Iterator[str]:
    for element in root.iter():
        if element.get("href", "data:").startswith("#"):
            yield element.attrib["href"].removeprefix("#")
        for value in element.attrib.values():
            yield from _REFERENCE.findall(value)


def _themed(light: str, dark: dict[str, str]) -> str:
    return f"var({style.variable(light)}, {light})" if light in dark else light


def _serialised(root: ET.Element) -> str:
    ET.register_namespace("", _SVG[1:-1])
    return ET.tostring(root, encoding="unicode")
