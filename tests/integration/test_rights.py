"""What each user of the broker may do, and that he may do nothing else.

Rules: everything is tried, the forbidden too, on a real broker with our definitions. The tables say
what is allowed; what is not in them must be refused.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Final

import pytest
from aio_pika import ExchangeType, Message
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from contracts.names import RETRY_TIERS, Exchange, Queue, retry_queue
from worker.lab.local.broker import DEFINITIONS, USERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aio_pika.abc import AbstractChannel, AbstractConnection

    Connect = Callable[[str], Awaitable[AbstractConnection]]
    Act = Callable[[AbstractChannel], Awaitable[object]]

pytestmark = pytest.mark.usefixtures("empty_queues")

OTHERS: Final = tuple(user for user in USERS if user != "worker")
DEFAULT: Final = ""
BUILT_IN: Final = ("amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic")
QUEUES: Final = (*map(str, Queue), *map(retry_queue, RETRY_TIERS))
KEYS: Final = {
    Exchange.COMMANDS: ("send", "send.transactional", "send.bulk"),
    Exchange.CONTROL: (
        "control.query.status", "control.command.rollback", "control.state", "control.query.a.b",
        "control.query.#",
    ),
    Exchange.REPLIES: ("reply.observer.1", "reply.administrator.1"),
    DEFAULT: QUEUES,
}  # fmt: skip
"""Keys to publish with, where more than one matters."""
PUBLISHES: Final[dict[str, set[tuple[str, str]]]] = {
    "upstream": {(Exchange.COMMANDS, key) for key in KEYS[Exchange.COMMANDS]},
    "webhook": {(Exchange.REPORTS, "x")},
    "dashboard": set(),
    "observer": {(Exchange.CONTROL, "control.query.status")},
    "administrator": {
        (Exchange.CONTROL, "control.query.status"), (Exchange.CONTROL, "control.command.rollback"),
    },
    "worker": {(name, key) for name in Exchange for key in KEYS.get(name, ("x",))},
}  # fmt: skip
OWN: Final[dict[str, tuple[str, ...]]] = {
    "upstream": ("own",),
    "webhook": (),
    "dashboard": ("own",),
    "observer": ("own", "reply"),
    "administrator": ("own", "reply"),
    "worker": (),
}
"""Kinds of queues of one's own: `sms.<kind>.<user>.*`."""
LISTENS: Final[dict[str, set[tuple[str, str]]]] = {
    "upstream": {(Exchange.EVENTS, "#")},
    "webhook": set(),
    "dashboard": {(Exchange.METRICS, "#"), (Exchange.STATE, "#")},
    "observer": {
        (Exchange.METRICS, "#"), (Exchange.STATE, "#"), (Exchange.REPLIES, "reply.observer.1"),
    },
    "administrator": {
        (Exchange.METRICS, "#"), (Exchange.STATE, "#"), (Exchange.REPLIES, "reply.administrator.1"),
    },
}  # fmt: skip
BINDINGS: Final = (
    *((exchange, "#") for exchange in (*map(str, Exchange), *BUILT_IN)),
    (Exchange.CONTROL, "control.command.*"),
    *((Exchange.REPLIES, f"reply.{user}.1") for user in USERS),
    (Exchange.REPLIES, "reply.observer.*"),
)


async def allowed(connection: AbstractConnection, act: Act) -> bool:
    """Do it on a channel of its own; False: the broker refuses the access."""
    channel = await connection.channel()
    try:
        await act(channel)
    except ChannelAccessRefused:
        return False
    finally:
        if not channel.is_closed:
            await channel.close()
    return True


def publishing(exchange: str, key: str) -> Act:
    async def act(channel: AbstractChannel) -> None:
        where = await channel.get_exchange(exchange, ensure=False) if exchange else None
        # Not mandatory: whether a queue is bound does not matter here.
        await (where or channel.default_exchange).publish(Message(b"{}"), key, mandatory=False)

    return act


def everywhere() -> Iterable[tuple[str, str]]:
    for exchange in (*Exchange, *BUILT_IN, DEFAULT):
        yield from ((exchange, key) for key in KEYS.get(exchange, ("x",)))


def test_every_login_of_the_definitions_is_tried_and_none_has_a_tag() -> None:
    definitions = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    assert {user["name"]: user["tags"] for user in definitions["users"]} == dict.fromkeys(USERS, "")


@pytest.mark.parametrize("user", USERS)
async def test_a_user_publishes_what_is_his_and_nothing_else(connect: Connect, user: str) -> None:
    connection = await connect(user)
    taken = {each for each in everywhere() if await allowed(connection, publishing(*each))}
    assert taken == PUBLISHES[user]


@pytest.mark.parametrize("user", USERS)
async def test_a_user_publishes_in_nobody_elses_name(connect: Connect, user: str) -> None:
    if not PUBLISHES[user]:
        return
    exchange, key = min(PUBLISHES[user])
    channel = await (await connect(user)).channel()
    target = await channel.get_exchange(exchange, ensure=False)
    name = "administrator" if user != "administrator" else "worker"
    with pytest.raises(ChannelPreconditionFailed):
        await target.publish(Message(b"{}", user_id=name), key, mandatory=False)


