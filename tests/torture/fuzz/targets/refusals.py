"""What every refusal of a message must be: short, of one line each, and without what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.support.hostile import MARK, NUMBER
from tests.torture.fuzz.target import must
from tests.torture.fuzz.targets import documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
_IDS: Final = frozenset({"messageId", "message_id", "commandId", "command_id"})
_SHOWN: Final = 20
"""Characters shown of the name of a field."""
_NUMBERLIKE: Final = 7


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


def is_refusal(error: DecodeError, document: Any = None, own: str | None = None) -> str:
    """Check a refusal; return the behaviour.

    Args:
        error: the refusal.
        document: the body, if it is JSON. Its ids and the names of its fields may be shown.
        own: the id in the AMQP properties, which may be shown.
    """
    must(error.problems, "a refusal names its problems", error.reason)
    must(len(error.problems) <= MOST, "problems are bounded in number", len(error.problems))
    shown = [error.message_id, own, *_ids(document), *_names(document)]
    for line in (error.reason, *error.problems):
        is_line(line)
        quotes_nothing(line, shown)
    names = sorted({line.partition(":")[0][:20] for line in error.problems[:3]})
    return f"refused: {', '.join(name for name in names if name.isidentifier())}"


def _ids(document: Any) -> Iterator[str]:
    named = _IDS & document.keys() if isinstance(document, dict) else ()
    yield from (document[name] for name in named if isinstance(document[name], str))


def _names(document: Any) -> Iterator[str]:
    """How names of fields are shown: shortened, and not if they may be a number."""
    for name in documents.keys(document):
        if sum(map(str.isdigit, name)) < _NUMBERLIKE:
            yield name[:_SHOWN]
