"""Stores calls by the slot in which they began, in MongoDB.

Rules: one document for each owner, provider and slot of 10 s, always written as a whole, so a
repeated write counts nothing twice. Cohorts are stored apart from the slots of ended calls
(`slots`), so that health reports do not read them. They are kept for ten minutes and needed for
one.

    cohorts   {_id: "owner:provider:epoch", owner, provider, at, counts}

`counts` maps names to numbers, absent = 0. The writer defines the names (`telemetry.cohorts`).
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
        """Sums by name; zeros may be absent."""
        ...


class CohortStore:
    """Writes the cohorts of this process and reads those of all replicas.

    Args:
        collection: stores the cohorts.
        owner: new id of this process start, so that a restart writes new documents.
    """

    def __init__(self, collection: Any, owner: str) -> None:
        self._collection = collection
        self._owner = owner

    async def write(self, rows: Sequence[CohortRow]) -> bool:
        """Write the present rows; False: the store did not take all of them."""
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
            documents = await self._collection.find(
                {"at": {"$gte": since, "$lte": until}}, wanted
            ).to_list(None)
        return [
            CohortSums(
                each["owner"],
                each["provider"],
                int(each["at"].timestamp()),
                {name: each.get("counts", {}).get(name, 0) for name in names},
            )
            for each in documents
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
