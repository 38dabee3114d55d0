"""What the tests of rounds share: outcomes, and how a round ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.domain.messages.message import Attempt, Message, Record, Result
from worker.domain.messages.outcome import Blame, NotSent, Refused, Unknown
from worker.handlers import message_events
from worker.handlers.round import RoundSettled

if TYPE_CHECKING:
    from tests.support.fakes import Harness

SICK = NotSent(Blame.PROVIDER, "503", "unavailable")
NO_ROUTE = NotSent(Blame.RECIPIENT, "404", "no route")
BAD = Refused("403", "invalid number")
MAYBE = Unknown("timeout", "no answer")


def results(record: Record) -> list[tuple[str, Result | None]]:
    return [(attempt.provider, attempt.result) for attempt in record.attempts]


async def settled(bench: Harness, message: Message, base: Record | None = None) -> RoundSettled:
    ended = await bench.hybrid.run(message, base)
    assert isinstance(ended, RoundSettled), ended
    assert bench.idle
    return ended


async def unknown_record(bench: Harness, **changes: Any) -> Record:
    """What a process leaves behind that died in its first attempt, once somebody found it."""
    dead = bench.owned_by("a dead process")
    message = bench.message(**changes)
    await dead.claim(message, _first_attempt())
    bench.clock.advance(bench.LEASE_S + 1)
    found = await bench.messages.look(message.id)
    assert found is not None
    event = message_events.unknown(found, found.attempts[-1], "gone", bench.clock.now())
    assert await bench.messages.declare_unknown(found, (event,)) is None
    stands = await bench.messages.look(message.id)
    assert stands is not None
    return stands


def _first_attempt(provider: str = "at") -> Attempt:
    return Attempt(epoch=1, provider=provider, version=1, reason="percentage")
