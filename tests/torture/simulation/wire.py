"""What lies between a simulated process and a server: delay, loss, and the end of the process.

    process --request--> server --reply--> process

Rules:
- A call is applied at the server in one piece, at one moment, or not at all.
- A process that was killed gets no reply and makes no call that has an effect. What it sent before
  may still be applied.
- A server may speak first: a push is carried to the process, or the connection is lost.
- Each call has a name, and each name two points: `before` (nothing left yet) and `applied` (the
  server did it, the process does not know).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Lost(Exception):  # noqa: N818 - a fact of the network
    """No reply came in time, or the connection ended: whether it was applied is not known."""


class NoAnswer(Exception):  # noqa: N818 - a fact of the server
    """What a call applies raises this if the server did its work and never answers."""


class Wire(Protocol):
    """Carries the calls of one process to one server."""

    async def call(self, name: str, apply: Callable[[], T], *, within_s: float = 10.0) -> T:
        """Carry a request, apply it at the server, carry the reply.

        Args:
            name: of the call, as fault points name it: `database.messages.insert_many`.
            apply: what the server does; it runs at the server's moment, without an `await`. What
                it raises is the reply.
            within_s: seconds of virtual time after which the caller gives up.

        Raises:
            Lost: whether it was applied is not known.
        """
        ...

    def push(self, name: str, deliver: Callable[[], None], lost: Callable[[], None]) -> None:
        """Carry what a server says by itself.

        Args:
            name: of what it says, as fault points name it.
            deliver: called when it reaches the process; never if the process is killed.
            lost: called instead when the connection ends before that.
        """
        ...


class Direct:
    """A wire without delay or loss, for suites that run over the stand-ins."""

    async def call(self, name: str, apply: Callable[[], T], *, within_s: float = 10.0) -> T:
        """See `Wire.call`."""
        del name, within_s
        await asyncio.sleep(0)
        return apply()

    def push(self, name: str, deliver: Callable[[], None], lost: Callable[[], None]) -> None:
        """See `Wire.push`."""
        del name, lost
        asyncio.get_running_loop().call_soon(deliver)
