"""Lets a person in who has a login at the broker and a role at the workers.

Rules: the broker alone knows passwords, and the workers alone know roles: both are asked, with the
person's own login. Tries are throttled, and few are made at a time. What was typed as a name is
logged only if somebody of that name was let in before: people type passwords into the wrong field.
"""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from uuid import uuid4

import structlog

from contracts.control import Status
from worker.broker.control_client import (
    BrokerAway,
    ControlClient,
    LoginRefused,
    NoAnswer,
    NotAllowed,
)
from worker.console.throttle import Throttle, Try

if TYPE_CHECKING:
    from collections.abc import Callable

    from contracts.control_views import Asker
    from worker.console.sessions import Sessions
    from worker.ports.clock import Clock

CLIENT: Final = "sms-worker console"
"""Name of its connections in the broker's management views."""
AT_A_TIME: Final = 4
"""Log-ins that the broker is asked for at the same time."""
ANSWER_WITHIN_S: Final = 4.0
_TURN_WITHIN_S: Final = 5.0
_AGAIN_S: Final = 5
_LONGEST: Final = 512
_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
WRONG: Final = "The broker refuses this name and password."
NO_ROLE: Final = "This broker user has no role here."
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LetIn:
    """A session began."""

    ident: str
    """Id of the session, for the browser."""
    user: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """No session began."""

    status: int
    """Of the answer."""
    text: str
    """For the person."""
    retry_after_s: int | None = None


def address_with(broker: str, name: str, password: str) -> str:
    """The address of the broker with a login in it. Built next to its use, and never shown."""
    scheme, _, rest = broker.partition("://")
    return f"{scheme}://{quote(name, safe='')}:{quote(password, safe='')}@{rest}"


class Doorkeeper:
    """Decides on log-ins.

    Args:
        connect: makes the client of a login, from name and password.
        sessions: where a session begins.
        clock: for the throttle.
    """

    def __init__(
        self, connect: Callable[[str, str], ControlClient], sessions: Sessions, clock: Clock
    ) -> None:
        self._connect = connect
        self._sessions = sessions
        self._clock = clock
        self._throttle = Throttle()
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._known: set[str] = set()

    async def let_in(self, name: str, password: str, address: str) -> LetIn | TurnedAway:
        """Try a log-in.

        Args:
            name: of the broker user.
            password: of the broker user.
            address: that the request came from.
        """
        result = await self._in_turn(name, password, address)
        if isinstance(result, TurnedAway):
            return self._turned_away(name, address, result)
        self._known.add(result.user)
        _log.info("logged in", user=result.user, source=address)
        return result

    async def _in_turn(self, name: str, password: str, address: str) -> LetIn | TurnedAway:
        """Wait for a turn, because tries under way count as failed; who must wait gets none."""
        wait_s = self._throttle.wait_s(_counted(name), address, self._clock.monotonic())
        if wait_s > 0:
            return _too_many(wait_s)
        try:
            async with asyncio.timeout(_TURN_WITHIN_S):
                await self._turns.acquire()
        except TimeoutError:
            return _later("Too many people log in at this moment.", _TURN_WITHIN_S)
        try:
            return await self._try(name, password, address)
        finally:
            self._turns.release()

    async def _try(self, name: str, password: str, address: str) -> LetIn | TurnedAway:
        tried = self._throttle.begin(_counted(name), address, self._clock.monotonic())
        if not isinstance(tried, Try):
            return _too_many(tried)
        if not _counted(name) or not 0 < len(password) <= _LONGEST:
            return TurnedAway(403, WRONG)
        return await self._ask(tried, self._connect(name, password))

    async def _ask(self, tried: Try, client: ControlClient) -> LetIn | TurnedAway:
        """Ask the broker and the workers. The client is closed unless a session has it."""
        result: LetIn | TurnedAway = TurnedAway(403, NO_ROLE)
        try:
            reply = await client.ask(Status(command_id=str(uuid4())), ANSWER_WITHIN_S)
            if reply.you is not None:
                result = self._session(tried, reply.you, client)
        except LoginRefused:
            result = TurnedAway(403, WRONG)
        except NotAllowed:
            pass  # it may log in and not ask: no role
        except NoAnswer as error:
            self._throttle.forgive(tried)
            result = _unanswered(error)
        finally:
            if not isinstance(result, LetIn):
                await client.close()
        return result

    def _session(self, tried: Try, you: Asker, client: ControlClient) -> LetIn:
        self._throttle.forgive(tried)
        ident, session = self._sessions.open(you, client)
        return LetIn(ident, session.you.user)

    def _turned_away(self, name: str, address: str, result: TurnedAway) -> TurnedAway:
        user = name if name in self._known else "(not known here)"
        _log.warning("log-in refused", user=user, source=address, why=result.text)
        return result


def _counted(name: str) -> str:
    """The name under which failures are counted; empty for all that no login can have."""
    return name if _NAME.fullmatch(name) else ""


def _too_many(wait_s: float) -> TurnedAway:
    return _later("Too many failed log-ins.", wait_s)


def _later(text: str, wait_s: float) -> TurnedAway:
    seconds = max(math.ceil(wait_s), 1)
    return TurnedAway(429, f"{text} Try again in {seconds} s.", seconds)


def _unanswered(error: NoAnswer) -> TurnedAway:
    _log.warning("log-in not possible", why=str(error))
    if isinstance(error, BrokerAway):
        return TurnedAway(503, "The broker does not answer. Try again.", _AGAIN_S)
    text = "No worker answers, so nobody knows your role here. Try again."
    return TurnedAway(503, text, _AGAIN_S)
