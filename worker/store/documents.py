"""Converts records to MongoDB documents and back.

Rules:
- The text and the full number have no field here.
- Attempts are keyed by their epoch, so that one update can end an attempt and begin the next.
- `claimedAt` is the server's time in whole seconds, written by the server. Only its clock decides
  whether a lease is over.
- Unknown values of a newer version never cause a send, an event or an end. A record in an unknown
  state counts as held by another worker. An attempt with an unknown outcome stays in doubt.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bson import Timestamp

from worker.domain.messages.message import (
    Attempt,
    Delivery,
    Lane,
    OnUnknown,
    Recipient,
    Record,
    Result,
    State,
    StoredEvent,
)
from worker.domain.messages.outcome import (
    OWN_FAULTS,
    Accepted,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.domain.migration.phases import Role
from worker.domain.stored import word

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.messages.message import Message
    from worker.domain.messages.writes import Finished

Document = dict[str, Any]
_RECORDED: Final = re.compile(r"\w{2}-\w{32}-\w{16}-\w[13579bdf](?:-.*)?")
"""A W3C `traceparent` whose flags say that the trace is sampled."""

SERVER_TIME: Final = Timestamp(0, 0)
"""On insert, MongoDB replaces such a top-level value by its own time."""

_LEASE_END: Final = {
    "$add": [
        {"$toDate": {"$multiply": [{"$toLong": {"$tsSecond": "$claimedAt"}}, 1000]}},
        "$leaseMs",
    ]
}


def lease_dead_for(extra_ms: int) -> Document:
    """Expression: the lease of this document is over for longer, by the server's clock."""
    return {"$lt": [{"$add": [_LEASE_END, extra_ms]}, "$$NOW"]}


LEASE_DEAD: Final = lease_dead_for(0)
"""Expression: the lease of this document is over, by the server's clock."""
VIEW: Final = ({"$addFields": {"leaseAlive": {"$not": [LEASE_DEAD]}}},)
"""Pipeline that adds to a document whether its lease is over."""


def recorded_trace(traceparent: str | None) -> str | None:
    """The context of a trace that is recorded; of any other nothing need be kept."""
    return traceparent if traceparent and _RECORDED.fullmatch(traceparent) else None


def of_message(message: Message) -> Document:
    """The part of a record that never changes."""
    return {
        "fp": message.fingerprint,
        "to": {"hash": message.recipient.hash, "mask": message.recipient.mask},
        "lane": str(message.lane),
        "onUnknown": str(message.on_unknown),
        "type": message.message_type,
        "user": message.user_id,
        "branch": message.branch_id,
        "expiresAt": message.expires_at,
        "segments": message.segments,
        "correlationId": message.correlation_id,
        **({"probe": str(message.probe)} if message.probe else {}),
        **({"trace": trace} if (trace := recorded_trace(message.traceparent)) else {}),
    }


def of_new(ident: str, state: State, token: str, now: datetime) -> Document:
    """The fields of every new record. The caller adds the others."""
    return {
        "_id": ident,
        "state": str(state),
        "token": token,
        "round": 0,
        "failedRounds": 0,
        "epoch": 0,
        "resendUsed": False,
        "generation": 1,
        "attempts": {},
        "events": [],
        "unconfirmed": [],
        "createdAt": now,
        "changedAt": now,
    }


def of_attempt(attempt: Attempt, token: str) -> Document:
    """The fields of an intent."""
    return {
        "provider": attempt.provider,
        "version": attempt.version,
        "reason": attempt.reason,
        "eligible": attempt.eligible,
        "resend": attempt.resend,
        "at": attempt.at,
        "sender": attempt.sender_id,
        "token": token,
    }


def of_finished(finished: Finished) -> Document:
    """The fields of the end of an attempt."""
    outcome = finished.outcome
    document: Document = {
        "result": str(result_of(outcome)),
        "code": outcome.code,
        "ms": round(finished.duration_ms, 1),
    }
    if isinstance(outcome, Accepted):
        document["pid"] = outcome.provider_message_id
        document["parts"] = outcome.parts
    else:
        document["detail"] = outcome.reason
    if isinstance(outcome, NotSent):
        document["blame"] = str(outcome.blame)
    if finished.cost is not None:
        document["cost"] = {
            "amount": str(finished.cost.amount),
            "currency": finished.cost.currency,
        }
    return document


