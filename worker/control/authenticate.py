"""Checks who sent a command or query and by which route, and sends the reply.

Rules: the user is the one that the broker vouches for; nothing in a body or a header changes that.
A delivery that was forwarded (dead-lettered or copied) is not trusted, because topic permissions
check the first routing key only. Replies go to the vouched user only. `reply_to` is ignored:
otherwise a sender could make us publish to a queue that it may not write to.
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
"""How often our own code may fail on one delivery before it is given up."""
UNVERIFIED: Final = "(unverified)"
"""Stands in the history for a user that the broker does not vouch for; no login has this name."""
_USER: Final = re.compile(r"[a-z0-9_-]+")
_NAME: Final = re.compile(r"[a-z-]{1,40}")
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TRAVELLED: Final = ("x-death", "x-first-death-queue", "CC", "BCC")
_log = structlog.get_logger(__name__)


def user(incoming: Incoming) -> str:
    """Return the user that the broker vouches for, or `UNVERIFIED`."""
    return incoming.user_id or UNVERIFIED


def name(incoming: Incoming, prefix: str) -> str:
    """Return the name of the command or query: from the routing key, else from the body.

    From the body only if it could be a name, because it is logged and told.
    """
    if incoming.routing_key.startswith(prefix):
        return incoming.routing_key.removeprefix(prefix)
    try:
        named = read_object(incoming.body).get("name")
    except DecodeError:
        return ""
    return named if isinstance(named, str) and _NAME.fullmatch(named) else ""


def problem(incoming: Incoming, prefix: str) -> str | None:
    """Return why the user or the route cannot be trusted; None if both can."""
    if not _USER.fullmatch(incoming.user_id or ""):
        return (
            "expected a user that the broker vouches for: set the property user_id to the login "
            f"(of a-z, 0-9, _ and -); got {incoming.user_id!r:.40}"
        )
    travelled = [header for header in _TRAVELLED if header in incoming.headers]
    if travelled:
        return f"expected a message published directly, got the header {travelled[0]}"
    if not incoming.routing_key.startswith(prefix):
        return f"expected the routing key {prefix}<name>, got {incoming.routing_key!r:.80}"
    return None


def not_understood(asked: str, error: DecodeError, at: datetime) -> ControlReply:
    """Return the reply to a body that is not a valid command or query."""
    return ControlReply(
        command_id=error.message_id or "",
        name=asked,
        verdict="refused",
        code=str(ReplyCode.INVALID),
        text=f"{asked}: {error.reason}; correct it and send it with a new command id",
        problems=error.problems,
        at=at,
    )


def bounded(handler: Handler, gave_up: Callable[[str], None]) -> Handler:
    """Let the broker deliver again what our own code fails on, at most `TRIES` times.

    One delivery is handled at a time, so one that always fails would block an emergency.
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
    """Send a reply to the user that the broker vouches for; without one, send nothing."""
    who = incoming.user_id or ""
    if not _USER.fullmatch(who):
        return
    wanted = incoming.correlation_id or ""
    ident = wanted if _WORD.fullmatch(wanted) else re.sub(r"[^A-Za-z0-9_-]", "-", reply.command_id)
    await replier.reply(who, ident or "none", encode(reply))
