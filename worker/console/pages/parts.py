"""Pieces of sentences that a browser writes in its own way: times, and what has passed since.

Rules: a line is made of plain text and of such pieces. The server writes each piece too, in UTC, so
that a page without JavaScript is complete.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from worker.console import formats

if TYPE_CHECKING:
    from datetime import datetime


class Tone(StrEnum):
    """How something is drawn; an icon or a word always says the same."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class When:
    """A time, in the reader's zone."""

    at: datetime
    seconds: bool = False
    """Whether seconds are shown."""

    def __str__(self) -> str:
        """In UTC."""
        return formats.clock(self.at, seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Age:
    """Words that change each second: how long ago something was, or how long it still lasts."""

    key: str
    """By which a stream sends the words that follow."""
    text: str
    """At the moment of the page."""

    def __str__(self) -> str:
        """The words."""
        return self.text


LOOKED: Final = "looked"
"""Key: how long ago the monitor looked."""
END: Final = "end"
"""Key: how long the session still lasts."""
Line = tuple[str | When | Age, ...]
"""One sentence or more."""


def plain(line: Line) -> str:
    """A line as text, with its times in UTC."""
    return "".join(map(str, line))


def listed(words: list[str]) -> str:
    """Words as people list them: `failures, speed and delivery`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