@pytest.mark.parametrize("user", OTHERS)
async def test_nobody_but_the_worker_reads_empties_or_deletes_its_queues(
    connect: Connect, user: str
) -> None:
    connection = await connect(user)

    async def read(channel: AbstractChannel, queue: str) -> None:
        await (await channel.get_queue(queue, ensure=False)).get(fail=False, no_ack=True)

    async def empty(channel: AbstractChannel, queue: str) -> None:
        await (await channel.get_queue(queue, ensure=False)).purge()

    async def delete(channel: AbstractChannel, queue: str) -> None:
        await channel.queue_delete(queue)

    async def consume(channel: AbstractChannel, queue: str) -> None:
        await (await channel.get_queue(queue, ensure=False)).consume(_drop)

    found = {
        (act.__name__, queue)
        for act, queue in itertools.product((read, empty, delete, consume), QUEUES)
        if await allowed(connection, lambda channel, act=act, queue=queue: act(channel, queue))
    }
    assert found == set()


async def _drop(_: object) -> None:
    raise AssertionError("delivered")


@pytest.mark.parametrize("user", OTHERS)
async def test_nobody_but_the_worker_changes_exchanges(connect: Connect, user: str) -> None:
    connection = await connect(user)

    async def declare(channel: AbstractChannel, name: str) -> None:
        await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)

    async def delete(channel: AbstractChannel, name: str) -> None:
        await channel.exchange_delete(name)

    found = {
        (act.__name__, name)
        for act, name in itertools.product((declare, delete), (*Exchange, "sms.x", "other"))
        if await allowed(connection, lambda channel, act=act, name=name: act(channel, name))
    }
    assert found == set()


@pytest.mark.parametrize("user", OTHERS)
async def test_a_user_has_queues_of_his_own_and_no_others(connect: Connect, user: str) -> None:
    connection = await connect(user)

    async def declare(channel: AbstractChannel, name: str) -> None:
        await channel.declare_queue(name, exclusive=True)

    names = {
        *(f"sms.{kind}.{each}.x" for kind in ("own", "reply") for each in (*USERS, f"{user}2")),
        *("sms.state.x", "sms.x", "other", f"x.sms.own.{user}.x", f"sms.own.{user}."),
    }
    found = {
        name
        for name in names
        if await allowed(connection, lambda channel, name=name: declare(channel, name))
    }
    assert found == {f"sms.{kind}.{user}.x" for kind in OWN[user]}


@pytest.mark.parametrize("user", [user for user in OTHERS if OWN[user]])
async def test_a_user_listens_to_what_is_his_and_to_nothing_else(
    connect: Connect, user: str
) -> None:
    connection = await connect(user)

    async def bind(channel: AbstractChannel, exchange: str, key: str) -> None:
        own = await channel.declare_queue(f"sms.own.{user}.x", exclusive=True)
        await own.bind(exchange, key)

    found = {
        each
        for each in BINDINGS
        if await allowed(connection, lambda channel, each=each: bind(channel, *each))
    }
    assert found == LISTENS[user]


@pytest.mark.parametrize("user", [user for user in OTHERS if OWN[user]])
async def test_nobody_reads_another_users_queue(connect: Connect, user: str) -> None:
    channel = await (await connect(user)).channel()
    queue = await channel.declare_queue(f"sms.own.{user}.shared", auto_delete=True)

    async def read(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue.name, ensure=False)).get(fail=False)

    readers = {other for other in USERS if await allowed(await connect(other), read)}
    await queue.delete()
    assert readers == {user, "worker"}


@pytest.mark.parametrize("user", [user for user in OTHERS if OWN[user]])
@pytest.mark.parametrize("argument", ["x-dead-letter-exchange", "alternate-exchange"])
async def test_the_broker_passes_nothing_on_for_a_user_to_where_he_may_not_publish(
    connect: Connect, user: str, argument: str
) -> None:
    """A queue's dead letters, and what an exchange cannot route."""
    connection = await connect(user)

    async def declare(channel: AbstractChannel, target: str) -> None:
        name, arguments = f"sms.own.{user}.y.{target}", {argument: target}
        if argument == "alternate-exchange":
            await channel.declare_exchange(name, auto_delete=True, arguments=arguments)
            await channel.exchange_delete(name)
        else:
            await channel.declare_queue(name, exclusive=True, arguments=arguments)

    found = {
        target
        for target in (*Exchange, *BUILT_IN, DEFAULT)
        if await allowed(connection, lambda channel, target=target: declare(channel, target))
    }
    assert found == {exchange for exchange, _ in PUBLISHES[user]}


async def test_the_worker_makes_nothing_outside_its_names(connect: Connect) -> None:
    connection = await connect("worker")

    async def queue(channel: AbstractChannel) -> None:
        await channel.declare_queue("other", exclusive=True)

    async def exchange(channel: AbstractChannel) -> None:
        await channel.declare_exchange("other")

    assert not await allowed(connection, queue)
    assert not await allowed(connection, exchange)
