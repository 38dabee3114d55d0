"""Stores records of messages. Every transition is one compare-and-set, written in batches.

Rules:
- The table defines the states from which a write may start (`domain.messages.transitions`).
- The filter of each write names all it relies on (state, owner, epoch or round). It excludes the
  write's own token, so that a repeated write changes nothing.
- The token of an intent or outcome is in its attempt and is never overwritten. Other transitions
  have their own token field.
- `epoch` rises only with an intent, and with every one.
- Settled records expire (TTL) after the time of their last possible report. No other record does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pymongo.errors import PyMongoError

from worker.domain.messages.message import Lane, Lease, Record, State, StoredEvent
from worker.domain.messages.outcome import Accepted
from worker.domain.messages.transitions import NoSuchTransition, Write, require, starts
from worker.store import documents
from worker.store.committer import Change, Committer, Insert
from worker.store.marks import Marks
from worker.store.states import CHANGED, NO_DEADLINES, Retention, standing
from worker.store.writer import STOP_WITHIN_S, GroupCommit

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.domain.messages.message import Attempt, Message
    from worker.domain.messages.writes import Finished, TerminalWrite
    from worker.ports.clock import Clock
    from worker.ports.store import StoreListener
    from worker.service import Background
    from worker.store.documents import Document

COLLECTION: Final = "messages"
_TO_INTEND: Final = standing(Write.INTEND, State.SUBMITTING)
_TO_WAIT: Final = standing(Write.WAIT, State.WAITING)
_TO_DECLARE: Final = standing(Write.DECLARE_UNKNOWN, State.UNKNOWN)
_RESUMABLE: Final = starts(Write.RESUME, State.SUBMITTING)


class MessageStore:
    """The `Messages` port on MongoDB.

    Args:
        collection: `messages`.
        owner: id of this replica, new at each start.
        lease_s: length of a lease; longer than every provider deadline.
        retention: see `Retention`.
        clock: wall and monotonic time.
        health: called with how the store answers.
        referenced: called with each stored reference, because reports may have come before it.
        background: runs the writers.
    """

    def __init__(
        self,
        collection: Any,
        *,
        owner: str,
        lease_s: float,
        retention: Retention,
        clock: Clock,
        health: StoreListener,
        referenced: Callable[[str], None],
        background: Background,
    ) -> None:
        committer = Committer(collection, documents.VIEW, health)
        self._collection = collection
        self._claims: GroupCommit[Insert] = GroupCommit(committer.insert, background)
        self._changes: GroupCommit[Change] = GroupCommit(committer.change, background)
        self._marks = Marks(collection, background)
        self._owner = owner
        self._lease_s = lease_s
        self._retention = retention
        self._clock = clock
        self._health = health
        self._referenced = referenced
        self.taken_over: Counter[Lane] = Counter()
        """Records of workers that are gone, settled by us since the start, by lane."""

    async def start(self) -> None:
        """Start the writers."""
        await self._claims.start()
        await self._changes.start()
        await self._marks.start()

    async def drain(self) -> None:
        """Do nothing: handlers wait for their own writes."""

    async def stop(self, within_s: float = STOP_WITHIN_S) -> None:
        """Finish all writes, then stop; see `GroupCommit.stop`."""
        await asyncio.gather(self._claims.stop(within_s), self._changes.stop(within_s))
        await self._marks.stop()

    async def look(self, message_id: str) -> Record | None:
        """See `Messages.look`. Waits while the store is away."""
        while True:
            try:
                cursor = self._collection.aggregate(
                    [{"$match": {"_id": message_id}}, *documents.VIEW]
                )
                stored = await cursor.to_list(1)
            except PyMongoError as error:
                self._health.away(type(error).__name__)
                await asyncio.sleep(0.5)  # the driver waited its timeout already
                continue
            self._health.recovered()
            return documents.record(stored[0]) if stored else None

    async def claim(self, message: Message, attempt: Attempt) -> Lease | Record:
        """See `Messages.claim`."""
        now, until = self._clock.now(), self._until()
        token = _token()
        document = {
            **documents.of_new(message.id, State.SUBMITTING, token, now),
            **documents.of_message(message),
            **self._submitting(token),
            "claimedAt": documents.SERVER_TIME,
            "epoch": attempt.epoch,
            "attempts": {str(attempt.epoch): documents.of_attempt(attempt, token)},
        }
        stands = await self._claims.run(Insert.of(document), message.lane)
        if stands is not None:
            return documents.record(stands)
        return Lease(
            message.id,
            self._owner,
            attempt.epoch,
            until,
            provider=attempt.provider,
            tried=frozenset({attempt.provider}),
        )

    async def close_new(self, closing: TerminalWrite) -> Record | None:
        """See `Messages.close_new`."""
        require(None, Write.CLOSE_NEW, closing.state)
        now = self._clock.now()
        fixed = documents.of_message(closing.message) if closing.message else {"expiresAt": now}
        document = {
            **documents.of_new(closing.message_id, closing.state, _token(), now),
            **fixed,
            "events": [documents.of_event(event) for event in closing.events],
            "unconfirmed": [event.event_id for event in closing.events],
            **self._retention.deadlines(closing.state, now),
        }
        lane = closing.message.lane if closing.message else Lane.BULK
        return _lost(await self._claims.run(Insert.of(document), lane))

    async def intend(
        self,
        base: Lease | Record,
        attempt: Attempt,
        previous: Finished | None = None,
        *,
        lane: Lane,
    ) -> Lease | Record:
        """See `Messages.intend`."""
        until, token = self._until(), _token()
        key = str(attempt.epoch)
        change = Change.of(
            _base(base, attempt.epoch - 1),
            {
                "$set": self._intent(attempt, previous, token),
                "$currentDate": {"claimedAt": {"$type": "timestamp"}, **CHANGED},
                "$unset": NO_DEADLINES,
            },
            won=lambda doc: doc["attempts"].get(key, {}).get("token") == token,
        )
        stands = await self._changes.run(change, lane)
        if stands is not None:
            return documents.record(stands)
        return self._next_lease(base, attempt, until)

    def _intent(self, attempt: Attempt, previous: Finished | None, token: str) -> Document:
        """The fields of a further intent, and of the end of the attempt before it."""
        fields = {
            **self._submitting(token),
            "epoch": attempt.epoch,
            f"attempts.{attempt.epoch}": documents.of_attempt(attempt, token),
        }
        if previous is not None:
            ended = documents.of_finished(previous)
            fields |= {f"attempts.{attempt.epoch - 1}.{k}": v for k, v in ended.items()}
        if attempt.resend:
            fields["resendUsed"] = True
        return fields

    def _next_lease(self, base: Lease | Record, attempt: Attempt, until: float) -> Lease:
        ident, tried = _tried(base)
        return Lease(
            message_id=ident,
            owner=self._owner,
            epoch=attempt.epoch,
            until=until,
            round=base.round,
            failed_rounds=base.failed_rounds,
            generation=base.generation,
            resend_used=base.resend_used or attempt.resend,
            provider=attempt.provider,
            tried=tried | {attempt.provider},
        )

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
        token, now = _token(), self._clock.now()
        update = self._ended(lease, finished, token)
        self._retention.end(update, state, now)
        _publish(update, events)
        reference = _refer(update, lease, finished)
        held = _held(lease, standing(Write.SETTLE, state), update, token)
        stands = await self._changes.run(held, lane)
        if stands is None and reference is not None:
            self._referenced(reference)
        return _lost(stands)

    async def wait(
        self, lease: Lease, finished: Finished | None, *, counted: bool, lane: Lane
    ) -> Record | int:
        """See `Messages.wait`."""
        token, round_ = _token(), lease.round + 1
        update = self._ended(lease, finished, token)
        update["$set"] |= {
            "state": str(State.WAITING),
            "round": round_,
            "failedRounds": lease.failed_rounds + int(counted),
        }
        update["$unset"] = NO_DEADLINES
        stands = await self._changes.run(_held(lease, _TO_WAIT, update, token), lane)
        return round_ if stands is None else documents.record(stands)

    async def close(
        self, record: Record, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """See `Messages.close`."""
        waits = {
            "_id": record.id,
            "state": standing(Write.CLOSE, state),
            "round": record.round,
        }
        return await self._transition(waits, record.lane, state, events)

    async def declare_unknown(
        self, record: Record, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """See `Messages.declare_unknown`."""
        dead = {
            "_id": record.id,
            "state": _TO_DECLARE,
            "epoch": record.epoch,
            "$expr": documents.LEASE_DEAD,
        }
        stands = await self._transition(dead, record.lane, State.UNKNOWN, events)
        self.taken_over[record.lane] += stands is None
        return stands

    async def _transition(
        self, as_read: Document, lane: Lane, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        token = _token()
        update: Document = {"$set": {"transition": token}, "$currentDate": CHANGED}
        self._retention.end(update, state, self._clock.now())
        _publish(update, events)
        change = Change.of(
            {**as_read, "transition": {"$ne": token}},
            update,
            won=lambda doc: doc.get("transition") == token,
        )
        return _lost(await self._changes.run(change, lane))

    async def late(self, lease: Lease, finished: Finished) -> None:
        """See `Messages.late`."""
        token, field = _token(), f"attempts.{lease.epoch}.late"
        late = {**documents.of_finished(finished), "at": self._clock.now(), "token": token}
        update: Document = {"$set": {field: late}, "$currentDate": CHANGED}
        reference = _refer(update, lease, finished)
        change = Change.of(
            {"_id": lease.message_id, f"{field}.token": {"$ne": token}},
            update,
            won=lambda _doc: True,
        )
        await self._changes.run(change, Lane.BULK)
        if reference is not None:
            self._referenced(reference)

    def confirmed(self, message_id: str, events: tuple[StoredEvent, ...]) -> None:
        """See `Messages.confirmed`."""
        self._marks.add(message_id, events)

    def _until(self) -> float:
        """Our end of the lease, counted from before the write, so it is before the server's."""
        return self._clock.monotonic() + self._lease_s

    def _submitting(self, token: str) -> Document:
        return {
            "state": str(State.SUBMITTING),
            "owner": self._owner,
            # `claimedAt` is cut to whole seconds; one more keeps our end before the server's.
            "leaseMs": int(self._lease_s * 1000) + 1000,
            "token": token,
        }

    def _ended(self, lease: Lease, finished: Finished | None, token: str) -> Document:
        prefix = f"attempts.{lease.epoch}"
        fields: Document = {f"{prefix}.ended": token}
        if finished is None:
            fields[f"{prefix}.result"] = "not_sent"
            fields[f"{prefix}.code"] = "not called"
        else:
            fields |= {f"{prefix}.{k}": v for k, v in documents.of_finished(finished).items()}
        return {"$set": fields, "$currentDate": dict(CHANGED)}


