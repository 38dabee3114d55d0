"""Reads the text of one field as what it holds.

Rules: pure and total: a value, or `Wrong` with what was expected and what came. Limits are those of
the contract. What may be a recipient's number or a whole document is never repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.console.steering.descriptions import LONGEST, Shape
from worker.domain.migration.flags_document import FlagsError
from worker.domain.migration.overrides import branch_key, user_key
from worker.settings import flags_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST_SHOWN: Final = 40
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_HALF: Final = re.compile("[\ud800-\udfff]")
_VERSION: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_PERCENTAGE: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_FULL: Final = 100
_INT64: Final = 2**63
PROVIDERS: Final = ("target", "legacy")


@dataclass(frozen=True, slots=True)
class Wrong:
    """A text that cannot be used."""

    text: str
    """What was expected, and what came."""


def read(shape: Shape, text: str) -> Any:
    """Return the value, or `Wrong`."""
    if not text:
        return Wrong(f"expected {expected(shape)}, got nothing")
    if len(text) > LONGEST[shape]:
        return Wrong(f"expected at most {LONGEST[shape]} characters, got {len(text)}")
    try:
        return _READERS[shape](text)
    except FlagsError as error:
        return Wrong(str(error))
    except ValueError:
        secret = shape in {Shape.NUMBER, Shape.DOCUMENT}
        got = counted(text) if secret else bounded(text)
        return Wrong(f"expected {expected(shape)}, got {got}")


def expected(shape: Shape) -> str:
    """Say what a field takes."""
    return _EXPECTED[shape].format(most=LONGEST[shape])


def _percentage(text: str) -> int:
    if not _PERCENTAGE.fullmatch(text) or int(text) > _FULL:
        raise ValueError
    return int(text)


def _version(text: str) -> int:
    if not _VERSION.fullmatch(text) or int(text) >= _INT64:
        raise ValueError
    return int(text)


def _line(text: str) -> str:
    if not _LINE.fullmatch(text) or _HALF.search(text):
        raise ValueError
    return text


def _user(text: str) -> str:
    return _line(user_key(text))


def _provider(text: str) -> str:
    if text not in PROVIDERS:
        raise ValueError
    return text


def _document(text: str) -> dict[str, Any]:
    if _HALF.search(text):
        raise ValueError
    return flags_file.read(text.encode())


_ONE_LINE: Final = "one line of 1 to {most} characters"
_EXPECTED: Final[Mapping[Shape, str]] = {
    Shape.PERCENTAGE: "a whole number from 0 to 100",
    Shape.VERSION: "a version number",
    Shape.BRANCH: "a whole number of at most 64 bit, written as 12",
    Shape.LINE: _ONE_LINE,
    Shape.USER: "1 to {most} printable characters",
    Shape.PROVIDER: " or ".join(PROVIDERS),
    Shape.NUMBER: _ONE_LINE,
    Shape.SENDER: _ONE_LINE,
    Shape.DOCUMENT: "a JSON object",
}
_READERS: Final[Mapping[Shape, Callable[[str], Any]]] = {
    Shape.PERCENTAGE: _percentage,
    Shape.VERSION: _version,
    Shape.BRANCH: branch_key,
    Shape.LINE: _line,
    Shape.USER: _user,
    Shape.PROVIDER: _provider,
    Shape.NUMBER: _line,
    Shape.SENDER: _line,
    Shape.DOCUMENT: _document,
}


def bounded(text: str) -> str:
    """Show what came; of a long text only its length."""
    if not text:
        return "nothing"
    printable = "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text
    )
    return f'"{printable}"' if len(text) <= _LONGEST_SHOWN else counted(text)


def counted(text: str) -> str:
    """Say how long a text is, without showing it."""
    return "1 character" if len(text) == 1 else f"{len(text)} characters"
