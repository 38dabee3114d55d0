"""Steers like an administrator, and reads from the database what is still under way.

Rules: commands are real, with a real login, and a refusal ends the demo. The gates are overridden
with a recorded reason, because the demo cannot wait half an hour at each percentage. A change
counts when every live worker uses it and sends nothing by an older state.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from worker.domain.messages.message import State
from worker.domain.migration.snapshot import AUTOMATIC
from worker.lab.demo.facts import Standing
from worker.lab.demo.waiting import FactMissing, until_asked
from worker.store import messages
from worker.store.client import Database

if TYPE_CHECKING:
    from worker.lab.demo.client import Administrator

REASON: Final = "the demo"
OVERRIDE: Final = "the demo cannot wait for the minimum time at each percentage"
_TIMEOUT_S: Final = 5.0
_OPEN: Final = (str(State.SUBMITTING), str(State.WAITING))


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the control log."""

    name: str
    text: str
    at: datetime


class Steering:
    """An administrator who can also read the store.

    Args:
        administrator: a connected administrator.
        mongo_url: address of the workers' store.
        name: name of the database.
    """

    def __init__(self, administrator: Administrator, mongo_url: str, name: str = "sms") -> None:
        self._administrator = administrator
        self._database = Database(mongo_url, name, timeout_s=_TIMEOUT_S)

    async def close(self) -> None:
        """Close the sockets."""
        await self._database.close()

    async def advance(self) -> str:
        """Advance to the next phase and override the gates; returns the worker's reply."""
        return await self._accepted("advance", overrideGates=OVERRIDE)

    async def emergency_rollback(self, replicas_wanted: int) -> float:
        """Send all traffic to legacy; returns the seconds until every worker used it."""
        began = time.monotonic()
        await self._accepted("emergency-rollback")
        await self.applied(replicas_wanted)
        return time.monotonic() - began

    async def automation(self, *, rolls_back: bool) -> None:
        """Set whether the monitor may roll back by itself."""
        flags = (await self._administrator.query("status"))["state"]["flags"]
        flags["SmsFeatureFlags"]["EnableAutomaticRollback"] = rolls_back
        await self._accepted("set-flags", flags=flags)

    async def standing(self) -> Standing:
        """The state in force, and the monitor's entries since the last command."""
        entries = await self._automatic()
        state = (await self._administrator.query("status"))["state"]
        names = tuple(entry.name for entry in entries)
        return Standing(state["phase"], state["percentage"], names)

    async def rollbacks(self) -> list[Entry]:
        """The monitor's rollbacks since the last command, oldest first."""
        return [each for each in await self._automatic() if each.name == "automatic-rollback"]

    async def _automatic(self) -> list[Entry]:
        """The monitor's log entries since the last command, oldest first."""
        reply = await self._administrator.query("history")
        entries = (reply.get("data") or {}).get("entries", [])
        newest = takewhile(lambda entry: entry["user"] == AUTOMATIC, entries)
        return [_entry(each) for each in newest][::-1]

    async def applied(self, replicas_wanted: int) -> None:
        """Wait until this number of live workers uses the state in force, and none an older one."""

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
        """The number of messages with a call or retry under way, or an event to publish."""
        query = {
            "_id": {"$gte": prefix, "$lt": prefix + "\x7f"},
            "$or": [{"state": {"$in": list(_OPEN)}}, {"unconfirmed.0": {"$exists": True}}],
        }
        count: int = await self._database[messages.COLLECTION].count_documents(query)
        return count


def _entry(shown: dict[str, Any]) -> Entry:
    entered_at = datetime.fromisoformat(shown["at"])
    return Entry(str(shown["command"]["name"]), str(shown["text"]), entered_at)


def _follows(replica: dict[str, Any], version: int) -> bool:
    applied, oldest = replica.get("applied") or 0, replica.get("oldestUnsent")
    return applied >= version and (oldest is None or oldest >= version)
