"""A guarded provider that answers as scripted, for the tests of the guard."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from worker.domain.messages.account import AccountHealth
from worker.domain.messages.message import Lane
from worker.domain.messages.outcome import Accepted, AccountFault, Blame, NotSent, Outcome
from worker.domain.messages.sms import Sms
from worker.ports.providers import BreakerState
from worker.providers.guard import ProviderGuard, ProviderPermit
from worker.settings.providers import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.messages.receipts import DeliveryReport, OptOut

SMS = Sms("m-1", 1, "+260977123456", "Hello", None, 60.0)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class HandClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class Scripted:
    """A provider that answers as told."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.outcome: Outcome | Exception = Accepted()
        self.health = AccountHealth(ok=True, reason="in order")
        self.takes_s = 0.1
        self.sent = 0
        self.checks = 0
        self.hold: asyncio.Event | None = None

    @property
    def id(self) -> str:
        return "target"

    async def send(self, _sms: Sms) -> Outcome:
        self.sent += 1
        outcome = self.outcome
        if self.hold:
            await self.hold.wait()
        self.clock.seconds += self.takes_s
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def check(self) -> AccountHealth:
        self.checks += 1
        return self.health

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class Harness:
    """A guard over a scripted provider."""

    def __init__(self, **settings: object) -> None:
        self.clock = HandClock()
        self.provider = Scripted(self.clock)
        self.reasons: list[str] = []
        self.faults: list[str | None] = []
        self.refusals: list[tuple[str, str, str]] = []
        values = {"id": "target", "kind": "http", "preset": "kannel", "base_url": "http://h"}
        self.guard = ProviderGuard(
            self.provider,
            ProviderSettings.model_validate(values | {"max_in_flight": 4} | settings),
            self.clock,
            lambda _id, _old, _new, reason: self.reasons.append(reason),
            lambda _id, fault: self.faults.append(fault),
            on_refusals=lambda *told: self.refusals.append(told),
        )

    async def send(
        self, outcome: Outcome | Exception, count: int = 1, *, refused: bool = False
    ) -> list[Outcome]:
        self.provider.outcome = outcome
        return [await self.once(refused=refused) for _ in range(count)]

    async def once(self, *, refused: bool = False) -> Outcome:
        permit = await self.admitted()
        try:
            outcome, _ = await permit.send(SMS, refused=refused)
        finally:
            permit.release()
        return outcome

    async def admitted(self) -> ProviderPermit:
        permit = await self.guard.permit(Lane.TRANSACTIONAL)
        assert permit.admit()
        return permit


PROVIDER_FAULT = NotSent(Blame.PROVIDER, "503", "unavailable")


async def settled(guard: ProviderGuard) -> None:
    async with asyncio.timeout(5):
        task = guard._confirming
        assert task is not None
        await task


AUTHENTICATION = NotSent(Blame.ACCOUNT, "401", "refused", account_fault=AccountFault.AUTHENTICATION)
