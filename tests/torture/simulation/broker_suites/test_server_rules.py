"""Rules of the simulated broker that the suites of the real one do not reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pamqp.commands import Basic

from contracts.names import Exchange, Queue, retry_key, retry_queue
from tests.support import virtual_time
from tests.torture.simulation.broker import project
from tests.torture.simulation.broker.dead_letters import RETRY_MS
from tests.torture.simulation.broker.messages import Confirm
from tests.torture.simulation.broker.opening import open_connection
from tests.torture.simulation.broker.refusals import ChannelRefusal, NotSimulated
from tests.torture.simulation.broker.settings import Policies, declaration
from tests.torture.simulation.broker_differential import scripts
from tests.torture.simulation.broker_differential.player import Player
from tests.torture.simulation.wire import Direct

if TYPE_CHECKING:
    from tests.torture.simulation.broker.server import Server

NOTHING = declaration(durable=False, exclusive=False, auto_delete=False, arguments=None)


class Time:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server(time: Time) -> Server:
    return project.server(time)


@pytest.fixture
def upstream(server: Server) -> project.DirectClient:
    return project.DirectClient(server, "upstream")


@pytest.fixture
def worker(server: Server) -> project.DirectClient:
    return project.DirectClient(server, "worker")


def pass_time(server: Server, time: Time, seconds: float) -> None:
    time.seconds += seconds
    server.tick()


# --- time ------------------------------------------------------------------------------------


def test_a_parked_copy_comes_back_when_its_tier_is_over_and_not_before(
    server: Server, worker: project.DirectClient, time: Time
) -> None:
    worker.publish(Exchange.RETRY, retry_key("5s", Queue.BULK), b"{}")
    assert server.due_ms == (time.seconds + 5) * 1000
    pass_time(server, time, 4.999)
    assert server.queues[Queue.BULK].count == 0
    pass_time(server, time, 0.001)
    assert server.queues[Queue.BULK].count == 1
    assert server.due_ms is None


def test_a_server_that_is_down_does_nothing_until_it_is_up_again(
    server: Server, worker: project.DirectClient, time: Time
) -> None:
    worker.publish(Exchange.RETRY, retry_key("5s", Queue.BULK), b"{}")
    server.stop()
    assert server.due_ms is None
    pass_time(server, time, 10)
    assert server.queues[retry_queue("5s")].count == 1
    server.start()
    server.tick()
    assert server.queues[Queue.BULK].count == 1


def test_a_dead_letter_that_no_queue_takes_is_withheld_and_tried_again(
    server: Server, upstream: project.DirectClient, time: Time
) -> None:
    server.delete_queue(server.queues[Queue.LOST])
    lane = server.queues[Queue.BULK]
    upstream.publish(
        Exchange.COMMANDS, "send.bulk", b"{}", properties=Basic.Properties(expiration="1")
    )
    pass_time(server, time, 1)
    assert (lane.count, lane.withheld) == (0, 1)
    server.declare_queue(Queue.LOST, NOTHING, None)
    server.bind(Queue.LOST, Exchange.LOST, "#", None)
    pass_time(server, time, RETRY_MS / 1000)
    assert (lane.withheld, server.queues[Queue.LOST].count) == (0, 1)


# --- restarts --------------------------------------------------------------------------------


def test_a_restart_keeps_what_is_durable(
    server: Server, upstream: project.DirectClient, worker: project.DirectClient
) -> None:
    durable = declaration(durable=True, exclusive=False, auto_delete=False, arguments=None)
    server.declare_queue("classic", durable, None)
    server.declare_queue("gone", NOTHING, None)
    server.bind("classic", Exchange.EVENTS, "#", None)
    upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}", properties=Basic.Properties())
    for mode in (1, 2):
        worker.publish(Exchange.EVENTS, "x", b"{}", properties=Basic.Properties(delivery_mode=mode))
    server.stop()
    server.start()
    assert "gone" not in server.queues
    assert server.queues[Queue.BULK].count == 1  # a quorum queue keeps everything
    kept = [entry.message.properties.delivery_mode for entry in server.queues["classic"].ready]
    assert kept == [2]


def test_while_it_is_down_nobody_can_use_it(server: Server, upstream: project.DirectClient) -> None:
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}")
    with pytest.raises(ConnectionRefusedError):
        server.open("worker", upstream)


# --- refusals --------------------------------------------------------------------------------


def test_a_user_cannot_publish_in_the_name_of_another(upstream: project.DirectClient) -> None:
    forged = Basic.Properties(user_id="worker")
    with pytest.raises(ChannelRefusal, match="PRECONDITION_FAILED - user_id property set to"):
        upstream.publish(Exchange.COMMANDS, "send.bulk", b"{}", properties=forged)


def test_a_full_queue_refuses_and_the_others_take(
    server: Server, worker: project.DirectClient
) -> None:
    server.queues[Queue.DEAD].is_full = True
    assert worker.publish(Exchange.DEAD, "x", b"{}") is Confirm.REFUSED
    assert worker.publish(Exchange.EVENTS, "x", b"{}") is Confirm.TAKEN


@pytest.mark.parametrize("argument", ["x-expires", "x-single-active-consumer", "x-max-priority"])
def test_an_argument_that_is_not_simulated_is_named(argument: str) -> None:
    with pytest.raises(NotSimulated, match=argument):
        declaration(durable=True, exclusive=False, auto_delete=False, arguments={argument: 1})


def test_a_policy_that_is_not_simulated_is_named() -> None:
    policy: dict[str, Any] = {"pattern": "x", "apply-to": "all", "priority": 1}
    with pytest.raises(NotSimulated, match="expires"):
        Policies([{**policy, "definition": {"expires": 1}}])


def test_an_exchange_of_another_type_routes_nothing_in_silence(
    server: Server, worker: project.DirectClient
) -> None:
    server.declare_exchange("sms.direct", "direct")
    with pytest.raises(NotSimulated, match="exchange type direct"):
        worker.publish("sms.direct", "x", b"{}")


# --- copies and repetition -------------------------------------------------------------------


def test_servers_of_one_prototype_share_neither_messages_nor_bindings(time: Time) -> None:
    one, other = project.server(time), project.server(time)
    project.DirectClient(one, "upstream").publish(Exchange.COMMANDS, "send.bulk", b"{}")
    one.bind(Queue.DEAD, Exchange.COMMANDS, "send.bulk", None)
    assert other.queues[Queue.BULK].count == 0
    assert other.exchanges[Exchange.COMMANDS].route("send.bulk") == (Queue.BULK,)
    assert one.exchanges[Exchange.COMMANDS].route("send.bulk") == (Queue.BULK, Queue.DEAD)


def test_the_same_script_shows_the_same_twice() -> None:
    async def played() -> object:
        server = project.server(lambda: virtual_time.LoopClock().now().timestamp())
        async with await open_connection(server, Direct(), "amqp://worker@broker/") as connection:
            return await Player(connection, "sms.own.worker.twice").play(scripts.draw(1, 100))

    assert virtual_time.run(played()) == virtual_time.run(played())
