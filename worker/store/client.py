"""The connection to MongoDB, with the settings on which everything else relies.

Rules:
- Writes are majority writes with journal. Reads are majority reads from the primary. The driver
  repeats both after errors of the network until their deadline, but not `update_many`.
- There is a client-side deadline (`timeoutMS`, which also bounds the server's work) and no socket
  timeout. After a socket timeout a write could still appear after the client has read again.
- The address cannot change these settings (`store.address`).
- Motor is past its end of life. Its replacement changes only this module and the type `Any`.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from motor.motor_asyncio import AsyncIOMotorClient

from worker.store import address, server

if TYPE_CHECKING:
    from collections.abc import Callable

_log = structlog.get_logger(__name__)


class Database:
    """A client and its database.

    Args:
        url: `mongodb://` or `mongodb+srv://`, with credentials.
        name: of the database.
        timeout_s: of each operation, seconds.
        client: builds the driver's client from the address and its options.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        timeout_s: float,
        client: Callable[..., Any] = AsyncIOMotorClient,
    ) -> None:
        reached, self._left_out = address.split(url)
        self._client = client(
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
        """Raise pymongo's error if no primary answers."""
        await self.db.command("ping")

    async def check(self) -> None:
        """Check that the server has what the worker needs.

        Raises:
            UnfitServerError: the server is not suitable.
            PyMongoError: the server does not answer.
        """
        if self._left_out:
            _log.warning("options of MONGO_URL are not used", options=self._left_out)
        await server.check(self.db)

    async def close(self) -> None:
        """Close the sockets. Ends sessions only if the server answers in time. Idempotent."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._client.close()
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(closed.set)

        # The driver ends its sessions by a blocking call without a deadline. So it runs in a
        # daemon thread, which blocks neither our loop nor the end of the process.
        threading.Thread(target=close, name="close store", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                await closed.wait()
