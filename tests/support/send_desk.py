"""A handler of `SendSms` with its parts in memory, for the tests of what it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.fakes import KEY, Harness, Lanes, Publisher, incoming
from worker.domain.messages.message import Attempt, Lane, OnUnknown
from worker.domain.messages.outcome import Blame, NotSent, Unknown
from worker.handlers.decode import CommandDecoder
from worker.handlers.message_events import Announcer
from worker.handlers.send import SendHandler
from worker.handlers.settle import Settler
from worker.numbers import normaliser
from worker.ports.broker import Incoming, Settlement

SICK = NotSent(Blame.PROVIDER, "503", "unavailable")
MAYBE = Unknown("timeout", "no answer")
ACK, REQUEUE = Settlement.ACK, Settlement.REQUEUE


class Desk(Harness):
    """The whole handler over scripted providers and records in memory."""

    def __init__(self, percentage: int = 100, **shared: Any) -> None:
        super().__init__(percentage, **shared)
        self.publisher = Publisher()
        self.lanes = Lanes()
        decoder = CommandDecoder(
            normalise=normaliser("ZM", frozenset({"ZM"}), strict=True),
            key=KEY,
            life_s={Lane.TRANSACTIONAL: 600, Lane.BULK: 86_400},
            policy={"Otp": OnUnknown.HOLD},
        )
        announcer = Announcer(self.publisher, self.messages)
        self.settler = Settler(decoder, self.messages, announcer, self.publisher, self.clock)
        self.send = SendHandler(self.messages, self.hybrid, self.settler, self.lanes, self.clock)

    def decode_by(self, **changes: Any) -> None:
        """Change how commands are decoded from now on."""
        decoder = replace(self.settler.decoder, **changes)
        self.settler = replace(self.settler, decoder=decoder)
        self.send = replace(self.send, settler=self.settler)

    async def take(self, delivery: Incoming | None = None) -> Settlement:
        settlement = await self.send(delivery or incoming())
        assert self.idle
        assert "m-1" not in self.send.running
        return settlement

    def sick(self, rounds: int = 1) -> None:
        self.target.outcomes, self.legacy.outcomes = [SICK] * rounds, [SICK] * rounds

    def copy(self, index: int = -1) -> Incoming:
        """The parked copy, as it comes back."""
        return incoming(headers=self.publisher.parked[index][1])

    async def leave_submitting(self, **changes: Any) -> None:
        """What a process leaves behind that is in the middle of its first attempt, or died."""
        theirs = self.owned_by("theirs")
        attempt = Attempt(epoch=1, provider="at", version=1, reason="percentage")
        await theirs.claim(self.message(**changes), attempt)

    @property
    def calls(self) -> int:
        return len(self.target.sent) + len(self.legacy.sent)


REDELIVERED = incoming(redelivered=True)
