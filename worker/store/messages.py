"""Records of messages: every transition is one compare-and-set, grouped with others.

Rules:
- The filter of each write names all it relies on (state, owner, epoch or round), and excludes its
  own token, so that issuing it again changes nothing.
- The token of an intent or outcome lives in its attempt and is never overwritten; other
  transitions have a token field of their own kind.
- `epoch` rises with every intent and only there.
- Settled records expire (TTL) after their last possible delivery fact; no other record does.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pymongo.errors import PyMongoError

from worker.domain.message import Lane, Lease, Record, State, StoredEvent
from worker.domain.outcome import Accepted
from worker.store import documents
from worker.store.marks import Marks
from worker.store.writer import Change, Committer, GroupCommit, Insert

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from worker.domain.message import Attempt, Message
    from worker.ports import Clock, Closing, Finished
    from worker.service import Background
    from worker.store.documents import Document

COLLECTION: Final = "messages"
_OPEN: Final = [str(State.SUBMITTING), str(State.UNKNOWN)]
_CHANGED: Final = {"changedAt": True}


class Retention:
    """When stored facts are judged, given up and forgotten. All in seconds."""

    def __init__(self, *, delivery_age_s: float, report_deadline_s: float, keep_s: float) -> None:
        self.delivery_age = timedelta(seconds=delivery_age_s)
        self.report_deadline = timedelta(seconds=report_deadline_s)
        self.keep = timedelta(seconds=keep_s)

    def of(self, state: State, now: datetime) -> Document:
        """Deadlines to set when a record enters `state`."""
        if state in (State.ACCEPTED, State.UNKNOWN):
            due = now + self.report_deadline
            found: Document = {"reportDue": due, "expireAt": due + self.keep}
            if state is State.ACCEPTED:
                found["judgeAt"] = now + self.delivery_age
            return found
        return {"expireAt": now + self.keep}


class MessageStore:
    """The `Messages` port on MongoDB.

    Args:
        collection: `messages`.
        owner: fresh UUID of this process start.
        lease_s: how long an intent holds its record; outlives every provider deadline.
        retention: see `Retention`.
        clock: wall and monotonic time.
        trouble: told when the store fails, and with None when it works again.
        referenced: told of each stored reference: reports may have come before it.
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
        trouble: Callable[[str | None], None],
        referenced: Callable[[str], None],
        background: Background,
    ) -> None:
        committer = Committer(collection, documents.VIEW, trouble)
        self._collection = collection
        self._claims: GroupCommit[Insert] = GroupCommit(committer.insert, background)
        self._changes: GroupCommit[Change] = GroupCommit(committer.change, background)
        self._marks = Marks(collection, background)
        self._owner = owner
        self._lease_s = lease_s
        self._retention = retention
        self._clock = clock
        self._trouble = trouble
        self._referenced = referenced

    async def start(self) -> None:
        """Begin to write."""
        await self._claims.start()
        await self._changes.start()
        await self._marks.start()

    async def drain(self) -> None:
        """Nothing to do: handlers wait for their own writes."""

    async def stop(self) -> None:
        """Decide everything handed over, then end."""
        await self._claims.stop()
        await self._changes.stop()
        await self._marks.stop()

    async def look(self, message_id: str) -> Record | None:
        """See `Messages.look`. Waits while the store is away."""
        while True:
            try:
                cursor = self._collection.aggregate(
                    [{"$match": {"_id": message_id}}, *documents.VIEW]
                )
                found = await cursor.to_list(1)
            except PyMongoError as error:
                self._trouble(type(error).__name__)
                await asyncio.sleep(0.5)  # the driver waited its timeout already
                continue
            self._trouble(None)
            return documents.record(found[0]) if found else None

    async def claim(self, message: Message, attempt: Attempt) -> Lease | Record:
        """See `Messages.claim`."""
        now, until = self._clock.now(), self._until()
        token = _token()
        document = {
            "_id": message.id,
            **documents.of_message(message),
            **self._submitting(token),
            "claimedAt": documents.SERVER_TIME,
            "round": 0,
            "failedRounds": 0,
            "epoch": attempt.epoch,
            "resendUsed": False,
            "generation": 1,
            "attempts": {str(attempt.epoch): documents.of_attempt(attempt, token)},
            "events": [],
            "unconfirmed": [],
            "createdAt": now,
            "changedAt": now,
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

    async def close_new(self, closing: Closing) -> Record | None:
        """See `Messages.close_new`."""
        now = self._clock.now()
        fixed = documents.of_message(closing.message) if closing.message else {"expiresAt": now}
        document = {
            "_id": closing.message_id,
            **fixed,
            "state": str(closing.state),
            "token": _token(),
            "round": 0,
            "failedRounds": 0,
            "epoch": 0,
            "resendUsed": False,
            "generation": 1,
            "attempts": {},
            "events": [documents.of_event(event) for event in closing.events],
            "unconfirmed": [event.event_id for event in closing.events],
            "createdAt": now,
            "changedAt": now,
            **self._retention.of(closing.state, now),
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
        until, token, key = self._until(), _token(), str(attempt.epoch)
        fields = {
            **self._submitting(token),
            "epoch": attempt.epoch,
            f"attempts.{key}": documents.of_attempt(attempt, token),
        }
        if previous is not None:
            ended = documents.of_finished(previous)
            fields |= {f"attempts.{attempt.epoch - 1}.{k}": v for k, v in ended.items()}
        if attempt.resend:
            fields["resendUsed"] = True
        change = Change.of(
            _standing(base, attempt.epoch - 1),
            {
                "$set": fields,
                "$currentDate": {"claimedAt": {"$type": "timestamp"}, **_CHANGED},
                "$unset": {"expireAt": "", "reportDue": "", "judgeAt": ""},
            },
            won=lambda doc: doc["attempts"].get(key, {}).get("token") == token,
        )
        stands = await self._changes.run(change, lane)
        if stands is not None:
            return documents.record(stands)
        return Lease(
            message_id=_id(base),
            owner=self._owner,
            epoch=attempt.epoch,
            until=until,
            round=base.round,
            failed_rounds=base.failed_rounds,
            generation=base.generation,
            resend_used=base.resend_used or attempt.resend,
            provider=attempt.provider,
            tried=_tried(base) | {attempt.provider},
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
        update["$set"] |= {"state": str(state), **self._retention.of(state, now)}
        if state is State.FAILED:  # others may have called it unknown: no report is due any more
            update["$unset"] = {"reportDue": ""}
        _publish(update, events)
        reference = _refer(update, lease, finished)
        stands = await self._changes.run(_held(lease, update, token), lane)
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
        update["$unset"] = {"expireAt": "", "reportDue": ""}
        stands = await self._changes.run(_held(lease, update, token), lane)
        return round_ if stands is None else documents.record(stands)

    async def close(
        self, record: Record, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """See `Messages.close`."""
        standing = {"_id": record.id, "state": str(State.WAITING), "round": record.round}
        return await self._transition(standing, record.lane, state, events)

    async def declare_unknown(
        self, record: Record, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        """See `Messages.declare_unknown`."""
        standing = {
            "_id": record.id,
            "state": str(State.SUBMITTING),
            "epoch": record.epoch,
            "$expr": documents.LEASE_DEAD,
        }
        return await self._transition(standing, record.lane, State.UNKNOWN, events)

    async def _transition(
        self, standing: Document, lane: Lane, state: State, events: tuple[StoredEvent, ...]
    ) -> Record | None:
        token = _token()
        update: Document = {
            "$set": {
                "state": str(state),
                "transition": token,
                **self._retention.of(state, self._clock.now()),
            },
            "$currentDate": _CHANGED,
        }
        _publish(update, events)
        change = Change.of(
            {**standing, "transition": {"$ne": token}},
            update,
            won=lambda doc: doc.get("transition") == token,
        )
        return _lost(await self._changes.run(change, lane))

    async def late(self, lease: Lease, finished: Finished) -> None:
        """See `Messages.late`."""
        token, field = _token(), f"attempts.{lease.epoch}.late"
        late = {**documents.of_finished(finished), "at": self._clock.now(), "token": token}
        update: Document = {"$set": {field: late}, "$currentDate": _CHANGED}
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
        """Counted from before the write, so our view of the lease ends before the server's."""
        return self._clock.monotonic() + self._lease_s

    def _submitting(self, token: str) -> Document:
        return {
            "state": str(State.SUBMITTING),
            "owner": self._owner,
            # `claimedAt` is cut to whole seconds: never let the server see the end before we do.
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
        return {"$set": fields, "$currentDate": dict(_CHANGED)}


def _held(lease: Lease, update: Document, token: str) -> Change:
    """A change by the holder: from `submitting`, or `unknown` where others gave it up."""
    key = str(lease.epoch)
    return Change.of(
        {
            "_id": lease.message_id,
            "owner": lease.owner,
            "epoch": lease.epoch,
            "state": {"$in": _OPEN},
            f"attempts.{key}.ended": {"$ne": token},
        },
        update,
        won=lambda doc: doc["attempts"].get(key, {}).get("ended") == token,
    )


def _standing(base: Lease | Record, epoch: int) -> Document:
    if isinstance(base, Lease):
        return {
            "_id": base.message_id,
            # `unknown` too: the proof that the attempt did not leave may come after its lease.
            "state": {"$in": _OPEN},
            "owner": base.owner,
            "epoch": epoch,
        }
    standing: Document = {"_id": base.id, "state": str(base.state), "epoch": epoch}
    if base.state is State.WAITING:
        standing["round"] = base.round
    return standing


def _refer(update: Document, lease: Lease, finished: Finished) -> str | None:
    """Let reports find the attempt by the provider's id; returns the reference, if there is one."""
    outcome = finished.outcome
    if not isinstance(outcome, Accepted) or not outcome.provider_message_id:
        return None
    reference = documents.reference(lease.provider, outcome.provider_message_id)
    update["$addToSet"] = {"refs": reference}
    return reference


def _publish(update: Document, events: tuple[StoredEvent, ...]) -> None:
    if events:
        update["$push"] = documents.pushed(events)


def _id(base: Lease | Record) -> str:
    return base.message_id if isinstance(base, Lease) else base.id


def _tried(base: Lease | Record) -> frozenset[str]:
    return base.tried if isinstance(base, Lease) else base.tried()


def _lost(stands: Document | None) -> Record | None:
    return None if stands is None else documents.record(stands)


def _token() -> str:
    return uuid4().hex
