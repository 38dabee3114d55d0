"""What a message's life asks of a provider and of its guard."""

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
    """One SMS provider on the wire."""

    @property
    def id(self) -> str:
        """Configured id, lower case."""
        ...

    @property
    def gives_reports(self) -> bool:
        """Whether delivery reports can come; without, delivery is "not applicable"."""
        ...

    async def send(self, sms: Sms) -> Outcome:
        """Call the provider once. Never raises for what the provider or the network does."""
        ...

    async def check(self) -> AccountHealth:
        """Ask for the account's health without sending anything. Never raises either."""
        ...

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut | OptIn:
        """Read a callback as the webhook took it (`kind` is `delivery`, `optout` or `optin`).

        Raises:
            ValueError: the callback names neither a message nor a recipient.
        """
        ...

    async def close(self) -> None:
        """Close connections. Idempotent."""
        ...


class BreakerState(StrEnum):
    """State of one provider's circuit breaker, as published."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Permit(Protocol):
    """The right to call one provider, held from before the intent until after the outcome."""

    def admit(self) -> bool:
        """Ask the breaker, synchronously, before the intent; in half-open: take the one probe."""
        ...

    async def send(self, sms: Sms, *, refused: bool = False) -> tuple[Outcome, float]:
        """Call the provider; returns the outcome and the duration in milliseconds.

        The breaker learns the outcome before this returns. Needs `admit` first.

        Args:
            sms: what is sent.
            refused: another provider refused it by its own fault or its number's: a failure then
                says nothing about this one.
        """
        ...

    def release(self) -> None:
        """Give the permit (and an unused probe) back. Idempotent."""
        ...


class Guard(Protocol):
    """Breaker and limits in front of one provider."""

    @property
    def provider_id(self) -> str:
        """Id of the guarded provider."""
        ...

    @property
    def state(self) -> BreakerState:
        """For events, heartbeats and status."""
        ...

    @property
    def fault(self) -> str:
        """What is wrong with our account there, until the breaker closes; empty: nothing."""
        ...

    def passable(self) -> bool:
        """Whether a call would be let through now: closed, or a probe is due and free."""
        ...

    def probe_due_in(self) -> float:
        """Seconds until `passable` can become true; 0 when it is."""
        ...

    def busy_for(self, lane: Lane) -> float:
        """Seconds until it is worth asking for a permit again; 0: one can be had soon."""
        ...

    def permit_now(self, lane: Lane) -> Permit | None:
        """A permit (concurrency and rate) that is free at once; None: there is none."""
        ...

    async def permit(self, lane: Lane) -> Permit | None:
        """Wait for a permit, transactional first; None: the provider is too slow to wait for."""
        ...

    def share_between(self, replicas: int) -> None:
        """Take `1 / replicas` of the account's limits: falling at once, rising after 5 s."""
        ...
