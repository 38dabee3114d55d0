"""Creates the indexes at the start. Idempotent.

Rules: an index is partial if its query concerns few documents, so that frequent writes update no
index they do not need. Documents expire by `expireAt`, which only settled records have. Documents
that are never needed for long expire by their own time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pymongo import ASCENDING, IndexModel

from worker.store import (
    alerts,
    cohorts,
    control_log,
    failures,
    messages,
    replicas,
    reports,
    suppressions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.store.client import Database

_FORGOTTEN_S: Final = 3_600
"""Age at which the heartbeat of a killed process is removed. It counts as dead after 5 s."""
_EXPIRY: Final = IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0)


def _partial(field: str, condition: object, *more: str) -> IndexModel:
    keys = [(name, ASCENDING) for name in (field, *more)]
    return IndexModel(keys, partialFilterExpression=condition)


_EXISTS: Final = {"$exists": True}
_MESSAGES: Final = (
    _EXPIRY,
    _partial("refs", {"refs": _EXISTS}),
    _partial("claimedAt", {"state": "submitting"}),
    _partial("expiresAt", {"state": "waiting"}),
    _partial("changedAt", {"unconfirmed.0": _EXISTS}),
    _partial("to.hash", {"state": "unknown"}),
    IndexModel(
        [("to.hash", ASCENDING)],
        name="to.hash_of_resent",
        partialFilterExpression={"resendUsed": True},
    ),
    _partial("judgeAt", {"judgeAt": _EXISTS}),
    _partial("reportDue", {"reportDue": _EXISTS}),
    IndexModel(
        [("reportDue", ASCENDING)],
        name="reportDue_of_unknown",
        partialFilterExpression={"state": "unknown"},
    ),
)
_REPORTS: Final = (
    _EXPIRY,
    _partial("ref", {"matched": False}),
    _partial("nextAt", {"matched": False}),
)
_ALERTS: Final = (
    _EXPIRY,
    IndexModel([("lastSeen", ASCENDING)]),
    IndexModel([("key", ASCENDING)], unique=True, partialFilterExpression={"open": True}),
)
_COMMAND: Final = IndexModel([("user", ASCENDING), ("commandId", ASCENDING)], unique=True)
_CHANGES: Final = _partial("at", {"changed": True}, "_id")


def _by_age(kept_s: int) -> IndexModel:
    return IndexModel([("at", ASCENDING)], expireAfterSeconds=kept_s)


INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    messages.COLLECTION: _MESSAGES,
    control_log.COLLECTION: (_COMMAND, _CHANGES),
    replicas.COLLECTION: (_by_age(_FORGOTTEN_S),),
    cohorts.COLLECTION: (_by_age(cohorts.KEPT_S),),
    failures.COLLECTION: (_by_age(failures.KEPT_S),),
    suppressions.COLLECTION: (IndexModel([("at", ASCENDING)]),),
    reports.COLLECTION: _REPORTS,
    alerts.COLLECTION: _ALERTS,
}
"""The indexes by collection."""


async def create(database: Database) -> None:
    """Create missing indexes."""
    for collection, wanted in INDEXES.items():
        await database[collection].create_indexes(list(wanted))
