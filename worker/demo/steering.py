"""Steers as an administrator does, and asks the database what is still under way.

Rules: real commands with a real login, refusals are failures of the story. The gates are overridden
with a reason, because the demo cannot wait half an hour at each percentage; that is on record. A
change counts when every live worker says that it goes by it and holds nothing older.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from worker.demo.waiting import FactMissing, until_asked
from worker.domain.flags import AUTOMATIC
from worker.domain.message import State
from worker.store import messages
from worker.store.client import Database

if TYPE_CHECKING:
    from worker.demo.client import Administrator

REASON: Final = "the demo"
OVERRIDE: Final = "the demo cannot wait for the minimum time at each percentage"
_TIMEOUT_S: Final = 5.0
_OPEN: Final = (str(State.SUBMITTING), str(State.WAITING))


class Steering:
    """An administrator, and a look into the store.

    Args:
        administrator: connected.
        mongo_url: of the workers' store.
        name: of the database.
    """

    def __init__(self, administrator: Administrator, mongo_url: str, name: str = "sms") -> None:
        self._administrator = administrator
        self._database = Database(mongo_url, name, timeout_s=_TIMEOUT_S)

    async def close(self) -> None:
        """Close the sockets."""
        await self._database.close()

    async def advance(self) -> str:
        """To the next phase, in spite of the gates; returns what the worker answered."""
        return await self._accepted("advance", overrideGates=OVERRIDE)

    async def emergency_rollback(self, replicas_wanted: int) -> float:
        """All traffic to legacy; returns the seconds until every worker went by it."""
        began = time.monotonic()
        await self._accepted("emergency-rollback")
        await self.applied(replicas_wanted)
        return time.monotonic() - began

    async def automation(self, *, rolls_back: bool) -> None:
        """Whether the monitor may go down by itself."""
        flags = (await self._administrator.query("status"))["state"]["flags"]
        flags["SmsFeatureFlags"]["EnableAutomaticRollback"] = rolls_back
        await self._accepted("set-flags", flags=flags)

    async def rolled_back(self) -> str | None:
        """What the monitor wrote of its rollback into the log; None: it made none."""
        reply = await self._administrator.query("history")
        entries = (reply.get("data") or {}).get("entries", [])
        return next(
            (
                str(each["text"])
                for each in entries
                if each["user"] == AUTOMATIC and each["code"] == "automatic-rollback"
            ),
            None,
        )

    async def applied(self, replicas_wanted: int) -> None:
        """Wait until so many live workers go by what is in force, and nobody by anything older."""

        async def seen() -> bool:
            reply = await self._administrator.query("status")
            replicas = (reply.get("data") or {}).get("replicas", [])
            version = reply.get("version", 0)
            return len(replicas) >= replicas_wanted and all(
                _follows(each, version) for each in replicas
            )

        await until_asked(seen, "every worker goes by what is in force")

    async def _accepted(self, name: str, **fields: Any) -> str:
        reply = await self._administrator.command(name, REASON, **fields)
        if reply["verdict"] != "accepted":
            raise FactMissing(f"{name} accepted: {reply['text']}")
        return str(reply["text"])

    async def under_way(self, prefix: str) -> int:
        """Messages with a call or a retry under way, or an event to publish."""
        query = {
            "_id": {"$gte": prefix, "$lt": prefix + "\x7f"},
            "$or": [{"state": {"$in": list(_OPEN)}}, {"unconfirmed.0": {"$exists": True}}],
        }
        count: int = await self._database[messages.COLLECTION].count_documents(query)
        return count


def _follows(replica: dict[str, Any], version: int) -> bool:
    applied, oldest = replica.get("applied") or 0, replica.get("oldestUnsent")
    return applied >= version and (oldest is None or oldest >= version)