def of_event(event: StoredEvent) -> Document:
    """An event in the outbox."""
    return {
        "name": event.name,
        "ordinal": event.ordinal,
        "id": event.event_id,
        "body": event.body,
    }


def pushed(events: tuple[StoredEvent, ...]) -> Document:
    """Operand of `$push` that adds unconfirmed events to the outbox."""
    return {
        "events": {"$each": [of_event(event) for event in events]},
        "unconfirmed": {"$each": [event.event_id for event in events]},
    }


def result_of(outcome: Outcome) -> Result:
    """The stored name of an outcome."""
    match outcome:
        case Accepted():
            return Result.ACCEPTED
        case Refused():
            return Result.REFUSED
        case NotSent():
            return Result.NOT_SENT
        case Unknown():
            return Result.UNKNOWN


def reference(provider: str, provider_message_id: str) -> str:
    """Key by which a delivery report finds its attempt."""
    return f"{provider}:{provider_message_id}"


def record(document: Document) -> Record:
    """Read a record. Without `VIEW`, its lease counts as over."""
    attempts, to = document.get("attempts", {}), document.get("to") or {}
    state = word(State, document["state"], None)
    return Record(
        id=document["_id"],
        fingerprint=document.get("fp", ""),
        recipient=Recipient(hash=to.get("hash", ""), mask=to.get("mask", "")),
        lane=word(Lane, document.get("lane"), Lane.BULK),
        on_unknown=word(OnUnknown, document.get("onUnknown"), OnUnknown.HOLD),
        state=state or State.SUBMITTING,
        expires_at=document["expiresAt"],
        round=document.get("round", 0),
        failed_rounds=document.get("failedRounds", 0),
        epoch=document.get("epoch", 0),
        owner=document.get("owner", ""),
        lease_alive=document.get("leaseAlive", False) or state is None,
        resend_used=document.get("resendUsed", False),
        generation=document.get("generation", 1),
        attempts=tuple(_attempt(epoch, attempts[str(epoch)]) for epoch in _epochs(attempts)),
        events=tuple(_event(item) for item in document.get("events", ())),
        correlation_id=document.get("correlationId"),
        traceparent=document.get("trace"),
        message_type=document.get("type", "Standard"),
        user_id=document.get("user"),
        branch_id=document.get("branch"),
        segments=document.get("segments", 1),
        probe=word(Role, document.get("probe"), None),
    )


def _epochs(attempts: Document) -> list[int]:
    return sorted(int(key) for key in attempts if key.isdecimal())


def _attempt(epoch: int, document: Document) -> Attempt:
    result = document.get("result")
    return Attempt(
        epoch=epoch,
        provider=document["provider"],
        version=document["version"],
        reason=document.get("reason", ""),
        eligible=document.get("eligible", False),
        resend=document.get("resend", False),
        result=word(Result, result, Result.UNKNOWN) if result else None,
        own_fault=document.get("blame") in OWN_FAULTS,
        delivery=_delivery(document.get("delivery") or {}),
        provider_message_id=document.get("pid") or document.get("late", {}).get("pid"),
        at=document.get("at"),
        sender_id=document.get("sender"),
    )


def _delivery(document: Document) -> Delivery:
    """Read a delivery state. An unknown one still means that a report came."""
    state = document.get("state", Delivery.NONE)
    return word(Delivery, state, Delivery.SUBMITTED)


def unconfirmed(document: Document) -> tuple[StoredEvent, ...]:
    """Events of the outbox that the broker has not confirmed."""
    left = set(document.get("unconfirmed", ()))
    return tuple(_event(item) for item in document.get("events", ()) if item["id"] in left)


def _event(document: Document) -> StoredEvent:
    return StoredEvent(
        name=document["name"],
        ordinal=document["ordinal"],
        body=document["body"],
        event_id=document["id"],
    )
