"""Scripted faults as a client meets them on the socket, and what the journal says of each."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.support.waiting import until
from worker.lab.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NUMBER = "+260977123456"
BODY = urlencode({"username": "sandbox", "to": NUMBER, "message": "Hello #m-1"}).encode()
HEAD = (
    "POST /version1/messaging HTTP/1.1\r\nHost: h\r\napiKey: k\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
)
REQUEST = HEAD.encode() + BODY


class Client:
    """One raw connection: what it reads is exactly what came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self) -> None:
        self._writer.write(REQUEST)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of one whole answer."""
        async with asyncio.timeout(5):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            return int(head.split()[1]), await self._reader.readexactly(length)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(5):
            return await self._reader.read()

    def close(self) -> None:
        self._writer.close()


class Clients:
    """Opens connections, and closes them at the end of the test."""

    def __init__(self) -> None:
        self.open: list[Client] = []

    async def connect(self, simulator: Simulator) -> Client:
        host, _, port = simulator.base_url.removeprefix("http://").partition(":")
        self.open.append(Client(*await asyncio.open_connection(host, int(port))))
        return self.open[-1]

    async def once(self, simulator: Simulator) -> Client:
        """A new connection over which a request was sent."""
        client = await self.connect(simulator)
        await client.send()
        return client


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    clients = Clients()
    yield clients
    for client in clients.open:
        client.close()


@pytest.fixture
async def at() -> AsyncIterator[Simulator]:
    async with Simulator("africastalking") as simulator:
        yield simulator


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(("taken", "count"), [({}, 0), ({"taken": True}, 1)])
async def test_reset_is_a_reset_of_a_request_that_was_read(
    clients: Clients, at: Simulator, taken: dict[str, Any], count: int
) -> None:
    at.set_faults([{"action": {"do": "reset", **taken}}])
    client = await clients.once(at)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    assert len(at.journal) == count
    assert at.engine.requests.answers == {"reset": 1}


@pytest.mark.parametrize(("taken", "count"), [({}, 1), ({"taken": False}, 0)])
async def test_close_ends_the_connection_without_a_byte(
    clients: Clients, at: Simulator, taken: dict[str, Any], count: int
) -> None:
    at.set_faults([{"action": {"do": "close", **taken}}])
    client = await clients.once(at)
    assert await client.rest() == b""
    assert len(at.journal) == count


async def test_close_can_wait_for_a_connection_that_was_kept_alive(
    clients: Clients, at: Simulator
) -> None:
    at.set_faults([{"match": {"kept_alive": True}, "action": {"do": "close"}}])
    client = await clients.once(at)
    assert (await client.answer())[0] == 201
    await client.send()
    assert await client.rest() == b""
    assert len(at.journal) == 2
    assert at.engine.requests.kept_alive == 1


async def test_half_a_body_is_announced_whole(clients: Clients, at: Simulator) -> None:
    at.set_faults([{"action": {"do": "half_body"}}])
    client = await clients.once(at)
    head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n")
    announced = int(head.rpartition(b" ")[2])
    assert 0 < len(body) < announced
    assert body.startswith(b'{"SMSMessageData"')
    assert len(at.journal) == 1


async def test_garbage_is_a_success_that_cannot_be_read(clients: Clients, at: Simulator) -> None:
    at.set_faults([{"action": {"do": "garbage"}}])
    client = await clients.once(at)
    status, body = await client.answer()
    assert status == 201
    assert not body.endswith(b"}")
    assert len(at.journal) == 1


async def test_a_hang_ends_without_an_answer_when_the_script_is_cleared(
    clients: Clients, at: Simulator
) -> None:
    at.set_faults([{"action": {"do": "hang", "taken": True}}])
    client = await clients.once(at)
    await until(lambda: len(at.journal) == 1, 5)
    at.clear_faults()
    assert await client.rest() == b""


async def test_a_hang_ends_by_itself_when_it_has_a_time(clients: Clients, at: Simulator) -> None:
    at.set_faults([{"action": {"do": "hang", "for_ms": 30}}])
    client = await clients.once(at)
    assert await client.rest() == b""
    assert len(at.journal) == 0


async def test_a_client_that_leaves_a_hang_is_noticed(clients: Clients, at: Simulator) -> None:
    at.set_faults([{"action": {"do": "hang"}}])
    client = await clients.once(at)
    await until(lambda: at.engine.requests.sms["not_taken"] == 1, 5)
    client.close()
    await until(lambda: at.engine.requests.answers["client_gone"] == 1, 5)


async def test_an_sms_is_taken_before_the_latency_passes(clients: Clients, at: Simulator) -> None:
    at.set_faults([{"action": {"latency_ms": 60_000}}])
    await clients.once(at)
    await until(lambda: len(at.journal) == 1, 5)


async def test_latency_is_waited_before_the_answer(clients: Clients, at: Simulator) -> None:
    at.set_faults([{"action": {"latency_ms": 80}}])
    begun = time.monotonic()
    client = await clients.once(at)
    assert (await client.answer())[0] == 201
    assert time.monotonic() - begun >= 0.08


async def test_a_connection_can_close_before_anything_is_read(
    clients: Clients, at: Simulator
) -> None:
    at.set_faults([{"match": {"first": 1}, "action": {"do": "close_before_reading"}}])
    client = await clients.connect(at)
    assert await client.rest() == b""
    second = await clients.once(at)
    assert (await second.answer())[0] == 201
    assert at.engine.requests.closed_unread == 1


async def test_unreachable_refuses_connections_until_the_script_is_cleared(
    clients: Clients, at: Simulator
) -> None:
    url = at.base_url
    at.set_faults([{"action": {"do": "unreachable"}}])
    with pytest.raises(ConnectionRefusedError):
        await clients.connect(at)
    at.clear_faults()
    assert at.base_url == url
    client = await clients.once(at)
    assert (await client.answer())[0] == 201


async def test_unreachable_closes_idle_connections_but_not_what_is_under_way(
    clients: Clients, at: Simulator
) -> None:
    at.set_faults([{"match": {"first": 1}, "action": {"latency_ms": 60}}])
    busy, idle = await clients.once(at), await clients.connect(at)
    await until(lambda: len(at.journal) == 1, 5)
    await idle.send()
    assert (await idle.answer())[0] == 201
    at.set_faults([{"action": {"do": "unreachable"}}])
    assert await idle.rest() == b""
    assert (await busy.answer())[0] == 201


async def test_unreachable_ends_by_itself_when_it_has_a_time(
    clients: Clients, at: Simulator
) -> None:
    at.set_faults([{"action": {"do": "unreachable", "for_ms": 30}}])
    with pytest.raises(ConnectionRefusedError):
        await clients.connect(at)

    async def reached() -> Client | None:
        try:
            return await clients.once(at)
        except ConnectionRefusedError:
            return None

    client = await until(reached, 5)
    assert (await client.answer())[0] == 201


async def test_the_port_can_vanish_and_come_back_many_times(
    clients: Clients, at: Simulator
) -> None:
    for _ in range(30):
        at.set_faults([{"action": {"do": "unreachable"}}])
        with pytest.raises(ConnectionRefusedError):
            await clients.connect(at)
        at.clear_faults()
        client = await clients.once(at)
        assert (await client.answer())[0] == 201


async def test_control_stays_reachable_while_the_provider_is_not(
    at: Simulator, http: aiohttp.ClientSession
) -> None:
    rules = [{"action": {"do": "unreachable"}}]
    async with http.put(f"{at.base_url}/faults", json=rules) as response:
        assert response.status == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(f"{at.base_url}/journal?limit=0")
    async with http.delete(f"{at.control_url}/faults") as response:
        assert response.status == 200
    async with http.get(f"{at.base_url}/journal?limit=0") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("action", "status", "taken"),
    [
        ({"do": "http", "status": 401}, 401, 0),
        ({"do": "http", "status": 429, "headers": {"Retry-After": "2"}}, 429, 0),
        ({"do": "http", "status": 502, "taken": True}, 502, 1),
    ],
)
async def test_a_bare_http_answer(
    *,
    clients: Clients,
    at: Simulator,
    http: aiohttp.ClientSession,
    action: dict[str, Any],
    status: int,
    taken: int,
) -> None:
    at.set_faults([{"action": action}])
    client = await clients.once(at)
    assert (await client.answer())[0] == status
    assert len(at.journal) == taken
    url = f"{at.base_url}/version1/messaging"
    form = {"username": "sandbox", "to": NUMBER, "message": "x"}
    async with http.post(url, data=form, headers={"apiKey": "k"}) as response:
        assert response.headers.get("Retry-After") == action.get("headers", {}).get("Retry-After")


async def test_put_faults_lists_what_is_wrong(at: Simulator, http: aiohttp.ClientSession) -> None:
    for body in (b"{", b'[{"action": {"do": "explode"}}]'):
        async with http.put(f"{at.base_url}/faults", data=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]


async def test_get_faults_tells_what_each_rule_takes_and_how_often_it_applied(
    clients: Clients, at: Simulator, http: aiohttp.ClientSession
) -> None:
    rules = [{"match": {"first": 1}, "action": {"do": "http", "status": 503}}]
    async with http.put(f"{at.base_url}/faults", json={"seed": 3, "rules": rules}) as response:
        assert response.status == 200
    for expected in (503, 201):
        client = await clients.once(at)
        assert (await client.answer())[0] == expected
    async with http.get(f"{at.base_url}/faults") as response:
        assert await response.json() == {
            "seed": 3,
            "rules": [{**rules[0], "taken": [False], "seen": 2, "hits": 1}],
        }


async def test_stopping_waits_for_neither_hangs_nor_idle_connections(clients: Clients) -> None:
    simulator = Simulator("africastalking")
    await simulator.start()
    simulator.set_faults([{"match": {"after": 1}, "action": {"do": "hang"}}])
    idle, hanging = await clients.once(simulator), await clients.connect(simulator)
    await idle.answer()
    await hanging.send()
    await until(lambda: simulator.engine.requests.sms["not_taken"] == 1, 5)
    async with asyncio.timeout(10):  # the hang would never end
        await simulator.stop()
    assert await idle.rest() == b""
