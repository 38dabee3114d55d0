"""Overrides of users and branches: how they are spelled, and how many there may be.

Rules: users and branches have one spelling: keys that look alike are a problem, never two
overrides. Users that differ by case are two, as everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_OVERRIDES: Final = 1_000
_BRANCH: Final = re.compile("0|-?[1-9][0-9]{0,18}")
_INT64: Final = range(-(2**63), 2**63)
LONGEST_USER: Final = 128


def branch_key(text: str) -> int:
    """One spelling a number: what looks alike must not be two keys."""
    if _BRANCH.fullmatch(text) and int(text) in _INT64:
        return int(text)
    digits = any(char.isdigit() for char in text)
    raise ValueError("a whole number" + (" of at most 64 bit, written as 12" if digits else ""))


def user_key(text: str) -> str:
    """A user as `userId` can carry it. Raises `ValueError`, saying what was expected."""
    if not 0 < len(text) <= LONGEST_USER or not text.isprintable() or text != text.strip():
        raise ValueError(f"1 to {LONGEST_USER} printable characters, no blank at the ends")
    return text


def look(key: object) -> str:
    """How a key looks: the same for keys that people take for one. Case tells users apart."""
    return " ".join(unicodedata.normalize("NFKC", str(key)).split())
