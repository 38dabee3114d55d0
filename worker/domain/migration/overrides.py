"""Overrides of users and branches: the spelling of keys, and the number of overrides.

Rules: each user or branch has one spelling. Keys that look alike are a problem and never two
overrides. Users that differ by case are different users, as everywhere.
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
    """A number in its one spelling, so that numbers that look alike are not two keys."""
    if _BRANCH.fullmatch(text) and int(text) in _INT64:
        return int(text)
    digits = any(char.isdigit() for char in text)
    raise ValueError("a whole number" + (" of at most 64 bit, written as 12" if digits else ""))


def user_key(text: str) -> str:
    """Check a user as in `userId`. Raises `ValueError` with what was expected."""
    if not 0 < len(text) <= LONGEST_USER or not text.isprintable() or text != text.strip():
        raise ValueError(f"1 to {LONGEST_USER} printable characters, no blank at the ends")
    return text


def look(key: object) -> str:
    """A form of a key that is equal for keys that look alike. Case still matters."""
    return " ".join(unicodedata.normalize("NFKC", str(key)).split())
