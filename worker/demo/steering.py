"""Puts phase and percentage in force, and asks the database what is still under way.

Rules: an entry in the control log, like any command; in force when every live worker says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from worker.clock import SystemClock
from worker.domain.message import State
from worker.ports import LogEntry
from worker.store import control_log, messages, replicas
from worker.store.client import Database
from worker.store.control_log import ControlLogStore

if TYPE_CHECKING:
    from worker.domain.phases import Phase

_TIMEOUT_S: Final = 5.0
_OPEN: Final = (str(State.SUBMITTING), str(State.WAITING))


class Steering:
    """An administrator at the store.

    Args:
        mongo_url: where.
        name: of the database.
    """

    def __init__(self, mongo_url: str, name: str = "sms") -> None:
        self._database = Database(mongo_url, name, timeout_s=_TIMEOUT_S)

    async def close(self) -> None:
        """Close the sockets."""
        await self._database.close()

    async def put(self, phase: Phase, percentage: int) -> int:
        """Append what shall be in force; returns its version."""
        log = ControlLogStore(self._database[control_log.COLLECTION], SystemClock())
        last = await log.last()
        if last is None:
            raise LookupError("nothing is in force: no worker has started yet")
        number, before = last
        after = replace(before, version=before.version + 1, phase=phase, percentage=percentage)
        command = {"name": "demo", "phase": str(phase), "percentage": percentage}
        ident = uuid4().hex
        await log.append(
            LogEntry(number + 1, "demo", ident, command, "accepted", before, after, {}, {})
        )
        return after.version

    async def in_force(self, version: int, replicas_wanted: int) -> bool:
        """Whether so many live workers go by that version, and nobody by an older one."""
        applied = [each.get("applied") or 0 for each in await self._live()]
        return len(applied) >= replicas_wanted and min(applied) >= version

    async def under_way(self, prefix: str) -> int:
        """Messages with a call or a retry under way, or an event to publish."""
        query = {
            "_id": {"$gte": prefix, "$lt": prefix + "\x7f"},
            "$or": [{"state": {"$in": list(_OPEN)}}, {"unconfirmed.0": {"$exists": True}}],
        }
        count: int = await self._database[messages.COLLECTION].count_documents(query)
        return count

    async def _live(self) -> list[dict[str, Any]]:
        fresh = {"$gt": [{"$add": ["$at", replicas.ALIVE_MS]}, "$$NOW"]}
        cursor = self._database[replicas.COLLECTION].find({"$expr": fresh})
        found: list[dict[str, Any]] = await cursor.to_list(None)
        return found
