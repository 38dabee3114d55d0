"""Simulated providers: an account that takes SMS or does not, and the adapter that calls it.

Rules: the journal is the truth about what was taken. What an account does with a call is said by
its scenario: a state that lasts for a while, or its usual answer. The target gives its own message
id and no reference of ours; legacy gives no id and returns our id and epoch in its reports.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from tests.torture.judge.facts import Call
from tests.torture.simulation.wire import Lost, NoAnswer
from worker.domain.messages.account import AccountHealth
from worker.domain.messages.message import Delivery
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Outcome, Refused, Unknown
from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.torture.simulation.wire import Wire
    from worker.domain.messages.sms import Sms


class Manner(StrEnum):
    """How an account answers while a state lasts."""

    TAKES = "takes"
    UNAVAILABLE = "unavailable"
    """An answer that is documented as: not taken."""
    UNREACHABLE = "unreachable"
    """No connection can be made."""
    ERROR_TAKEN = "error, taken"
    """It takes the SMS and answers with an error that proves nothing."""
    ERROR = "error, not taken"
    """It does not take the SMS, and its error proves nothing."""
    SLOW = "slow"
    """It takes the SMS and answers late, but in time."""
    BUSY = "busy"
    """It asks to slow down."""
    NO_MONEY = "no money"
    """Our account has no balance."""
    HANGS = "hangs"
    """It takes the SMS and never answers."""
    DEAF = "deaf"
    """It neither takes the SMS nor answers."""


@dataclass(slots=True)
class Account:
    """One provider's side.

    Attributes:
        id: of the provider.
        names_ids: whether it gives its own message id, rather than returning ours in reports.
        now: true time, seconds since 1970.
        manners: how it answers now; the last one counts.
        refuses: recipients whom it refuses for good.
        opted_out: recipients who opted out at it.
        taken: called with each SMS that it took.
    """

    id: str
    names_ids: bool
    now: Callable[[], float]
    manners: list[Manner] = field(default_factory=lambda: [Manner.TAKES])
    refuses: set[str] = field(default_factory=set)
    opted_out: set[str] = field(default_factory=set)
    journal: list[Call] = field(default_factory=list)
    taken: Callable[[Sms, Call], None] = lambda _sms, _call: None

    @property
    def manner(self) -> Manner:
        """How it answers now."""
        return self.manners[-1]

    def receive(self, sms: Sms) -> Outcome | None:
        """Take a request; None: no answer ever comes."""
        if sms.to in self.opted_out or sms.to in self.refuses:
            self._note(sms, taken=False)
            return Refused("403", "recipient refused", opted_out=sms.to in self.opted_out)
        call = self._note(sms, taken=self.manner in _TAKING)
        if call.taken:
            self.taken(sms, call)
        return self._answer(call)

    def _note(self, sms: Sms, *, taken: bool) -> Call:
        reference = f"{self.id}-{len(self.journal) + 1}" if taken else None
        call = Call(sms.message_id, self.id, sms.to, self.now(), taken, reference)
        self.journal.append(call)
        return call

    def _answer(self, call: Call) -> Outcome | None:
        match self.manner:
            case Manner.TAKES | Manner.SLOW:
                return Accepted(call.reference if self.names_ids else None)
            case Manner.UNAVAILABLE | Manner.UNREACHABLE:
                return NotSent(Blame.PROVIDER, "503", "unavailable")
            case Manner.BUSY:
                return NotSent(Blame.PROVIDER, "429", "slow down", slow_down_s=2.0)
            case Manner.NO_MONEY:
                return NotSent(Blame.ACCOUNT, "402", "no balance")
            case Manner.ERROR | Manner.ERROR_TAKEN:
                return Unknown("500", "internal error")
            case Manner.HANGS | Manner.DEAF:
                return None


_TAKING = frozenset({Manner.TAKES, Manner.SLOW, Manner.ERROR_TAKEN, Manner.HANGS})
DOUBTFUL = frozenset({Manner.ERROR, Manner.ERROR_TAKEN, Manner.HANGS, Manner.DEAF})
"""Manners that leave it open if the SMS was taken."""
SLOW_S = 2.0


class SimulatedProvider:
    """The `Provider` port in front of an account.

    Args:
        account: the provider's side.
        wire: from our process to it.
        deadline_s: longest time for an answer.
    """

    gives_reports = True

    def __init__(self, account: Account, wire: Wire, deadline_s: float) -> None:
        self.id = account.id
        self._account = account
        self._wire = wire
        self._deadline_s = deadline_s

    async def send(self, sms: Sms) -> Outcome:
        """See `Provider.send`. Without an answer the SMS may have been taken."""
        if self._account.manner is Manner.UNREACHABLE:
            return NotSent(Blame.PROVIDER, "connect", "connection refused")
        slow = self._account.manner is Manner.SLOW
        try:
            outcome = await self._wire.call(
                f"provider.{self.id}.send", lambda: self._received(sms), within_s=self._deadline_s
            )
        except Lost:
            return Unknown("timeout", "no answer")
        if slow:
            await asyncio.sleep(SLOW_S)
        return outcome

    def _received(self, sms: Sms) -> Outcome:
        outcome = self._account.receive(sms)
        if outcome is None:
            raise NoAnswer
        return outcome

    async def check(self) -> AccountHealth:
        """See `Provider.check`."""
        healthy = self._account.manner is not Manner.NO_MONEY
        return AccountHealth(healthy, "fine" if healthy else "no balance")

    def read_report(self, kind: str, fields: Mapping[str, str]) -> DeliveryReport | OptOut | OptIn:
        """See `Provider.read_report`."""
        if kind == "optout":
            return OptOut(self.id, fields["to"])
        if kind == "optin":
            return OptIn(self.id, fields["to"])
        return DeliveryReport(
            provider=self.id,
            delivery=Delivery(fields["state"]),
            status=fields["state"],
            provider_message_id=fields.get("id"),
            message_id=fields.get("our-id"),
            epoch=int(fields["epoch"]) if "epoch" in fields else None,
            to=fields.get("to"),
        )

    async def close(self) -> None:
        """See `Provider.close`."""
