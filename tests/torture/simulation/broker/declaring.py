"""What a client declares, binds and deletes, on a channel at the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.broker.refusals import (
    PRECONDITION_FAILED,
    ChannelRefusal,
    NotSimulated,
)
from tests.torture.simulation.broker.rights import CONFIGURE, READ, WRITE

if TYPE_CHECKING:
    from tests.torture.simulation.broker.channels import Channel
    from tests.torture.simulation.broker.settings import Declaration

_ALTERNATE: Final = "alternate-exchange"


def look_at_queue(channel: Channel, name: str) -> tuple[int, int]:
    """Return how many messages of a queue are ready and how many consumers it has."""
    found = channel.server.queue(name, channel.session)
    return found.count, len(found.consumers)


def declare_queue(channel: Channel, name: str, wanted: Declaration) -> tuple[int, int]:
    """Declare a queue; returns what `look_at_queue` does."""
    server, user = channel.server, channel.session.user
    server.rights.check(user, CONFIGURE, "queue", name)
    target = dict(wanted.arguments).get("x-dead-letter-exchange")
    if target is not None and name not in server.queues:
        server.rights.check(user, READ, "queue", name)
        server.rights.check(user, WRITE, "exchange", target)
    found = server.declare_queue(name, wanted, channel.session)
    return found.count, len(found.consumers)


def bind(channel: Channel, queue: str, exchange: str, pattern: str) -> None:
    """Bind a queue to an exchange."""
    _check_binding(channel, queue, exchange, pattern)
    channel.server.bind(queue, exchange, pattern, channel.session)


def unbind(channel: Channel, queue: str, exchange: str, pattern: str) -> None:
    """Undo `bind`."""
    _check_binding(channel, queue, exchange, pattern)
    channel.server.exchange(exchange).unbind(queue, pattern)


def _check_binding(channel: Channel, queue: str, exchange: str, pattern: str) -> None:
    rights, user = channel.server.rights, channel.session.user
    rights.check(user, WRITE, "queue", queue)
    rights.check(user, READ, "exchange", exchange)
    rights.check_topic(user, READ, exchange, pattern)


def purge(channel: Channel, name: str) -> int:
    """Empty a queue; returns how many messages were ready in it."""
    channel.server.rights.check(channel.session.user, READ, "queue", name)
    return channel.server.queue(name, channel.session).purge()


def delete_queue(channel: Channel, name: str, *, if_unused: bool, if_empty: bool) -> int:
    """Delete a queue, if it is there; returns how many messages were ready in it."""
    server = channel.server
    server.rights.check(channel.session.user, CONFIGURE, "queue", name)
    if name not in server.queues:
        return 0
    queue = server.queue(name, channel.session)
    if queue.is_quorum and (if_unused or if_empty):
        raise NotSimulated("if_unused or if_empty of a quorum queue")
    if if_unused and queue.consumers:
        raise ChannelRefusal(PRECONDITION_FAILED, f"queue '{name}' in vhost '/' in use")
    if if_empty and queue.count:
        raise ChannelRefusal(PRECONDITION_FAILED, f"queue '{name}' in vhost '/' not empty")
    return server.delete_queue(queue)


def look_at_exchange(channel: Channel, name: str) -> None:
    """Refuse if there is no such exchange."""
    channel.server.exchange(name)


def declare_exchange(channel: Channel, name: str, kind: str, arguments: dict[str, Any]) -> None:
    """Declare an exchange."""
    rights, user = channel.server.rights, channel.session.user
    rights.check(user, CONFIGURE, "exchange", name)
    alternate = arguments.pop(_ALTERNATE, None)
    if arguments:
        raise NotSimulated(f"exchange argument {next(iter(arguments))}")
    if alternate is not None:
        rights.check(user, READ, "exchange", name)
        rights.check(user, WRITE, "exchange", alternate)
    channel.server.declare_exchange(name, kind, alternate)


def delete_exchange(channel: Channel, name: str) -> None:
    """Delete an exchange, if it is there."""
    channel.server.rights.check(channel.session.user, CONFIGURE, "exchange", name)
    channel.server.exchanges.pop(name, None)
