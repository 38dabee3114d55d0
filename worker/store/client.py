"""The connection to MongoDB, with the settings everything else relies on.

Rules: majority writes, journalled; majority reads from the primary; reads and writes repeated once
by the driver; a client-side deadline (`timeoutMS`, which also bounds the server's work) and no
socket timeout, because a write that outlives its client's patience would appear after the client
re-read. The address changes none of it (`store.address`). Motor is past its end of life: this
module and the type `Any` are all that changes with its successor.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import structlog
from motor.motor_asyncio import AsyncIOMotorClient

from worker.store import address, server

_log = structlog.get_logger(__name__)


class Database:
    """A client and its database."""

    def __init__(self, url: str, name: str, *, timeout_s: float) -> None:
        reached, self._left_out = address.split(url)
        self._client: Any = AsyncIOMotorClient(
            reached,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            readPreference="primary",
            retryWrites=True,
            retryReads=True,
            timeoutMS=int(timeout_s * 1000),
            tz_aware=True,
            appname="sms-worker",
            maxPoolSize=20,
        )
        self._timeout_s = timeout_s
        self.db: Any = self._client[name]

    def __getitem__(self, collection: str) -> Any:
        """A collection."""
        return self.db[collection]

    async def ping(self) -> None:
        """Raise pymongo's error when no primary answers."""
        await self.db.command("ping")

    async def check(self) -> None:
        """Make sure that the server is one to rely on.

        Raises:
            UnfitServerError: it is not.
            PyMongoError: it does not answer.
        """
        if self._left_out:
            _log.warning("options of MONGO_URL are not used", options=self._left_out)
        await server.check(self.db)

    async def close(self) -> None:
        """Close the sockets; takes leave of the server only if it answers in time. Idempotent."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._client.close()
            with suppress(RuntimeError):  # the loop may be gone by now
                loop.call_soon_threadsafe(closed.set)

        # The driver ends its sessions by a blocking call without a deadline: not on our loop, and
        # in a thread that the end of the process does not wait for.
        threading.Thread(target=close, name="close store", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                await closed.wait()
