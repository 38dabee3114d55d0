"""What a shut gate still needs: numbers, and the words that are made of them.

Rules: words are made here alone, so a number and its words cannot differ. A number that is not
known is None, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HOURS, _DAYS_H = 2.0, 48.0
"""From how many hours on a time is given in hours and in days."""
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Missing:
    """What a gate still needs."""

    words: str
    outcomes: int | None = None
    """How many more outcomes, if they are what it needs."""
    seconds: float | None = None
    """Time until the gate opens at today's rate; None: not known, or time alone does not open it.
    """


def only_words(words: str, seconds: float | None = None) -> Missing:
    """Something else than outcomes, which may end by itself after some seconds."""
    return Missing(words, seconds=seconds)


def time_left(seconds: float) -> Missing:
    """Time alone opens the gate."""
    return Missing(f"{seconds / _MINUTE_S:.1f} min", seconds=seconds)


def counted(outcomes: int, per_s: float) -> Missing:
    """A number of outcomes that is known; `per_s` come each second at present."""
    if not per_s:
        return Missing(f"{outcomes} outcomes; none come at present", outcomes)
    seconds = outcomes / per_s
    words = f"{outcomes} outcomes, about {seconds / _MINUTE_S:.1f} min at the present rate"
    return Missing(words, outcomes, seconds)


def estimated(messages: int, per_s: float, *, without_failure: bool) -> Missing:
    """A number of messages that is expected to do.

    Args:
        messages: how many more.
        per_s: how many come each second at present.
        without_failure: whether the number supposes that none of them fails.
    """
    wanted = f"about {messages} messages" + (" without a failure" if without_failure else "")
    if not per_s:
        return Missing(f"{wanted}; none come at present", messages)
    seconds = messages / per_s
    return Missing(f"{wanted}, {_time(seconds)} at the present rate", messages, seconds)


def _time(seconds: float) -> str:
    """As people say it, to two figures or more."""
    minutes = seconds / _MINUTE_S
    hours = minutes / 60.0
    if hours < _HOURS:
        return f"{minutes:.0f} min"
    return f"{hours:.0f} h" if hours < _DAYS_H else f"{hours / 24.0:.1f} days"
