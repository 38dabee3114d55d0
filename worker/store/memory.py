"""Records of messages in memory: the stand-in for `store.messages`, for tests and trials.

Rules: it uses the same table of transitions and the same compare-and-set semantics as the store on
MongoDB, and one test suite runs over both. Every method lets other tasks run before it decides, so
that races are real. One `Shelf` is one database, shared by any number of owners. The clock acts as
that of the server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from worker.domain.messages.message import (
    Attempt,
    Lane,
    Lease,
    Message,
    OnUnknown,
    Recipient,
    Record,
    Result,
    State,
    StoredEvent,
)
from worker.domain.messages.outcome import Accepted, NotSent
from worker.domain.messages.transitions import Write, require, starts
from worker.store.documents import recorded_trace, result_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.domain.messages.writes import Finished, TerminalWrite
    from worker.ports.clock import Clock

_NO_TIME: Final = float("-inf")


@dataclass(slots=True)
class Kept:
    """One record, with the stored fields that `Record` does not have."""

    record: Record
    lease_ends: float = _NO_TIME
    late: dict[int, list[Finished]] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)


Shelf = dict[str, Kept]


class MemoryMessages:
    """The `Messages` port in memory.

    Args:
        shelf: records by message id.
        owner: as in `MessageStore`.
        lease_s: as in `MessageStore`.
        clock: decides whether leases are over.
    """

    def __init__(self, shelf: Shelf, *, owner: str, lease_s: float, clock: Clock) -> None:
        self.shelf = shelf
        self._owner = owner
        self._lease_s = lease_s
        self._clock = clock

    async def look(self, message_id: str) -> Record | None:
        """See `Messages.look`."""
        await asyncio.sleep(0)
        return self._seen(message_id) if message_id in self.shelf else None

    async def claim(self, message: Message, attempt: Attempt) -> Lease | Record:
        """See `Messages.claim`."""
        until = self._until()
        await asyncio.sleep(0)
        if message.id in self.shelf:
            return self._seen(message.id)
        record = _new(message.id, State.SUBMITTING, message)
        record = replace(record, epoch=attempt.epoch, owner=self._owner, attempts=(attempt,))
        self.shelf[message.id] = Kept(record, lease_ends=until)
        return _lease(record, attempt, until)

    async def close_new(self, closing: TerminalWrite) -> Record | None:
        """See `Messages.close_new`."""
        require(None, Write.CLOSE_NEW, closing.state)
        await asyncio.sleep(0)
        if closing.message_id in self.shelf:
            return self._seen(closing.message_id)
        record = _new(closing.message_id, closing.state, closing.message, self._clock)
        self.shelf[closing.message_id] = Kept(replace(record, events=closing.events))
        return None

    async def intend(
        self,
        base: Lease | Record,
        attempt: Attempt,
        previous: Finished | None = None,
        *,
        lane: Lane,
    ) -> Lease | Record:
        """See `Messages.intend`."""
        del lane
        if isinstance(base, Record):
            require(base.state, Write.RESUME, State.SUBMITTING)
        until = self._until()
        await asyncio.sleep(0)
        ident = base.message_id if isinstance(base, Lease) else base.id
        kept = self.shelf[ident]
        if not _stands(base, kept.record, attempt.epoch - 1):
            return self._seen(ident)
        attempts = kept.record.attempts
        if previous is not None:
            attempts = _ended(attempts, attempt.epoch - 1, previous)
        kept.record = replace(
            kept.record,
            state=State.SUBMITTING,
            owner=self._owner,
            epoch=attempt.epoch,
            attempts=(*attempts, attempt),
            resend_used=kept.record.resend_used or attempt.resend,
        )
        kept.lease_ends = until
        return _lease(kept.record, attempt, until)

    async def settle(
        self,
        lease: Lease,
        state: State,
        finished: Finished,
        events: tuple[StoredEvent, ...],
        *,
        lane: Lane,
    ) -> Record | None:
        """See `Messages.settle`."""
        del lane
        changed = await self._held(
            lease,
            starts(Write.SETTLE, state),
            lambda record: replace(
                record,
                state=state,
                attempts=_ended(record.attempts, lease.epoch, finished),
                events=record.events + events,
            ),
        )
        return None if changed else self._seen(lease.message_id)

    async def wait(
        self, lease: Lease, finished: Finished | None, *, counted: bool, lane: Lane
    ) -> Record | int:
        """See `Messages.wait`."""
        del lane
        changed = await self._held(
            lease,
            starts(Write.WAIT, State.WAITING),
            lambda record: replace(
                record,
                state=State.WAITING,
                attempts=_ended(record.attempts, lease.epoch, finished),
                round=lease.round + 1,
                failed_rounds=lease.failed_rounds + int(counted),
            ),
        )
        return lease.round + 1 if changed else self._seen(lease.message_id)

    async def close(
        self, record: Record, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """See `Messages.close`."""
        found_in = starts(Write.CLOSE, state)
        await asyncio.sleep(0)
        stands = self.shelf[record.id].record
        fits = stands.state in found_in and stands.round == record.round
        return self._transition(record.id, state, events, fits=fits)

    async def declare_unknown(
        self, record: Record, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """See `Messages.declare_unknown`."""
        await asyncio.sleep(0)
        stands = self._seen(record.id)
        found_in = starts(Write.DECLARE_UNKNOWN, State.UNKNOWN)
        fits = stands.state in found_in and stands.epoch == record.epoch
        fits = fits and not stands.lease_alive
        return self._transition(record.id, State.UNKNOWN, events, fits=fits)

    async def late(self, lease: Lease, finished: Finished) -> None:
        """See `Messages.late`."""
        await asyncio.sleep(0)
        kept = self.shelf[lease.message_id]
        kept.late.setdefault(lease.epoch, []).append(finished)

    def confirmed(self, message_id: str, events: tuple[StoredEvent, ...]) -> None:
        """See `Messages.confirmed`."""
        if message_id in self.shelf:
            self.shelf[message_id].confirmed.update(event.event_id for event in events)

    # --- inside --------------------------------------------------------------------------

    def _until(self) -> float:
        return self._clock.monotonic() + self._lease_s

    def _seen(self, message_id: str) -> Record:
        kept = self.shelf[message_id]
        return replace(kept.record, lease_alive=self._clock.monotonic() <= kept.lease_ends)

    async def _held(
        self, lease: Lease, found_in: frozenset[State], change: Callable[[Record], Record]
    ) -> bool:
        """Make a change by the holder of a record, from one of these states."""
        await asyncio.sleep(0)
        kept = self.shelf[lease.message_id]
        holds = (kept.record.owner, kept.record.epoch) == (lease.owner, lease.epoch)
        if not holds or kept.record.state not in found_in:
            return False
        kept.record = change(kept.record)
        return True

    def _transition(
        self, message_id: str, state: State, events: tuple[StoredEvent, ...], *, fits: bool
    ) -> Record | None:
        if not fits:
            return self._seen(message_id)
        kept = self.shelf[message_id]
        kept.record = replace(kept.record, state=state, events=kept.record.events + events)
        return None


def _new(ident: str, state: State, message: Message | None, clock: Clock | None = None) -> Record:
    if message is None:  # a command that could not be decoded
        if clock is None:
            raise AssertionError("a record without a message needs a time")
        nobody = Recipient(hash="", mask="")
        return Record(ident, "", nobody, Lane.BULK, OnUnknown.HOLD, state, clock.now())
    return Record(
        id=ident,
        fingerprint=message.fingerprint,
        recipient=message.recipient,
        lane=message.lane,
        on_unknown=message.on_unknown,
        state=state,
        expires_at=message.expires_at,
        correlation_id=message.correlation_id,
        traceparent=recorded_trace(message.traceparent),
        message_type=message.message_type,
        user_id=message.user_id,
        branch_id=message.branch_id,
        segments=message.segments,
        probe=message.probe,
    )


def _stands(base: Lease | Record, record: Record, epoch: int) -> bool:
    if record.epoch != epoch:
        return False
    if isinstance(base, Lease):
        found_in = starts(Write.INTEND, State.SUBMITTING)
        return record.owner == base.owner and record.state in found_in
    waits = base.state is State.WAITING
    return record.state is base.state and (not waits or record.round == base.round)


def _ended(
    attempts: tuple[Attempt, ...], epoch: int, finished: Finished | None
) -> tuple[Attempt, ...]:
    """The attempts with the result of one; None: its provider was never called, so not sent."""
    outcome = finished.outcome if finished is not None else None
    result = Result.NOT_SENT if outcome is None else result_of(outcome)
    pid = outcome.provider_message_id if isinstance(outcome, Accepted) else None
    own_fault = isinstance(outcome, NotSent) and outcome.is_own_fault
    return tuple(
        replace(each, result=result, provider_message_id=pid, own_fault=own_fault)
        if each.epoch == epoch
        else each
        for each in attempts
    )


def _lease(record: Record, attempt: Attempt, until: float) -> Lease:
    return Lease(
        message_id=record.id,
        owner=record.owner,
        epoch=attempt.epoch,
        until=until,
        round=record.round,
        failed_rounds=record.failed_rounds,
        generation=record.generation,
        resend_used=record.resend_used,
        provider=attempt.provider,
        tried=record.tried(),
    )
