"""Writes the gallery of reproduced studies, docs/reproductions/, from what is kept of them: make docs."""

from __future__ import annotations

import json
import re
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from normwise import figures
from normwise.figures import packing
from normwise.lab.reproduction.catalogue import study
from normwise.lab.reproduction.page import duration
from normwise.lab.reproduction.result import counted, tally
from normwise.lab.reproduction.study import Study, Verdict
from normwise.lab.studies import NAMES

FOLDER = Path(__file__).parent / "reproductions"
KEPT = Path(__file__).parents[1] / "benchmarks" / "results" / "reproductions"
WIDTH = 7.2
OTHER = re.compile(r"\d{4}|(?:[Aa]lgorithm|[Ff]igure|[Tt]able|[Ee]quation)s?\s+\d\w*(?:(?:,| and)\s*\d\w*)*")
"""Numbers in a source that are no sections."""
NOTE = "<!-- Written by docs/reproductions.py from benchmarks/results/reproductions: run make docs. -->"
SIGNS = {"holds": "✓", "does not hold": "✗", "undecided": "?"}

INDEX = """# The experiments of the paper and of the notes

Each was run by the command below its picture, at the scale that is said. A claim's threshold stands in the study's file
with its reason. It was written before the experiment was run, and changed afterwards only to say "undecided" where the
numbers cannot decide. ✓ holds, ✗ does not hold, ? is undecided: the numbers lie within noise. A claim that does not
hold is a finding: the words beside it say by how much. `normwise reproduce` lists the studies; `--scale quick` takes at
most two minutes each on two cores."""


def gallery(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """The page: what belongs to which note and section, and a part for each study."""
    every = {name: study(name) for name in NAMES if name in kept}
    verdicts = [Verdict(claim["verdict"]) for found in kept.values() for claim in found["claims"]]
    parts = [
        NOTE,
        INDEX,
        tally(verdicts, len(every)),
        _groups("section of the paper", {name: sections(one.source) for name, one in every.items()}),
        _groups("note", {name: one.notes for name, one in every.items()}),
        *(_part(one, kept[name]) for name, one in every.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def sections(source: str) -> list[str]:
    """The sections of the paper that a source names."""
    ours = [OTHER.sub("", part) for part in source.split(";") if "Ioffe" in part or "paper" in part]
    return [number for part in ours for number in re.findall(r"(?<![\w.])\d(?:\.\d)*(?!\.?\w)", part)]


def _groups(heading: str, found: Mapping[str, Iterable[str]]) -> str:
    groups: dict[str, list[str]] = {}
    for name, keys in found.items():
        for key in dict.fromkeys(keys):
            groups.setdefault(key, []).append(f"[{name}](#{name})")
    rows = [f"| {key} | {', '.join(groups[key])} |" for key in sorted(groups)]
    return "\n".join([f"| {heading} | studies |", "|---|---|", *rows]) if rows else ""


def _part(one: Study, found: Mapping[str, Any]) -> str:
    """A study: picture, what to see, claims with verdicts, and the command."""
    claims = [
        f"* {SIGNS[claim['verdict']]} **{claim['verdict']}**: {claim['claim']} {claim['words']}"
        for claim in found["claims"]
    ]
    picture = f"![{_escaped(found['figure']['alt'])}]({one.name}.svg)" if found["figure"] else ""
    verdict = counted([Verdict(claim["verdict"]) for claim in found["claims"]])
    data = f", {found['data']}" if found["data"] else ""
    took = f"scale {found['scale']}{data}, {duration(found['seconds']['clock'])} on {found['machine']['cores']} cores"
    said = [
        f"## {one.name}",
        f"**{one.title}.** {one.source}. {verdict[:1].upper()}{verdict[1:]}: {took}, {found['date']}.",
        picture,
        *(_filled(part) for part in one.see.split("\n\n")),
        "\n".join(_filled(claim, "  ") for claim in claims),
        f"```\n{found['command']}\n```",
    ]
    return "\n\n".join(part for part in said if part)


def _escaped(text: str) -> str:
    return re.sub(r"([\[\]])", r"\\\1", text)


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 130, break_on_hyphens=False, break_long_words=False, subsequent_indent=indent)


def picture(found: Mapping[str, Any]) -> bytes:
    """The main figure of a study as SVG."""
    drawn = found["figure"]
    info = packing.unpack(drawn["drawing"], drawn["info"])
    drawing = packing.module(drawn["drawing"])
    figure = drawing.draw(info) if drawn["drawing"] == "heatmap" else drawing.draw(info, width=WIDTH)
    with tempfile.TemporaryDirectory() as folder:
        svg, _ = figures.save(figure, Path(folder), found["study"], drawn["alt"])
        return svg.read_bytes()


def read() -> dict[str, dict[str, Any]]:
    """What is kept, by study, in the order of the catalogue."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in KEPT.glob("*.json")}
    return {name: found[name] for name in NAMES if name in found}


def main() -> None:
    """Write the page and its pictures, and remove those of studies that are no more."""
    FOLDER.mkdir(exist_ok=True)
    kept = read()
    drawn = {f"{name}.svg": picture(found) for name, found in kept.items() if found["figure"]}
    for path in FOLDER.glob("*.svg"):
        if path.name not in drawn:
            path.unlink()
    for name, content in drawn.items():
        (FOLDER / name).write_bytes(content)
    (FOLDER / "index.md").write_text(gallery(kept), encoding="utf-8")
    print(f"{len(kept)} studies in {FOLDER}")


if __name__ == "__main__":
    main()
