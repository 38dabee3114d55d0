"""Calls by the slot in which they began, in MongoDB.

Rules: one document for each owner, provider and slot of 10 s, always written whole: writing one
twice counts nothing twice. Kept apart from the slots of what ended (`slots`), so that reports cost
what they did, and for ten minutes: they are looked at for one.

    cohorts   {_id: "owner:provider:epoch", owner, provider, at, counts}

`counts` is flat, name -> number, absent = 0: the names are the writer's (`telemetry.cohorts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from pymongo import ReplaceOne
from pymongo.errors import PyMongoError

from worker.domain.figures.periods import CohortSums
from worker.store.errors import errors_as_unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

COLLECTION: Final = "cohorts"
KEPT_S: Final = 600
_log = structlog.get_logger(__name__)


class CohortRow(Protocol):
    """Cumulative sums of the calls to one provider that began in one slot."""

    @property
    def provider(self) -> str:
        """Id of the provider."""
        ...

    @property
    def at(self) -> datetime:
        """Start of the slot, UTC."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Sums by name; those of 0 may be absent."""
        ...


class CohortStore:
    """Writes the cohorts of this process and reads those of all.

    Args:
        collection: where they are kept.
        owner: fresh id of this process start; a restart never writes its predecessor's cohorts.
    """

    def __init__(self, collection: Any, owner: str) -> None:
        self._collection = collection
        self._owner = owner

    async def write(self, rows: Sequence[CohortRow]) -> bool:
        """Write rows as they stand now; False: the store did not take them all."""
        try:
            if rows:
                await self._collection.bulk_write([self._row(each) for each in rows], ordered=False)
        except PyMongoError as error:
            _log.warning("cohorts.not_stored", error=type(error).__name__)
            return False
        return True

    async def recent(
        self, since: datetime, until: datetime, names: Sequence[str]
    ) -> list[CohortSums]:
        """Cohorts that begin in [since, until], of every replica, with the sums named.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        wanted = dict.fromkeys(
            ("owner", "provider", "at", *(f"counts.{each}" for each in names)), 1
        )
        with errors_as_unavailable:
            found = await self._collection.find(
                {"at": {"$gte": since, "$lte": until}}, wanted
            ).to_list(None)
        return [
            CohortSums(
                each["owner"],
                each["provider"],
                int(each["at"].timestamp()),
                {name: each.get("counts", {}).get(name, 0) for name in names},
            )
            for each in found
        ]

    def _row(self, row: CohortRow) -> ReplaceOne[Any]:
        ident = f"{self._owner}:{row.provider}:{int(row.at.timestamp())}"
        document = {
            "_id": ident,
            "owner": self._owner,
            "provider": row.provider,
            "at": row.at,
            "counts": dict(row.counts),
        }
        return ReplaceOne({"_id": ident}, document, upsert=True)
