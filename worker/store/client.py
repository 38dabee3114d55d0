"""The connection to MongoDB, with the settings everything else relies on.

Rules: majority writes, journalled; majority reads from the primary; a client-side deadline
(`timeoutMS`, which also bounds the server's work) and no socket timeout, because a write that
outlives its client's patience would appear after the client re-read. Motor is past its end of
life: this module and the type `Any` are all that changes with its successor.
"""

from __future__ import annotations

from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient


class Database:
    """A client and its database."""

    def __init__(self, url: str, name: str, *, timeout_s: float) -> None:
        self._client: Any = AsyncIOMotorClient(
            url,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            timeoutMS=int(timeout_s * 1000),
            tz_aware=True,
            appname="sms-worker",
            maxPoolSize=20,
        )
        self.db: Any = self._client[name]

    def __getitem__(self, collection: str) -> Any:
        """A collection."""
        return self.db[collection]

    async def ping(self) -> None:
        """Raise pymongo's error when no primary answers."""
        await self.db.command("ping")

    async def close(self) -> None:
        """Close the sockets. Idempotent."""
        self._client.close()
