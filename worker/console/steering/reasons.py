"""The reasons that a person gave lately, to be offered again."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contracts.answers import LogEntryView

MOST: Final = 5


def reasons_of(user: str, entries: Iterable[LogEntryView]) -> tuple[str, ...]:
    """The last reasons of a person, the newest first, each once.

    Args:
        user: the person.
        entries: of the history, the newest first.
    """
    given = (str(each.command.get("reason", "")) for each in entries if each.user == user)
    return tuple(islice(filter(None, dict.fromkeys(given)), MOST))
