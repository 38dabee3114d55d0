"""Counts the parts of a text as networks bill them (3GPP TS 23.038).

Rules: the provider counts independently. This is deliberately not the worker's code, so that a
mistake in one shows as a difference to the other.
"""

from __future__ import annotations

from typing import Final

_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED: Final = frozenset("\f^{}\\[~]|€")


def parts(text: str) -> int:
    """Count the parts of a text: 160 or 153 septets, else 70 or 67 UTF-16 units; at least one.

    No character is split over two parts.
    """
    if not _GSM.issuperset(text):
        return _wide_parts(text)
    return 1 if len(text) <= 160 else -(-len(text) // 153)  # noqa: PLR2004  named above


def _wide_parts(text: str) -> int:
    if _GSM.union(_ESCAPED).issuperset(text):
        return _count([2 if char in _ESCAPED else 1 for char in text], alone=160, joined=153)
    return _count(
        [len(char.encode("utf-16-le", "replace")) // 2 for char in text], alone=70, joined=67
    )


def _count(sizes: list[int], *, alone: int, joined: int) -> int:
    if sum(sizes) <= alone:
        return 1
    count, used = 1, 0
    for size in sizes:
        if used + size > joined:
            count, used = count + 1, 0
        used += size
    return count
