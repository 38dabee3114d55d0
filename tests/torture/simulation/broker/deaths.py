"""What the broker writes on a message that it takes out of a queue by itself.

Rules (`rabbit_dead_letter` of 3.10):
- Each pair of queue and reason has one entry in `x-death`. A repeated death raises its count and
  keeps everything else in it.
- The newest death comes first; with each further one, those behind it change their order.
- `x-first-death-*` is written once; 3.10 knows no `x-last-death-*`.
- The message loses its own expiration, which the entry keeps.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.torture.simulation.broker.messages import Message

if TYPE_CHECKING:
    from tests.torture.simulation.broker.queues import Queue


def letter(message: Message, queue: Queue, reason: str, now_ms: float) -> Message:
    """Return the message that goes to the dead-letter exchange.

    Args:
        message: what died.
        queue: where it died.
        reason: rejected, expired, maxlen or delivery_limit.
        now_ms: milliseconds since the epoch.
    """
    headers = _with_death(message.headers, _death(message, queue.name, reason, now_ms))
    key, copies_to = queue.settings.dead_letter_key, message.copies_to
    if key is not None:
        headers.pop("CC", None)
        copies_to = ()
    return Message(
        message.body,
        queue.settings.dead_letter_exchange or "",
        message.key if key is None else key,
        headers,
        None,
        message.properties,
        copies_to,
    )


def _death(message: Message, queue: str, reason: str, now_ms: float) -> dict[str, Any]:
    death: dict[str, Any] = {
        "count": 1,
        "reason": reason,
        "queue": queue,
        "time": datetime.fromtimestamp(now_ms // 1000, UTC),
        "exchange": message.exchange,
        "routing-keys": [message.key, *message.headers.get("CC", ())],
    }
    if message.expiration is not None:
        death["original-expiration"] = message.expiration
    return death


def _with_death(headers: dict[str, Any], death: dict[str, Any]) -> dict[str, Any]:
    if "x-death" not in headers:
        first = {f"x-first-death-{key}": death[key] for key in ("reason", "queue", "exchange")}
        return {**headers, **first, "x-death": [death]}
    if not isinstance(headers["x-death"], list):
        return {**headers, "x-death": [death]}
    others = _grouped([each for each in headers["x-death"] if isinstance(each, dict)])
    same = others.pop(_key(death), None)
    newest = death if same is None else {**same, "count": same.get("count", 0) + 1}
    return {**headers, "x-death": [newest, *others.values()]}


def _grouped(died: list[dict[str, Any]]) -> dict[tuple[Any, Any], dict[str, Any]]:
    """One entry for each queue and reason; a publisher may have written anything."""
    if len(died) == 1:
        return {_key(died[0]): died[0]}
    grouped: dict[tuple[Any, Any], dict[str, Any]] = {}
    for each in died:
        alike = sum(_key(other) == _key(each) for other in died)
        grouped.setdefault(_key(each), {"count": alike, **each})
    return dict(reversed(grouped.items()))


def _key(death: dict[str, Any]) -> tuple[Any, Any]:
    return death.get("queue"), death.get("reason")
