"""Finds the message that makes the broker close the connection.

Rules:
- When the broker closes the connection, every message in flight is a suspect, but none is proved
  guilty. From then on each suspect is published alone, with nothing else in flight.
- A message that closes the connection while it is alone is proved guilty. After the first proof it
  loses its publisher's headers; after `GIVEN_UP_AFTER` proofs it is given up for `GIVEN_UP_S`.
- An internal error of the broker makes a suspect but proves nothing, because the fault may be the
  broker's. Such a message is tried for ever, less and less often.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aio_pika.exceptions import ChannelPreconditionFailed
from aiormq.exceptions import ConnectionFrameError, ConnectionInternalError, ConnectionSyntaxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

GIVEN_UP_AFTER: Final = 3
GIVEN_UP_S: Final = 3600.0
"""Seconds until a message that was given up may be tried again; it may work by then."""
_BACKOFF_S: Final = 0.2
_LONGEST_BACKOFF_S: Final = 30.0
_KEPT: Final = 1000
_PROVES: Final = (ConnectionFrameError, ConnectionSyntaxError, ChannelPreconditionFailed)
_ACCUSES: Final = (*_PROVES, ConnectionInternalError)
"""Why the broker closes a connection or channel because of what was published on it."""


class Turns:
    """Lets many publishes run at the same time, or one alone."""

    def __init__(self) -> None:
        self._under_way = 0
        self._one = asyncio.Lock()
        self._all = asyncio.Condition()
        self._alone = False

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Take a turn together with others."""
        if self._alone:
            async with self._all:
                await self._all.wait_for(lambda: not self._alone)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if self._alone and not self._under_way:
                await self._tell()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Take a turn while no other publish runs."""
        async with self._one:
            self._alone = True
            try:
                async with self._all:
                    await self._all.wait_for(lambda: not self._under_way)
                yield
            finally:
                self._alone = False
                await self._tell()

    async def _tell(self) -> None:
        async with self._all:
            self._all.notify_all()


@dataclass(slots=True)
class Trial:
    """What is known against one message."""

    failures: int = 0
    accused: bool = False
    proofs: int = 0

    def failed(self, error: BaseException) -> None:
        """Count an error because of which the message was not confirmed."""
        self.failures += 1
        if isinstance(error, _PROVES) and self.accused:
            self.proofs += 1
        self.accused |= isinstance(error, _ACCUSES)

    @property
    def backoff_s(self) -> float:
        """Seconds until the next try."""
        if not self.accused:
            return _BACKOFF_S
        return min(_BACKOFF_S * 2.0 ** min(self.failures, 10), _LONGEST_BACKOFF_S)


class GivenUp:
    """The ids of the last `_KEPT` messages that were given up."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, ident: str) -> None:
        """Add a message that is given up now."""
        self._until[ident] = asyncio.get_running_loop().time() + GIVEN_UP_S
        if len(self._until) > _KEPT:
            del self._until[next(iter(self._until))]

    def __contains__(self, ident: str) -> bool:
        """Whether the message was given up within the last `GIVEN_UP_S` seconds."""
        until = self._until.get(ident)
        if until is None:
            return False
        if asyncio.get_running_loop().time() < until:
            return True
        del self._until[ident]
        return False
