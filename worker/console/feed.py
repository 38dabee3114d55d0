"""What the workers say, asked with one person's login and shared by all pages of that login.

Rules:
- It asks through the session of somebody who watches. When that session is over, or does not watch
  any more, it goes on through another's.
- An announcement (`control.state`, `metric.alert`, `metric.breaker`) makes it ask at once.
- An answer is never dropped because a newer question failed: it ages.
- A status makes a new moment, and so does any answer that was asked for with a reason. Others are
  shown with the next one. There is one at least every `PULSE_S`. A watcher that is slow skips
  moments; nothing is kept for it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import ValidationError

from worker.broker.control_client import BrokerAway, LoginRefused, NoAnswer, NotAllowed
from worker.console.known import Cause, Known, Silence, Told
from worker.console.questions import OTHERS, STATUS
from worker.service import cancel_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from contracts.control import ControlReply
    from worker.console.questions import Question
    from worker.console.sessions import Session
    from worker.ports.clock import Clock
    from worker.service import Background

WITHIN_S: Final = 3.0
"""Longest wait for an answer."""
PULSE_S: Final = 1.25
"""Longest time between two moments. Usually the status, asked every second, makes one."""
APART_S: Final = 0.1
"""Shortest time between two moments."""
ASKED_APART_S: Final = 0.25
"""Shortest time between two times of one question, however often there is a reason."""
_log = structlog.get_logger(__name__)


class Feed:
    """The newest answers for one login, while somebody watches.

    Args:
        user: name of the login.
        clock: the time.
        background: runs the questions.
        refused: told of a session whose login the broker refuses.
    """

    def __init__(
        self, user: str, clock: Clock, background: Background, refused: Callable[[Session], None]
    ) -> None:
        self.user = user
        self.moment = 0
        """Rises with each moment."""
        self._clock = clock
        self._background = background
        self._refused = refused
        self._known = Known(now=clock.monotonic())
        self._version: int | None = None
        self._watchers: dict[asyncio.Event, Session] = {}
        self._asker: Session | None = None
        self._due = {each.name: asyncio.Event() for each in (STATUS, *OTHERS)}
        self._unasked = set(self._due)
        self._complete = asyncio.Event()
        self._answered = asyncio.Event()
        self._fresh = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    @property
    def known(self) -> Known:
        """What is known now."""
        return replace(self._known, now=self._clock.monotonic())

    @property
    def is_watched(self) -> bool:
        """Whether somebody watches."""
        return bool(self._watchers)

    def watch(self, poke: asyncio.Event, session: Session) -> None:
        """Set `poke` at each moment from now on; ask through this session if need be."""
        self._watchers[poke] = session
        if not self._tasks:
            self._start()

    def leave(self, poke: asyncio.Event) -> None:
        """Do not set `poke` any more."""
        self._watchers.pop(poke, None)

    async def complete(self, within_s: float) -> None:
        """Wait until each question was asked once, or it is known why none is answered."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._complete.wait()

    async def stop(self) -> None:
        """Ask nothing more."""
        tasks, self._tasks = self._tasks, []
        await cancel_all(tasks)
        self._leave_asker()

    def _start(self) -> None:
        work = [self._keep(STATUS), *map(self._keep, OTHERS), self._pulse()]
        self._tasks = [self._background.spawn(each, f"feed of {self.user}") for each in work]

    async def _keep(self, question: Question) -> None:
        """Ask a question for ever: at its pace, and at once where there is a reason."""
        due = self._due[question.name]
        while True:
            if question is not STATUS:
                await self._answered.wait()
            has_reason = due.is_set()
            due.clear()
            await self._ask(question)
            if question is STATUS or has_reason:
                self._fresh.set()
            await asyncio.sleep(ASKED_APART_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(question.every_s - ASKED_APART_S):
                    await due.wait()

    async def _pulse(self) -> None:
        while True:
            self._fresh.clear()
            self.moment += 1
            for poke in self._watchers:
                poke.set()
            await asyncio.sleep(APART_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_S - APART_S):
                    await self._fresh.wait()

    async def _ask(self, question: Question) -> None:
        session = self._through()
        if session is None:
            self._silent(Cause.LOGIN_REFUSED, "nobody is logged in any more")
            return
        session.client.hear(self._hear)
        try:
            reply = await session.client.ask(question.asked_now(), WITHIN_S)
        except (NotAllowed, NoAnswer) as error:
            self._fail(question, session, error)
        else:
            self._take(question, reply)

    def _through(self) -> Session | None:
        """The session to ask through: the one before, as long as it lasts and watches."""
        watching = [each for each in self._watchers.values() if not each.ended.is_set()]
        if watching and self._asker not in watching:
            self._leave_asker()
            self._asker = watching[0]
        if self._asker is not None and self._asker.ended.is_set():
            self._asker = None
        return self._asker

    def _leave_asker(self) -> None:
        if self._asker is not None:
            self._asker.client.hear(None)

    def _hear(self, key: str) -> None:
        """Ask at once what an announcement is a reason for."""
        for question in (STATUS, *OTHERS):
            if key in question.announced_by:
                self._due[question.name].set()

    def _fail(self, question: Question, session: Session, error: NotAllowed | NoAnswer) -> None:
        """No answer. It is a silence if the status has none; any other answer just ages."""
        if session.ended.is_set() and self._through() is not None:
            self._due[question.name].set()  # it ended meanwhile: somebody else asks at once
            return
        if isinstance(error, LoginRefused):
            self._refused(session)
        if question is STATUS:
            self._silent(_cause(error), str(error))
        self._was_asked(question)

    def _silent(self, cause: Cause, text: str) -> None:
        before = self._known.silence
        since = before.since if before else self._clock.monotonic()
        self._known = replace(self._known, silence=Silence(cause, text, since))
        self._answered.clear()
        self._complete.set()

    def _take(self, question: Question, reply: ControlReply) -> None:
        self._was_asked(question)
        told = self._read(question, reply)
        if question is STATUS:
            self._take_status(reply, told)
        elif told is not None:
            answer: dict[str, Any] = {question.name: told}
            self._known = replace(self._known, **answer)

    def _take_status(self, reply: ControlReply, told: Told[Any] | None) -> None:
        self._known = replace(self._known, silence=None)
        self._answered.set()
        if told is not None:
            is_whole = told.data.replicas is not None
            whole = told if is_whole else self._known.whole
            self._known = replace(self._known, status=told, whole=whole)
        if reply.you is not None:
            for session in self._watchers.values():
                session.you = reply.you
        version = reply.state.version if reply.state else None
        if version != self._version:
            self._version = version
            for question in OTHERS:
                if question.of_a_version:
                    self._due[question.name].set()

    def _read(self, question: Question, reply: ControlReply) -> Told[Any] | None:
        """The answer; None if there is none in the reply, or one that this version cannot read."""
        if reply.data is None:
            return None
        try:
            data = question.model.model_validate(reply.data)
        except ValidationError as error:
            _log.warning("answer not understood", query=question.name, error=type(error).__name__)
            return None
        return Told(reply, data, self._clock.monotonic())

    def _was_asked(self, question: Question) -> None:
        self._unasked.discard(question.name)
        if not self._unasked:
            self._complete.set()


def _cause(error: NotAllowed | NoAnswer) -> Cause:
    if isinstance(error, NotAllowed):
        return Cause.LOGIN_REFUSED
    return Cause.BROKER_AWAY if isinstance(error, BrokerAway) else Cause.NO_WORKER
