"""Reads from which queue, and why, the broker dead-lettered a message.

Rules:
- `x-death` lists the deaths of a message, the newest first; RabbitMQ 3.10 may list those behind it
  in any order. A copy from a retry tier died there first, so `x-first-death-*` is of no use.
- The newest death in one of the queues that the caller names counts.
- Newer brokers also name the last death in `x-last-death-*`. These headers are read only if the
  list names no such queue, because an older broker passes on whatever a publisher wrote there.
- Nothing here raises, whatever the headers hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

_REASONS: Final = frozenset({"rejected", "expired", "maxlen", "delivery_limit"})


@dataclass(frozen=True, slots=True)
class Death:
    """One death of a message."""

    queue: str
    reason: str
    """The reason as the broker names it."""


def newest_death(headers: Mapping[str, object], queues: Container[str]) -> Death | None:
    """The newest death in one of these queues; None: the headers name none."""
    for queue, reason in _deaths(headers):
        name = _text(queue)
        if name is not None and name in queues:
            why = _text(reason)
            return Death(name, why if why in _REASONS else "unknown reason")
    return None


def _deaths(headers: Mapping[str, object]) -> Iterator[tuple[object, object]]:
    listed = headers.get("x-death")
    for entry in listed if isinstance(listed, list | tuple) else ():
        if isinstance(entry, dict):
            yield entry.get("queue"), entry.get("reason")
    yield headers.get("x-last-death-queue"), headers.get("x-last-death-reason")


def _text(value: object) -> str | None:
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None
