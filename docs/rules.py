"""Writes the pages of the doctor's rules, docs/rules/*.md, from the rules themselves: make docs."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from normwise.doctor.remedies import BY_NAME
from normwise.doctor.rule import Rule
from normwise.doctor.rules import RULES

FOLDER = Path(__file__).parent / "rules"
NOTE = "<!-- Written by docs/rules.py from src/normwise/doctor/rules: change it there, and run make docs. -->"

INDEX = """# The doctor's rules

What `normwise doctor`, `nw.watch` and `nw.examine` look for. A rule judges what was measured; it measures nothing.

| severity | means |
|---|---|
| `info` | worth knowing; nothing that was seen came of it |
| `warning` | a trouble: the training did not learn, is slow, diverged, or evaluates worse than it trains |
| `critical` | a trouble that leaves little or nothing of what the network could do |

A network is healthy if no finding is a `warning` or `critical`. A ratio alone makes neither: healthy networks have
large ones, too. Findings are ranked; the first is the root cause. `--ignore NW101` (or a name) leaves a rule out.
"""


def pages() -> dict[Path, str]:
    """The text of each page, by its file."""
    found = {FOLDER / f"{rule.id.lower()}.md": page(rule) for rule in RULES}
    return found | {FOLDER / "index.md": index()}


def index() -> str:
    """The table of all rules."""
    rows = [
        f"| [{rule.id}]({rule.id.lower()}.md) | `{rule.name}` | {_first_sentence(rule.meaning)} |"
        for rule in sorted(RULES, key=lambda rule: rule.id)
    ]
    return "\n".join([NOTE, "", INDEX, "| rule | name | what it is about |", "|---|---|---|", *rows, ""])


def page(rule: Rule) -> str:
    """A rule's page: what it means, evidence, threshold, source and remedies."""
    parts = [
        f"# {rule.id} `{rule.name}`",
        _filled(rule.meaning),
        *(
            f"## {title}\n\n{_filled(text)}"
            for title, text in (("Evidence", rule.evidence), ("Threshold", rule.threshold), ("Source", rule.source))
        ),
        "## Remedies",
        _remedies(rule),
        f"`normwise doctor --ignore {rule.id}` leaves this rule out. [All rules](index.md)",
    ]
    return "\n\n".join([NOTE, *parts]) + "\n"


def _remedies(rule: Rule) -> str:
    if not rule.remedies:
        return "None of the table: what a finding says is what to do."
    parts = [f"* `{name}`: {BY_NAME[name].words}\n{_code(BY_NAME[name].change)}" for name in rule.remedies]
    return "The likeliest first, with what to type in a loop of your own.\n\n" + "\n".join(parts)


def _code(change: str) -> str:
    """What somebody types, with names for the numbers that the settings give."""
    named = re.sub(r"{(\w+)(:\w+)?}", r"<\1>", change)
    return textwrap.indent(f"```python\n{named}\n```", "  ")


def _filled(text: str) -> str:
    return textwrap.fill(text, 130, break_on_hyphens=False, break_long_words=False)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.:])\s+(?=[A-Z])", text, maxsplit=1)[0]


def main() -> None:
    """Write the pages, and remove those of rules that are no more."""
    FOLDER.mkdir(exist_ok=True)
    wanted = pages()
    for path in set(FOLDER.glob("*.md")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    print(f"{len(wanted)} pages in {FOLDER}")


if __name__ == "__main__":
    main()
