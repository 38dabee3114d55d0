"""What the broker writes on a message that it takes out of a queue by itself.

Rules (`rabbit_dead_letter` of 3.10): each pair of queue and reason has one entry in `x-death`, the
newest first. A repeated death raises the entry's count and keeps everything else in it.
`x-first-death-*` is written once; 3.10 knows no `x-last-death-*`. The message loses its own
expiration, which the entry keeps.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.torture.simulation.broker.messages import Message

if TYPE_CHECKING:
    from tests.torture.simulation.broker.queues import Queue


def letter(message: Message, queue: Queue, exchange: str, reason: str, now: float) -> Message:
    """Return the message that goes to the dead-letter exchange.

    Args:
        message: what died.
        queue: where it died.
        exchange: the dead-letter exchange.
        reason: rejected, expired, maxlen or delivery_limit.
        now: seconds since the epoch.
    """
    death: dict[str, Any] = {
        "count": 1,
        "reason": reason,
        "queue": queue.name,
        "time": datetime.fromtimestamp(int(now), UTC),
        "exchange": message.exchange,
        "routing-keys": [message.key],
    }
    if message.expiration is not None:
        death["original-expiration"] = message.expiration
    headers = _with_death(message.headers, death)
    key = queue.settings.dead_letter_key or message.key
    return Message(message.body, exchange, key, headers, None, message.properties)


def _with_death(headers: dict[str, Any], death: dict[str, Any]) -> dict[str, Any]:
    earlier = headers.get("x-death")
    if not isinstance(earlier, list):
        first = {f"x-first-death-{key}": death[key] for key in ("reason", "queue", "exchange")}
        return {**headers, **first, "x-death": [death]}
    same = [each for each in earlier if _is_same(each, death)]
    others = [each for each in earlier if not _is_same(each, death)]
    newest = {**same[0], "count": same[0].get("count", 0) + 1} if same else death
    return {**headers, "x-death": [newest, *others]}


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (one.get("queue"), one.get("reason")) == (other["queue"], other["reason"])
