"""Counts the segments of a text.

Rules (3GPP TS 23.038 and 23.040):
- A text of the GSM 7-bit default alphabet and its extension table has room for 160 septets in one
  part, or 153 in each of several. Any other text has room for 70 UTF-16 units, or 67.
- A character of the extension table is two septets (ESC and one more). A character outside the
  basic plane is two units. Such a pair is never cut between parts.
- National shift tables are deliberately absent, because no provider of ours uses them.
- The count is an estimate. Providers bill by their own count and may append an opt-out text.
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
    """The encoding of a text on the network."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


_LIMITS: Final = {Encoding.GSM7: (160, 153), Encoding.UCS2: (70, 67)}
"""Units of a single part, and of each of several (their header takes six octets)."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Size of a text."""

    encoding: Encoding
    units: int
    """Septets (gsm7) or UTF-16 code units (ucs2)."""
    parts: int
    """The number of parts; 0 for the empty text."""


def count(text: str) -> Segments:
    """Count the parts of a text."""
    if _NOT_GSM.search(text):
        stuffed = _BEYOND_BASIC_PLANE.sub(_HIGH_SURROGATE + "x", text)
        return _count(stuffed, Encoding.UCS2, _HIGH_SURROGATE)
    return _count(_EXTENDED.sub(_ESC + "x", text), Encoding.GSM7, _ESC)


def _count(units: str, encoding: Encoding, lead: str) -> Segments:
    """Count the parts of a text with one character for each unit. A pair begins with `lead`."""
    alone, each = _LIMITS[encoding]
    if len(units) <= alone:
        return Segments(encoding, len(units), min(len(units), 1))
    parts = start = 0
    while start < len(units):
        start += each
        if start < len(units) and units[start - 1] == lead:
            start -= 1  # the whole pair moves into the next part
        parts += 1
    return Segments(encoding, len(units), parts)
