"""Which message the broker does not take, where it closes the connection because of one.

Rules:
- A closing accuses all that was under way, and proves nothing against any of it. From then on each
  of the accused is published alone: nothing else is under way beside it.
- What closes the connection while it is alone is proved. The first proof takes the headers of
  others off it; `GIVEN_UP_AFTER` proofs, and it is given up for `GIVEN_UP_S`.
- An internal error of the broker accuses, and proves nothing: it may be the broker's own trouble.
  Such a message is tried for ever, more and more seldom.
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
"""After that it may be tried again: what was not to be published then may be now."""
_BACKOFF_S: Final = 0.2
_LONGEST_BACKOFF_S: Final = 30.0
_KEPT: Final = 1000
_PROVES: Final = (ConnectionFrameError, ConnectionSyntaxError, ChannelPreconditionFailed)
_ACCUSES: Final = (*_PROVES, ConnectionInternalError)
"""Why the broker closes a connection or channel because of what was published on it."""


class Turns:
    """Many publish at the same time, or one alone."""

    def __init__(self) -> None:
        self._under_way = 0
        self._one = asyncio.Lock()
        self._all = asyncio.Condition()
        self._alone = False

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """A turn beside others."""
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
        """A turn with nothing beside it."""
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
    """What the broker's closings say about one message."""

    failures: int = 0
    accused: bool = False
    proofs: int = 0

    def failed(self, error: BaseException) -> None:
        """It was not confirmed because of that error."""
        self.failures += 1
        if isinstance(error, _PROVES) and self.accused:
            self.proofs += 1
        self.accused |= isinstance(error, _ACCUSES)

    @property
    def backoff_s(self) -> float:
        """Seconds until it is tried again."""
        if not self.accused:
            return _BACKOFF_S
        return min(_BACKOFF_S * 2.0 ** min(self.failures, 10), _LONGEST_BACKOFF_S)


class GivenUp:
    """Ids of the messages given up of late, the newest `_KEPT`."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, ident: str) -> None:
        """It is given up now."""
        self._until[ident] = asyncio.get_running_loop().time() + GIVEN_UP_S
        if len(self._until) > _KEPT:
            del self._until[next(iter(self._until))]

    def __contains__(self, ident: str) -> bool:
        """Whether it was given up within `GIVEN_UP_S`."""
        until = self._until.get(ident)
        if until is None:
            return False
        if asyncio.get_running_loop().time() < until:
            return True
        del self._until[ident]
        return False