def _held(lease: Lease, state: Any, update: Document, token: str) -> Change:
    """Make a change by the holder of a record, from the states that `state` matches."""
    key = str(lease.epoch)
    return Change.of(
        {
            "_id": lease.message_id,
            "owner": lease.owner,
            "epoch": lease.epoch,
            "state": state,
            f"attempts.{key}.ended": {"$ne": token},
        },
        update,
        won=lambda doc: doc["attempts"].get(key, {}).get("ended") == token,
    )


def _base(base: Lease | Record, epoch: int) -> Document:
    """The filter for the next intent: a record that we hold, or one without a holder."""
    if isinstance(base, Lease):
        return {
            "_id": base.message_id,
            "state": _TO_INTEND,
            "owner": base.owner,
            "epoch": epoch,
        }
    if base.state not in _RESUMABLE:
        raise NoSuchTransition(Write.RESUME, State.SUBMITTING, base.state)
    as_read: Document = {"_id": base.id, "state": str(base.state), "epoch": epoch}
    if base.state is State.WAITING:
        as_read["round"] = base.round
    return as_read


def _refer(update: Document, lease: Lease, finished: Finished) -> str | None:
    """Add the provider's id, by which reports find the attempt; returns the reference, if any."""
    outcome = finished.outcome
    if not isinstance(outcome, Accepted) or not outcome.provider_message_id:
        return None
    reference = documents.reference(lease.provider, outcome.provider_message_id)
    update["$addToSet"] = {"refs": reference}
    return reference


def _publish(update: Document, events: tuple[StoredEvent, ...]) -> None:
    if events:
        update["$push"] = documents.pushed(events)


def _tried(base: Lease | Record) -> tuple[str, frozenset[str]]:
    """The message id, and the providers of all attempts so far."""
    if isinstance(base, Lease):
        return base.message_id, base.tried
    return base.id, base.tried()


def _lost(stands: Document | None) -> Record | None:
    return None if stands is None else documents.record(stands)


def _token() -> str:
    return uuid4().hex
