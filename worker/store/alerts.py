"""Stores the alerts of all replicas: one document for each trouble or event.

Rules: at most one trouble with a key is open (a unique partial index). A trouble that comes back
soon is the same alert, opened again. The server's clock decides which replicas see it and when the
claim of a notice ends. A compare-and-set on `claims` decides which replica sends the notices.

    alerts  {_id: alert id, key, open, code, provider, severity, reason, evidence, suggestedCommand,
             since, lastSeen, count, ends, seen: {replica: at}, overAt, overReason, acknowledged,
             told, claims, nextAt, tries, reached, expireAt}
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from worker.domain.alerts.alert_codes import SEVERITIES
from worker.domain.alerts.notices import (
    LEASE,
    SAME_S,
    SHOWN,
    UNSEEN_S,
    Acknowledged,
    Alert,
    Kind,
    Told,
    apart,
    backoff,
)
from worker.domain.stored import read_known, word
from worker.store.errors import errors_as_unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.alerts.alert_codes import Severity
    from worker.domain.alerts.notices import AlertObservation

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

    # --- observations of replicas ----------------------------------------------------------

    async def record(self, what: AlertObservation, *, told: bool = False) -> None:
        """See `AlertBook.record`."""
        with errors_as_unavailable:
            if what.over:
                await self._ended(what)
            elif what.ends:
                await self._began(what, count=1, told=told)
            else:
                await self._happened(what, told=told)

    async def confirm(self, what: AlertObservation, *, told: bool = False) -> None:
        """See `AlertBook.confirm`."""
        with errors_as_unavailable:
            await self._began(what, count=0, told=told)

    async def _began(self, what: AlertObservation, *, count: int, told: bool) -> None:
        """Join the open alert with this key, else reopen a recent one or open a new one."""
        seen = {"$currentDate": {f"seen.{self._replica}": True, "lastSeen": True}}
        values: Document = {"open": True}
        if told:
            values["told"] = {"kind": str(Kind.NEW), "at": what.at}
        while True:
            joined = {"$set": values, "$inc": {"count": count}, **seen}
            result = await self._collection.update_one({"key": what.key, "open": True}, joined)
            if result.matched_count:
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
                continue  # another replica opened it first, so join that one
            return

    async def _again(self, what: AlertObservation, begun: Document) -> bool:
        """Reopen a trouble that ended recently; False: there is none."""
        lately = {"key": what.key, "ends": True, "overAt": {"$gt": what.at - _SAME}}
        newest = [("overAt", DESCENDING)]
        reopened = await self._collection.find_one_and_update(lately, begun, sort=newest)
        return reopened is not None

    async def _happened(self, what: AlertObservation, *, told: bool) -> None:
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

    async def _ended(self, what: AlertObservation) -> None:
        """Note that this replica no longer sees it. It is over if no replica does."""
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
        with errors_as_unavailable:
            await self._collection.update_one(as_read, {"$set": {**over, "expireAt": now + _KEPT}})

    # --- reading -----------------------------------------------------------------------------

    async def recent(self) -> list[tuple[Alert, datetime]]:
        """See `AlertBook.recent`."""
        since = {"$subtract": ["$$NOW", int(SHOWN.total_seconds() * 1000)]}
        lately = {"$expr": {"$gt": ["$lastSeen", since]}}
        pipeline = [
            {"$match": {"$or": [{"open": True}, lately]}},
            {"$addFields": {"now": "$$NOW"}},
            {"$sort": {"since": -1, "_id": 1}},
        ]
        with errors_as_unavailable:
            documents = await self._collection.aggregate(pipeline).to_list(None)
        return [(stored_alert(document), document["now"]) for document in documents]

    # --- notices -----------------------------------------------------------------------------

    async def claim(self, alert: Alert, now: datetime) -> bool:
        """See `AlertBook.claim`."""
        as_read = {"_id": alert.id, "claims": alert.claims}
        mine = {
            "$set": {"nextAt": now + LEASE, "claimedBy": self._replica},
            "$inc": {"claims": 1},
        }
        with errors_as_unavailable:
            done = await self._collection.update_one(as_read, mine)
        return bool(done.matched_count)

    async def told(self, alert: Alert, kind: Kind) -> None:
        """See `AlertBook.told`."""
        said = [
            {"$set": {"told": {"kind": str(kind), "at": "$$NOW"}, **_literal(_NO_TRIES)}},
        ]
        with errors_as_unavailable:
            await self._collection.update_one(self._claimed(alert), said)

    async def in_vain(self, alert: Alert, now: datetime, reached: tuple[str, ...]) -> None:
        """See `AlertBook.in_vain`."""
        tries = alert.tries + 1
        later = {"nextAt": now + backoff(tries), "tries": tries, "reached": list(reached)}
        with errors_as_unavailable:
            await self._collection.update_one(self._claimed(alert), {"$set": later})

    def _claimed(self, alert: Alert) -> Document:
        """The filter: no other replica has claimed it since."""
        return {"_id": alert.id, "claimedBy": self._replica}

    async def acknowledge(self, ident: str, by: str, reason: str) -> None:
        """See `AlertBook.acknowledge`."""
        taken = {"by": {"$literal": by}, "reason": {"$literal": reason}, "at": "$$NOW"}
        claims = {"$add": ["$claims", 1]}
        with errors_as_unavailable:
            await self._collection.update_one(
                {"_id": ident, "acknowledged": None, "overAt": None},
                [{"$set": {"acknowledged": taken, "claims": claims}}],
            )


def _said(what: AlertObservation) -> Document:
    """The fields of an observation. Without evidence it keeps the stored evidence."""
    said: Document = {
        "severity": what.severity,
        "reason": _text(what.reason),
        "suggestedCommand": what.suggested_command,
    }
    if what.evidence:  # stored as pairs, because names may have dots and dollars
        said["evidence"] = [[_text(n), _text(v)] for n, v in what.evidence.items()]
    return said


def _text(said: str) -> str:
    """The text in a form that can be stored. A reason may quote a broken answer of a provider."""
    return said.encode(errors="replace").decode()


def _fresh(what: AlertObservation, values: Document) -> Document:
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


def stored_alert(document: Document) -> Alert:
    """Read a stored alert, with the server's `now`."""
    told, taken, now = document.get("told"), document.get("acknowledged"), document["now"]
    return Alert(
        id=document["_id"],
        code=document["code"],
        provider=document.get("provider"),
        severity=_severity(document.get("severity")),
        reason=document["reason"],
        since=document["since"],
        last_seen=document["lastSeen"],
        ends=document["ends"],
        count=document.get("count", 1),
        seen_by=tuple(
            replica for replica, at in document.get("seen", {}).items() if _lately(at, now)
        ),
        over_at=document.get("overAt"),
        over_reason=document.get("overReason"),
        suggested_command=document.get("suggestedCommand"),
        evidence=dict(document.get("evidence", ())) or None,
        acknowledged=read_known(Acknowledged, taken) if taken else None,
        told=Told(word(Kind, told["kind"], Kind.REPEAT), told["at"]) if told else None,
        claims=document.get("claims", 0),
        next_at=document.get("nextAt"),
        tries=document.get("tries", 0),
        reached=tuple(document.get("reached", ())),
    )


def _lately(at: datetime, now: datetime) -> bool:
    """Whether a time is near now, before or after. The server's clock may have been ahead."""
    return apart(at, now) < timedelta(seconds=UNSEEN_S)


def _severity(stored: object) -> Severity:
    """Read a severity. An unknown one of a newer version becomes a warning."""
    return next((each for each in SEVERITIES if each == stored), "warning")
