"""Who asks and how it came: what commands and queries share before and after they are understood.

Rules: the user is the one the broker vouches for; nothing in a body or a header changes that. A
delivery that travelled is not trusted, because topic permissions judge the first routing key only.
Answers go to the vouched user alone; `reply_to` is ignored (it would be a confused deputy).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import structlog

from contracts.codec import DecodeError, encode, read_object
from contracts.control import ControlReply
from worker.domain.migration.reply_codes import ReplyCode
from worker.ports.broker import Settlement

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from worker.ports.broker import Handler, Incoming, Replier

TRIES: Final = 4
"""Deliveries of one command our own code may fail on."""
UNVERIFIED: Final = "(unverified)"
"""Stands in the history for whoever the broker does not vouch for; no login is called so."""
_USER: Final = re.compile(r"[a-z0-9_-]+")
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TRAVELLED: Final = ("x-death", "x-first-death-queue", "CC", "BCC")
_log = structlog.get_logger(__name__)


def user(incoming: Incoming) -> str:
    """The vouched user, or `UNVERIFIED`."""
    return incoming.user_id or UNVERIFIED


def name(incoming: Incoming, prefix: str) -> str:
    """Name of what is asked: the key's last words, or the body's where the key is a foreign one."""
    if incoming.routing_key.startswith(prefix):
        return incoming.routing_key.removeprefix(prefix)
    try:
        return str(read_object(incoming.body).get("name", ""))
    except DecodeError:
        return ""


def problem(incoming: Incoming, prefix: str) -> str | None:
    """Why neither user nor way can be trusted; None: both can."""
    if not _USER.fullmatch(incoming.user_id or ""):
        return (
            "expected a user the broker vouches for: publish with the property user_id set to "
            f"the login, of a-z, 0-9, _ and -; got {incoming.user_id!r:.40}"
        )
    travelled = [header for header in _TRAVELLED if header in incoming.headers]
    if travelled:
        return f"expected it published directly, got one with {travelled[0]}; send it without"
    if not incoming.routing_key.startswith(prefix):
        return f"expected the routing key {prefix}<name>, got {incoming.routing_key!r:.80}"
    return None


def not_understood(asked: str, error: DecodeError, at: datetime) -> ControlReply:
    """The answer to what is no command or query."""
    return ControlReply(
        command_id=error.message_id or "",
        name=asked,
        verdict="refused",
        code=str(ReplyCode.INVALID),
        text=f"{asked}: {error.reason}; mend it and send it with a fresh command id",
        problems=error.problems,
        at=at,
    )


def bounded(handler: Handler, gave_up: Callable[[str], None]) -> Handler:
    """Let the broker repeat what our own code fails on, but not for ever.

    One delivery is handled at a time: what fails again and again would stand before an emergency.
    """

    async def handle(incoming: Incoming) -> Settlement:
        try:
            return await handler(incoming)
        except Exception as error:
            tries = incoming.headers.get("x-delivery-count", 0)
            if isinstance(tries, int) and tries < TRIES:
                raise
            _log.exception("given up", key=incoming.routing_key, user=incoming.user_id)
            gave_up(f"{incoming.routing_key}: our own error: {type(error).__name__}")
            return Settlement.ACK

    return handle


async def answer(replier: Replier, incoming: Incoming, reply: ControlReply) -> None:
    """To the vouched user alone; without one, to nobody."""
    who = incoming.user_id or ""
    if not _USER.fullmatch(who):
        return
    wanted = incoming.correlation_id or ""
    ident = wanted if _WORD.fullmatch(wanted) else re.sub(r"[^A-Za-z0-9_-]", "-", reply.command_id)
    await replier.reply(who, ident or "none", encode(reply))
