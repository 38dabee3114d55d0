"""A client of the control topic: sends commands and queries, and receives replies.

Rules: it uses only the wire contract and the asker's own broker login. It needs neither the store
nor a worker on this machine. Replies come to its own queue, bound to its own key, so nobody else
can read them. If no reply comes within 2 s, it sends the same command id again, over a new
connection if the old one died. The worker carries out a command once, however often it comes.
Many may ask at the same time: they share the connection, and a refused message harms no other.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote, urlsplit

from aio_pika.exceptions import (
    AuthenticationError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused
from pydantic import ValidationError

from contracts.control import ControlReply
from worker.broker.connection import BROKEN, naming_losses, reraise_own_cancel
from worker.broker.control_link import ControlLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aio_pika.abc import AbstractIncomingMessage

    from contracts.control import ControlCommand, ControlQuery

RESEND_AFTER_S: Final = 2.0
_PAUSE_S: Final = 0.2
_REFUSED: Final = (AuthenticationError, ProbableAuthenticationError)


class NoAnswer(Exception):  # noqa: N818 - a fact about the other side, not a failure of ours
    """No worker answered in time; it is not known whether the command was carried out."""


class BrokerAway(NoAnswer):
    """The broker cannot be reached, so no worker was asked."""


class NotAllowed(Exception):  # noqa: N818 - the broker's refusal
    """The broker refuses the login, or refuses to let it publish."""


class LoginRefused(NotAllowed):
    """The broker refuses the login itself."""


class ControlClient:
    """Asks over one connection, which it opens when needed. An async context manager.

    Args:
        url: address of the broker with the asker's own login.
        name: shown in the broker's management views.
    """

    def __init__(self, url: str, name: str = "sms-worker ctl") -> None:
        self._url = url
        self._name = name
        self.user = unquote(urlsplit(url).username or "guest")
        """Name of the login; the broker vouches for it."""
        self._link: ControlLink | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[ControlReply]] = {}
        self._hear: Callable[[str], None] | None = None
        self._id = ControlLink.new_id()
        self._asked_at = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and forget the login. Whoever asks or waits is refused."""
        self._url = ""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LoginRefused(f"the client of user {self.user} is closed"))
        await self._drop(self._link)

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open. The next question opens one if need be."""
        return self._link is not None and self._link.is_open

    @property
    def idle_s(self) -> float:
        """Seconds since it was asked last; 0 while somebody waits for an answer."""
        return 0.0 if self._waiting else asyncio.get_running_loop().time() - self._asked_at

    async def rest(self) -> None:
        """Close the connection, unless somebody waits for an answer. The login stays."""
        if not self._waiting:
            await self._drop(self._link)

    def hear(self, call: Callable[[str], None] | None) -> None:
        """Call with the routing key of each announcement (`control_link.ANNOUNCEMENTS`).

        It begins with the next question, and goes on after a lost connection with the question
        that opens a new one. None: announcements are ignored.
        """
        self._hear = call

    async def ask(
        self,
        asked: ControlCommand | ControlQuery,
        within_s: float,
        on_try: Callable[[NoAnswer | None], None] | None = None,
    ) -> ControlReply:
        """Publish and wait for the reply; repeat with the same id until it comes.

        Args:
            asked: the command or query.
            within_s: seconds after which nobody waits any more.
            on_try: called after each try to publish, with what hindered it; None: nothing did.

        Raises:
            NoAnswer: no reply came within `within_s` seconds; the text says why. `BrokerAway`: the
                broker could not be reached.
            NotAllowed: the broker refuses the message. `LoginRefused`: it refuses the login.
        """
        answer: asyncio.Future[ControlReply] = asyncio.get_running_loop().create_future()
        self._waiting[asked.command_id] = answer
        hindrance: NoAnswer | None = self._not_connected()
        try:
            async with asyncio.timeout(within_s):
                while not answer.done():
                    hindrance = await self._publish(asked, within_s)
                    if on_try is not None:
                        on_try(hindrance)
                    await asyncio.wait({answer}, timeout=_PAUSE_S if hindrance else RESEND_AFTER_S)
            return answer.result()
        except TimeoutError:
            why = hindrance or NoAnswer("no worker answered")
            raise type(why)(f"no answer within {within_s:g} s: {why}") from None
        finally:
            del self._waiting[asked.command_id]
            self._asked_at = asyncio.get_running_loop().time()

    async def renew(self, within_s: float) -> None:
        """Log in again over a new connection, and close the old one. No question is lost.

        An open connection outlives a change of its password or the end of its user.

        Raises:
            LoginRefused: the broker refuses the login now.
            BrokerAway: the broker cannot be reached; the old connection stays.
        """
        old = self._link
        try:
            async with asyncio.timeout(within_s), self._opening:
                with self._naming_refusals(), naming_losses():
                    self._link = await self._open()
        except BROKEN as error:
            reraise_own_cancel()
            raise BrokerAway(f"the broker: {_plain(error)}") from None
        if old is not None:
            await old.close()

    def _not_connected(self) -> NoAnswer | None:
        return None if self.is_connected else BrokerAway("the broker: no connection in time")

    async def _publish(
        self, asked: ControlCommand | ControlQuery, within_s: float
    ) -> NoAnswer | None:
        """Publish once; return what hindered it. Then `ask` tries again."""
        link = self._link
        try:
            with self._naming_refusals(), naming_losses():
                link = await self._connected()
                await link.publish(asked, within_s)
        except PublishError:
            return NoAnswer("no queue takes it: no worker has ever run on this broker")
        except BROKEN as error:
            reraise_own_cancel()
            await self._drop(link)
            return BrokerAway(f"the broker: {_plain(error)}")
        return None

    @contextmanager
    def _naming_refusals(self) -> Iterator[None]:
        try:
            yield
        except _REFUSED as error:
            text = f"the broker refuses user {self.user}: {_plain(error)}"
            raise LoginRefused(text) from None
        except ChannelAccessRefused as error:
            text = f"the broker refuses user {self.user}: {_plain(error)}"
            raise NotAllowed(text) from None

    async def _connected(self) -> ControlLink:
        async with self._opening:
            if self._link is None or not self.is_connected:
                await self._drop(self._link)
                self._link = await self._open()
            await self._link.listen(self._hear)
            return self._link

    async def _open(self) -> ControlLink:
        if not self._url:
            raise LoginRefused(f"the client of user {self.user} is closed")
        return await ControlLink.open(
            self._url, self._name, user=self.user, ident=self._id, receive=self._receive
        )

    async def _drop(self, link: ControlLink | None) -> None:
        """Close a link that failed; another question may have replaced it already."""
        if link is not None and link is self._link:
            self._link = None
        if link is not None:
            await link.close()

    async def _receive(self, delivery: AbstractIncomingMessage) -> None:
        try:
            reply = ControlReply.model_validate_json(delivery.body)
        except ValidationError:
            return  # a reply of an unknown version; the one we wait for may still come
        waiting = self._waiting.get(reply.command_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)


def _plain(error: BaseException) -> str:
    """Return the error in one line, without any address, because it may hold a password."""
    text = str(error).splitlines()
    return text[0] if text and "://" not in text[0] else type(error).__name__
