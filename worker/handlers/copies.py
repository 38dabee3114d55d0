"""Copies of a command in the retry queues: which headers they carry, how a copy is recognised.

Rules: a record waits for one copy, that of its round. Only a worker can publish to `sms.requeue`,
so a round from there is trusted. `sms.lost` also gets commands whose headers a publisher chose.
There a round counts only with a seal: a keyed hash over round, message id and body (HMAC-SHA-256,
RFC 2104), which no publisher can make or see. A command may name its id in the body alone; its
copies bear the id as a property, so both ways name the same id.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from contracts.commands import own_message_id
from contracts.names import Header
from worker.handlers.decode import carried, first_seen, text_header

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from worker.domain.messages.message import Record
    from worker.ports.broker import Incoming

_SEPARATOR: Final = b"\x1f"


def copy_headers(key: bytes, incoming: Incoming, round_: int, now: datetime) -> dict[str, object]:
    """Headers of a copy that comes back for round `round_`; 0: there is no record yet."""
    seen: dict[str, object] = {Header.FIRST_AT: first_seen(incoming, now).isoformat()}
    return {**seen, **round_headers(key, incoming, round_)} if round_ else seen


def round_headers(key: bytes, incoming: Incoming, round_: int) -> dict[str, object]:
    """Headers that name the round of a copy, with its seal."""
    return {Header.ROUND: round_, Header.SEAL: _seal(key, incoming, round_)}


def proved(keys: Iterable[bytes], incoming: Incoming) -> Incoming:
    """The delivery, without its round header unless a worker wrote that header with a valid key."""
    seal = (text_header(incoming, Header.SEAL) or "").encode(errors="replace")
    round_ = carried(incoming, Header.ROUND)
    if any(hmac.compare_digest(seal, _seal(key, incoming, round_).encode()) for key in keys):
        return incoming
    headers = {name: value for name, value in incoming.headers.items() if name != Header.ROUND}
    return replace(incoming, headers=headers)


def is_copy(incoming: Incoming) -> bool:
    """Whether a worker handled the delivery before."""
    return Header.FIRST_AT in incoming.headers or Header.ERRORS in incoming.headers


def is_copy_of(incoming: Incoming, record: Record) -> bool:
    """Whether a delivery is the copy that a record waits for, or waited for last."""
    return 0 < carried(incoming, Header.ROUND) == record.round


def _seal(key: bytes, incoming: Incoming, round_: int) -> str:
    named = incoming.message_id or own_message_id(incoming.body) or ""
    ident = named.encode(errors="replace")
    content = _SEPARATOR.join((b"copy", str(round_).encode(), ident, incoming.body))
    return hmac.digest(key, content, "sha256").hex()
