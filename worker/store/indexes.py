"""Indexes, created at start; idempotent.

Rules: partial wherever a query concerns few documents, so that the hot path keeps no index it does
not need. Expiry is by `expireAt` fields, which only settled records have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymongo import ASCENDING, IndexModel

from worker.store import alerts, control_log, messages, replicas, reports, suppressions

if TYPE_CHECKING:
    from worker.store.client import Database

_FORGOTTEN_S: Final = 3_600
"""Age at which the heartbeat of a killed process is removed; it is dead to everybody after 5 s."""
_EXPIRY: Final = IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0)


def _partial(field: str, condition: object, *more: str) -> IndexModel:
    keys = [(name, ASCENDING) for name in (field, *more)]
    return IndexModel(keys, partialFilterExpression=condition)


async def create(database: Database) -> None:
    """Create what is missing."""
    exists = {"$exists": True}
    await database[messages.COLLECTION].create_indexes(
        [
            _EXPIRY,
            _partial("refs", {"refs": exists}),
            _partial("claimedAt", {"state": "submitting"}),
            _partial("changedAt", {"unconfirmed.0": exists}),
            _partial("to.hash", {"state": "unknown"}),
            _partial("judgeAt", {"judgeAt": exists}),
            _partial("reportDue", {"reportDue": exists}),
        ]
    )
    await database[control_log.COLLECTION].create_indexes(
        [IndexModel([("user", ASCENDING), ("commandId", ASCENDING)], unique=True)]
    )
    await database[replicas.COLLECTION].create_indexes(
        [IndexModel([("at", ASCENDING)], expireAfterSeconds=_FORGOTTEN_S)]
    )
    await database[suppressions.COLLECTION].create_indexes([IndexModel([("at", ASCENDING)])])
    await database[reports.COLLECTION].create_indexes(
        [
            _EXPIRY,
            _partial("ref", {"matched": False}),
            _partial("nextAt", {"matched": False}),
        ]
    )
    await database[alerts.COLLECTION].create_indexes(
        [
            _EXPIRY,
            IndexModel([("lastSeen", ASCENDING)]),
            IndexModel([("key", ASCENDING)], unique=True, partialFilterExpression={"open": True}),
        ]
    )
