"""Ports for calling a provider, and for its breaker and limits."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.messages.account import AccountHealth
    from worker.domain.messages.message import (
        Lane,
    )
    from worker.domain.messages.outcome import Outcome
    from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut
    from worker.domain.messages.sms import Sms


class Provider(Protocol):
    """Calls one SMS provider."""

    @property
    def id(self) -> str:
        """The configured id, in lower case."""
        ...

    @property
    def gives_reports(self) -> bool:
        """Whether delivery reports can come. Without them, delivery is "not applicable"."""
        ...

    async def send(self, sms: Sms) -> Outcome:
        """Call the provider once. Errors of provider or network are outcomes and never raise."""
        ...

    async def check(self) -> AccountHealth:
        """Check our account without sending a message. Never raises either."""
        ...

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut | OptIn:
        """Read a callback from the webhook (`kind` is `delivery`, `optout` or `optin`).

        Raises:
            ValueError: the callback names neither a message nor a recipient.
        """
        ...

    async def close(self) -> None:
        """Close connections. Idempotent."""
        ...


class BreakerState(StrEnum):
    """The state of a provider's circuit breaker, as published."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Permit(Protocol):
    """The right to call one provider once, from before the intent until after the outcome."""

    def admit(self) -> bool:
        """Ask the breaker before the intent. A half-open breaker admits one probe."""
        ...

    async def send(self, sms: Sms, *, refused: bool = False) -> tuple[Outcome, float]:
        """Call the provider; returns the outcome and the duration in milliseconds.

        `admit` must come first. The breaker gets the outcome before this returns.

        Args:
            sms: the SMS to send.
            refused: whether another provider refused it because of the message or the number. A
                failure then says nothing about this provider.
        """
        ...

    def release(self) -> None:
        """Give back the permit and an unused probe. Idempotent."""
        ...


class Guard(Protocol):
    """The breaker and limits of one provider."""

    @property
    def provider_id(self) -> str:
        """The id of the provider."""
        ...

    @property
    def state(self) -> BreakerState:
        """The breaker state, for events, heartbeats and status."""
        ...

    @property
    def fault(self) -> str:
        """The fault of our account there, until the breaker closes; empty: no fault."""
        ...

    def passable(self) -> bool:
        """Whether the breaker lets a call through now: it is closed, or a probe is due."""
        ...

    def probe_due_in(self) -> float:
        """Seconds until `passable` can become true; 0 if it is true."""
        ...

    def busy_for(self, lane: Lane) -> float:
        """Seconds until asking for a permit makes sense again; 0: one is free soon."""
        ...

    def permit_now(self, lane: Lane) -> Permit | None:
        """Take a permit (concurrency and rate) that is free now; None: there is none."""
        ...

    async def permit(self, lane: Lane) -> Permit | None:
        """Wait for a permit, transactional first; None: the wait would be too long."""
        ...

    def share_between(self, replicas: int) -> None:
        """Use `1 / replicas` of the account's limits. A cut acts at once, a rise after 5 s."""
        ...
