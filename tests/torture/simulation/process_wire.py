"""The wire of one simulated process to one server, with what its scenario says of each call.

Rules: nothing here decides by chance but how many milliseconds a call takes. Calls and pushes of an
ordered wire (one connection) never overtake each other; those of others may.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tests.torture.simulation.fates import KILLS, Fate
from tests.torture.simulation.wire import Lost, NoAnswer

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

T = TypeVar("T")
_SHORTEST_S, _LONGEST_S = 0.0002, 0.004
_APART_S = 1e-6
"""Between two calls of one connection."""
_LATE_S = 0.05
"""By how much a late request misses its caller."""


class Caller(Protocol):
    """The process that calls."""

    alive: bool
    paused_until: float
    """Loop time until which it runs no code; 0: it runs."""

    def fate_of(self, server: str, name: str) -> Fate | None:
        """Count a call to a server; returns what is to become of it."""
        ...

    def did(self, name: str) -> None:
        """Know that a server has just done what this process asked for, or told it."""
        ...

    def kill(self) -> None:
        """End it as SIGKILL does."""
        ...


class ProcessWire:
    """See `Wire`.

    Args:
        process: who calls.
        server: name of the server in the scenario.
        reachable: whether the server can be reached now.
        chance: how long each call takes.
        ordered: whether calls keep their order, as on one connection.
    """

    def __init__(
        self,
        process: Caller,
        server: str,
        reachable: Callable[[], bool],
        chance: random.Random,
        *,
        ordered: bool = False,
    ) -> None:
        self.process = process
        self._server = server
        self._reachable = reachable
        self._draw = chance.random
        self._ordered = ordered
        self._loop = asyncio.get_running_loop()
        self._last_request = self._last_reply = 0.0

    async def call(self, name: str, apply: Callable[[], T], *, within_s: float = 10.0) -> T:
        """See `Wire.call`."""
        if not self.process.alive:
            raise asyncio.CancelledError
        fate = self.process.fate_of(self._server, name)
        if fate is Fate.KILL_BEFORE:
            self.process.kill()
            raise asyncio.CancelledError
        reply: asyncio.Future[T] = self._loop.create_future()
        late = within_s + _LATE_S if fate is Fate.LATE else 0.0
        due = self._loop.time() + self._travel_s() + late
        if self._ordered:
            due = self._last_request = max(due, self._last_request + _APART_S)
        gives_up = self._loop.time() + within_s
        self._loop.call_at(due, self._arrive, name, apply, fate, reply, gives_up)
        if late:
            self._loop.call_at(gives_up, _lose, reply)
        return await reply

    def push(self, name: str, deliver: Callable[[], None], lost: Callable[[], None]) -> None:
        """See `Wire.push`. A lost connection is told by a push of its own."""
        del lost
        self.process.did(name)
        self._loop.call_at(self._reply_at(), self._reach, deliver)

    def _arrive(
        self,
        name: str,
        apply: Callable[[], Any],
        fate: Fate | None,
        reply: asyncio.Future[Any],
        gives_up: float,
    ) -> None:
        if fate is Fate.LOSE_REQUEST:
            self._loop.call_at(gives_up, _lose, reply)
        elif fate is Fate.RESET or not self._reachable():
            _lose(reply)
        else:
            self._apply(name, apply, fate, reply, gives_up)

    def _apply(
        self,
        name: str,
        apply: Callable[[], Any],
        fate: Fate | None,
        reply: asyncio.Future[Any],
        gives_up: float,
    ) -> None:
        done, error = None, None
        try:
            done = apply()
        except NoAnswer:
            fate = fate or Fate.LOSE_REPLY
        except Exception as raised:  # noqa: BLE001 - it is the reply
            error = raised
        self.process.did(name)
        if fate in KILLS:
            self.process.kill()
        elif fate is Fate.RESET_AFTER:
            _lose(reply)
        elif fate is Fate.LOSE_REPLY:
            self._loop.call_at(gives_up, _lose, reply)
        elif fate is Fate.SLOW:
            self._loop.call_at(gives_up - _LATE_S, self._reach, lambda: _answer(reply, done, error))
        else:
            self._loop.call_at(self._reply_at(), self._reach, lambda: _answer(reply, done, error))

    def _reply_at(self) -> float:
        due = self._loop.time() + self._travel_s()
        if self._ordered:
            due = self._last_reply = max(due, self._last_reply + _APART_S)
        return due

    def _reach(self, deliver: Callable[[], None]) -> None:
        """Deliver to the process, once it runs again."""
        if not self.process.alive:
            return
        if self.process.paused_until > self._loop.time():
            self._loop.call_at(self.process.paused_until, self._reach, deliver)
        else:
            deliver()

    def _travel_s(self) -> float:
        return _SHORTEST_S + (_LONGEST_S - _SHORTEST_S) * self._draw()


def _answer(reply: asyncio.Future[Any], done: Any, error: Exception | None) -> None:
    if reply.done():
        return
    if error is not None:
        reply.set_exception(error)
    else:
        reply.set_result(done)


def _lose(reply: asyncio.Future[Any]) -> None:
    if not reply.done():
        reply.set_exception(Lost())
