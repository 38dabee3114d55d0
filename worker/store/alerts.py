"""Alerts of all replicas: one document a trouble from its beginning to its end, or an event.

Rules: of a key at most one trouble is open (a unique partial index). A trouble that comes
back soon is the same one, open again. Who sees it, and until when a notice is claimed, goes by the
server's clock. Who may tell people is decided by compare-and-set on `claims`.

    alerts  {_id: alert id, key, open, code, provider, severity, reason, evidence, suggestedCommand,
             since, lastSeen, count, ends, seen: {replica: at}, overAt, overReason, acknowledged,
             told, claims, nextAt, tries, reached, expireAt}
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError, PyMongoError

from worker.domain.notices import (
    LEASE,
    SAME_S,
    SHOWN,
    UNSEEN_S,
    Acknowledged,
    Alert,
    Kind,
    Told,
    backoff,
)
from worker.ports import StoreAway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from worker.domain.notices import Sighting

COLLECTION: Final = "alerts"
_KEPT: Final = timedelta(days=30)
_SAME: Final = timedelta(seconds=SAME_S)
_NO_TRIES: Final = {"tries": 0, "reached": [], "nextAt": None}
_CLOSED: Final = {"open": False, "seen": {}}
Document = dict[str, Any]


class AlertStore:
    """The `AlertBook` port on MongoDB."""

    def __init__(self, collection: Any, replica: str) -> None:
        self._collection = collection
        self._replica = replica

    # --- what replicas see -----------------------------------------------------------------

    async def record(self, what: Sighting, *, told: bool = False) -> None:
        """See `AlertBook.record`."""
        with _answered():
            if what.over:
                await self._ended(what)
            elif what.ends:
                await self._began(what, count=1, told=told)
            else:
                await self._happened(what, told=told)

    async def confirm(self, what: Sighting, *, told: bool = False) -> None:
        """See `AlertBook.confirm`."""
        with _answered():
            await self._began(what, count=0, told=told)

    async def _began(self, what: Sighting, *, count: int, told: bool) -> None:
        """Join the open one of that key; else open it, anew or again."""
        seen = {"$currentDate": {f"seen.{self._replica}": True, "lastSeen": True}}
        values: Document = {"open": True}
        if told:
            values["told"] = {"kind": str(Kind.NEW), "at": what.at}
        while True:
            joined = {"$set": values, "$inc": {"count": count}, **seen}
            found = await self._collection.update_one({"key": what.key, "open": True}, joined)
            if found.matched_count:
                return
            begun = {
                "$set": {**values, **_said(what), "overAt": None, "acknowledged": None},
                "$inc": {"count": max(count, 1)},
                "$unset": {"expireAt": "", "overReason": ""},
                **seen,
            }
            try:
                if not await self._again(what, begun):
                    new = {**begun, "$setOnInsert": _fresh(what, values)}
                    await self._collection.update_one({"_id": what.id}, new, upsert=True)
            except DuplicateKeyError:
                continue  # another replica opened it first: join that one
            return

    async def _again(self, what: Sighting, begun: Document) -> bool:
        """Open what ended lately; False: nothing did."""
        lately = {"key": what.key, "ends": True, "overAt": {"$gt": what.at - _SAME}}
        newest = [("overAt", DESCENDING)]
        found = await self._collection.find_one_and_update(lately, begun, sort=newest)
        return found is not None

    async def _happened(self, what: Sighting, *, told: bool) -> None:
        values: Document = {"open": False, **_said(what), "expireAt": what.at + _KEPT}
        if told:
            values["told"] = {"kind": str(Kind.NEW), "at": what.at}
        happened = {
            "$set": values,
            "$setOnInsert": {**_fresh(what, values), "overAt": None},
            "$inc": {"count": 1},
            "$currentDate": {"lastSeen": True},
        }
        await self._collection.update_one({"_id": what.id}, happened, upsert=True)

    async def _ended(self, what: Sighting) -> None:
        """This replica sees it no more; it is over when none does."""
        mine = {"key": what.key, "open": True}
        await self._collection.update_one(
            mine,
            {"$unset": {f"seen.{self._replica}": ""}, "$set": {"overReason": _text(what.reason)}},
        )
        over = {
            "$set": {**_CLOSED, **_NO_TRIES, "expireAt": what.at + _KEPT},
            "$currentDate": {"overAt": True, "lastSeen": True},
        }
        await self._collection.update_one({**mine, "seen": {}}, over)

    async def close(self, alert: Alert, now: datetime) -> None:
        """See `AlertBook.close`."""
        reason = alert.over_reason or "the replicas that saw it are gone"
        over = {**_CLOSED, **_NO_TRIES, "overAt": now, "overReason": reason}
        as_read = {"_id": alert.id, "open": True, "lastSeen": alert.last_seen}
        with _answered():
            await self._collection.update_one(as_read, {"$set": {**over, "expireAt": now + _KEPT}})

    # --- what everybody reads ----------------------------------------------------------------

    async def recent(self) -> list[tuple[Alert, datetime]]:
        """See `AlertBook.recent`."""
        since = {"$subtract": ["$$NOW", int(SHOWN.total_seconds() * 1000)]}
        lately = {"$expr": {"$gt": ["$lastSeen", since]}}
        pipeline = [
            {"$match": {"$or": [{"open": True}, lately]}},
            {"$addFields": {"now": "$$NOW"}},
            {"$sort": {"since": -1, "_id": 1}},
        ]
        with _answered():
            found = await self._collection.aggregate(pipeline).to_list(None)
        return [(_alert(document), document["now"]) for document in found]

    # --- what people are told ----------------------------------------------------------------

    async def claim(self, alert: Alert, now: datetime) -> bool:
        """See `AlertBook.claim`."""
        as_read = {"_id": alert.id, "claims": alert.claims}
        mine = {
            "$set": {"nextAt": now + LEASE, "claimedBy": self._replica},
            "$inc": {"claims": 1},
        }
        with _answered():
            done = await self._collection.update_one(as_read, mine)
        return bool(done.matched_count)

    async def told(self, alert: Alert, kind: Kind) -> None:
        """See `AlertBook.told`."""
        said = [
            {"$set": {"told": {"kind": str(kind), "at": "$$NOW"}, **_literal(_NO_TRIES)}},
        ]
        with _answered():
            await self._collection.update_one(self._claimed(alert), said)

    async def in_vain(self, alert: Alert, now: datetime, reached: tuple[str, ...]) -> None:
        """See `AlertBook.in_vain`."""
        tries = alert.tries + 1
        later = {"nextAt": now + backoff(tries), "tries": tries, "reached": list(reached)}
        with _answered():
            await self._collection.update_one(self._claimed(alert), {"$set": later})

    def _claimed(self, alert: Alert) -> Document:
        """While nobody else has claimed it since."""
        return {"_id": alert.id, "claimedBy": self._replica}

    async def acknowledge(self, ident: str, by: str, reason: str) -> None:
        """See `AlertBook.acknowledge`."""
        taken = {"by": {"$literal": by}, "reason": {"$literal": reason}, "at": "$$NOW"}
        claims = {"$add": ["$claims", 1]}
        with _answered():
            await self._collection.update_one(
                {"_id": ident, "acknowledged": None, "overAt": None},
                [{"$set": {"acknowledged": taken, "claims": claims}}],
            )


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise StoreAway(type(error).__name__) from error


def _said(what: Sighting) -> Document:
    """What it says; who tells it without evidence takes nobody's away."""
    said: Document = {
        "severity": what.severity,
        "reason": _text(what.reason),
        "suggestedCommand": what.suggested_command,
    }
    if what.evidence:  # as pairs: names are anything, dots and dollars in them are data
        said["evidence"] = [[_text(n), _text(v)] for n, v in what.evidence.items()]
    return said


