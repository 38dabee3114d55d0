"""Delivery reports: what a provider says about an attempt after it took it.

Rules: reports come before the response is stored, twice, out of order, or never; so a state only
moves forward and the first final state stays. An unknown status is kept raw and moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.messages.message import Delivery

if TYPE_CHECKING:
    from datetime import datetime

RANK: Final = {
    Delivery.NONE: 0,
    Delivery.SUBMITTED: 1,
    Delivery.UNDELIVERED: 2,
    Delivery.DELIVERED: 2,
}

FINAL: Final = frozenset({Delivery.UNDELIVERED, Delivery.DELIVERED})
"""States after which no further report changes the attempt."""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """One delivery report, read by the adapter of the provider that sent it."""

    provider: str
    delivery: Delivery | None
    """None: a status nobody documented; stored, moves nothing."""
    status: str
    """As the provider spelled it."""
    provider_message_id: str | None = None
    message_id: str | None = None
    """Our own id, from gateways that give it back (Kannel)."""
    epoch: int | None = None
    to: str | None = None
    """The recipient as the provider wrote it, where the report names one."""
    reason: str | None = None
    network_code: str | None = None
    opted_out: bool = False
    """It was not delivered because the recipient wants no messages of this sender."""


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report as kept: with the hash of its recipient instead of the number."""

    id: str
    report: DeliveryReport
    recipient_hash: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class OptOut:
    """A subscriber told the provider that no more messages are wanted."""

    provider: str
    to: str
    """As the provider wrote it."""
    sender_id: str | None = None
    """Whose messages; None: everybody's."""


@dataclass(frozen=True, slots=True)
class OptIn:
    """A subscriber told the provider that messages are wanted again."""

    provider: str
    to: str
    """As the provider wrote it."""
    sender_id: str | None = None
    """Whose messages; None: everybody's."""


def moves(current: Delivery, reported: Delivery | None) -> bool:
    """Whether a report changes the state of an attempt."""
    return reported is not None and RANK[reported] > RANK[current]
