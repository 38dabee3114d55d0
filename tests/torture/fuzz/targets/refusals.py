"""What every refusal of a message must be: short, of one line each, and without what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.support.hostile import MARK, NUMBER
from tests.torture.fuzz.target import must

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contracts.codec import DecodeError

LONGEST: Final = 600
"""Characters of a problem."""
MOST: Final = 21
"""Problems of one message, with the line that counts the others."""
_PART: Final = 8
"""Characters of a text or number that are enough to know it by."""
SECRETS: Final = tuple(
    whole[begins : begins + _PART]
    for whole in (MARK, NUMBER.removeprefix("+"))
    for begins in range(len(whole) - _PART + 1)
)
"""Parts of the text and the number that seeds bear."""


def quotes_nothing(text: str, shown: Iterable[str | None] = ()) -> None:
    """A text holds nothing of a message's text and number.

    Args:
        text: what may be logged, stored or published.
        shown: values that it may show, because they are ids.
    """
    for each in shown:
        text = text.replace(each, "") if each else text
    found = [secret for secret in SECRETS if secret in text]
    must(not found, "no text or number of the message in what is logged", text[:LONGEST])


def is_line(text: str) -> None:
    """A text is one short line."""
    must(0 < len(text) <= LONGEST, "a reason is short", f"{len(text)} characters: {text[:200]}")
    must(text.isprintable(), "a reason is one line without control characters", repr(text[:200]))


def is_refusal(error: DecodeError, shown: Iterable[str | None] = ()) -> str:
    """Check a refusal; return the behaviour."""
    must(error.problems, "a refusal names its problems", error.reason)
    must(len(error.problems) <= MOST, "problems are bounded in number", len(error.problems))
    for line in (error.reason, *error.problems):
        is_line(line)
        quotes_nothing(line, (error.message_id, *shown))
    names = sorted({line.partition(":")[0][:20] for line in error.problems[:3]})
    return f"refused: {', '.join(name for name in names if name.isidentifier())}"
