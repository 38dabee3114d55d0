"""How many parts a text takes on the air.

Rules (3GPP TS 23.038 and 23.040): a text of the GSM 7-bit default alphabet and its extension table
takes 160 septets, or 153 a part; any other takes 70 UTF-16 units, or 67 a part. A character of the
extension table is two septets (ESC and one more), one outside the basic plane two units; neither
pair is cut between parts. National shift tables are deliberately absent (no provider of ours
uses them). The count is an estimate: providers bill by their own, and may append an opt-out text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = "\f^{}\\[~]|€"
_ESC: Final = "\x1b"
_HIGH_SURROGATE: Final = "\ud800"

_NOT_GSM: Final = re.compile(f"[^{re.escape(_BASIC + _EXTENSION)}]")
_EXTENDED: Final = re.compile(f"[{re.escape(_EXTENSION)}]")
_BEYOND_BASIC_PLANE: Final = re.compile("[\U00010000-\U0010ffff]")


class Encoding(StrEnum):
    """How the text travels."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


_LIMITS: Final = {Encoding.GSM7: (160, 153), Encoding.UCS2: (70, 67)}
"""Units of a lone part, and of each part of several (six octets go to the concatenation header)."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Size of a text."""

    encoding: Encoding
    units: int
    """Septets (gsm7) or UTF-16 code units (ucs2)."""
    parts: int
    """0 for the empty text."""


def count(text: str) -> Segments:
    """Count the parts of a text."""
    if _NOT_GSM.search(text):
        stuffed = _BEYOND_BASIC_PLANE.sub(_HIGH_SURROGATE + "x", text)
        return _count(stuffed, Encoding.UCS2, _HIGH_SURROGATE)
    return _count(_EXTENDED.sub(_ESC + "x", text), Encoding.GSM7, _ESC)


def _count(units: str, encoding: Encoding, lead: str) -> Segments:
    """Count parts of text of which each character stands for one unit, pairs beginning `lead`."""
    alone, each = _LIMITS[encoding]
    if len(units) <= alone:
        return Segments(encoding, len(units), min(len(units), 1))
    parts = start = 0
    while start < len(units):
        start += each
        if start < len(units) and units[start - 1] == lead:
            start -= 1  # the pair goes whole into the next part
        parts += 1
    return Segments(encoding, len(units), parts)
