"""Delivery reports: what a provider says about a message after it took it.

Rules: a report may come before the response is stored, twice, out of order, or never. So a state
only moves forward, and the first final state stays. An unknown status is stored as it is and
changes no state.
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
"""Final states: no further report changes the attempt."""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """One delivery report, as the provider's adapter reads it."""

    provider: str
    delivery: Delivery | None
    """None: the status is not documented. It is stored and changes nothing."""
    status: str
    """The status as the provider spells it."""
    provider_message_id: str | None = None
    message_id: str | None = None
    """Our own id, if the gateway returns it (Kannel)."""
    epoch: int | None = None
    to: str | None = None
    """The recipient as the provider writes it, if the report names one."""
    reason: str | None = None
    network_code: str | None = None
    opted_out: bool = False
    """Whether it was not delivered because the recipient opted out of this sender."""


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A stored report, with the hash of its recipient instead of the number."""

    id: str
    report: DeliveryReport
    recipient_hash: str | None
    received_at: datetime
    traceparent: str | None = None
    """Of the span that took it, if its trace is recorded."""


@dataclass(frozen=True, slots=True)
class OptOut:
    """A callback: a subscriber opted out at the provider."""

    provider: str
    to: str
    """The number as the provider writes it."""
    sender_id: str | None = None
    """The sender id it is about; None: every sender."""


@dataclass(frozen=True, slots=True)
class OptIn:
    """A callback: a subscriber opted in again at the provider."""

    provider: str
    to: str
    """The number as the provider writes it."""
    sender_id: str | None = None
    """The sender id it is about; None: every sender."""


def moves(current: Delivery, reported: Delivery | None) -> bool:
    """Whether a report with this state changes the state of an attempt."""
    return reported is not None and RANK[reported] > RANK[current]