def _text(said: str) -> str:
    """As it can be stored: a provider's broken answer may be in a reason."""
    return said.encode(errors="replace").decode()


def _fresh(what: Sighting, values: Document) -> Document:
    document: Document = {
        "key": what.key,
        "code": what.code,
        "provider": what.provider,
        "since": what.at,
        "ends": what.ends,
        "claims": 0,
        **_NO_TRIES,
    }
    return document if "told" in values else {**document, "told": None}


def _literal(values: Document) -> Document:
    return {name: {"$literal": value} for name, value in values.items()}


def _alert(document: Document) -> Alert:
    told, taken = document["told"], document.get("acknowledged")
    alive = document["now"] - timedelta(seconds=UNSEEN_S)
    seen = {replica: at for replica, at in document.get("seen", {}).items() if at > alive}
    return Alert(
        id=document["_id"],
        code=document["code"],
        provider=document["provider"],
        severity=document["severity"],
        reason=document["reason"],
        since=document["since"],
        last_seen=document["lastSeen"],
        ends=document["ends"],
        count=document["count"],
        seen_by=tuple(seen),
        over_at=document["overAt"],
        over_reason=document.get("overReason"),
        suggested_command=document["suggestedCommand"],
        evidence=dict(document.get("evidence", ())) or None,
        acknowledged=Acknowledged(**taken) if taken else None,
        told=Told(Kind(told["kind"]), told["at"]) if told else None,
        claims=document["claims"],
        next_at=document["nextAt"],
        tries=document["tries"],
        reached=tuple(document["reached"]),
    )
