"""Numbers in a text as people read them."""

from __future__ import annotations

import re

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def read(text: str) -> str:
    """``7e-08`` as ``7·10⁻⁸``, ``1.2e+00`` as ``1.2``, ``5%`` as ``5 %`` and ``-1.2`` with a true minus."""
    powers = re.sub(r"(?<![\w.])(-?\d+(?:\.\d+)?)e([+-]\d{2,})\b", _power, text)
    spaced = re.sub(r"(?<=\d)%", " %", powers)
    return re.sub(r"(?<![\w.)\]])-(?=\d)", "\N{MINUS SIGN}", spaced)


def _power(found: re.Match[str]) -> str:
    if -2 < int(found[2]) < 3:
        return f"{float(found[0]):g}"
    digits, raised = found[1], f"10{str(int(found[2])).translate(RAISED)}"
    return raised if digits == "1" else f"{digits}·{raised}"
