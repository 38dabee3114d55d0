"""Delivery reports and opt-outs as the customer's server receives them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp import web

from tests.support.waiting import until
from worker.lab.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NUMBER = "+260977123456"
BASIC = {"Authorization": aiohttp.encode_basic_auth("sms", "pw")}


class Customer:
    """Receives callbacks; answers the first ones with the given statuses, then 200."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[str, dict[str, str]]] = []
        self.statuses: list[int] = []
        self.on_call = lambda: None

    async def handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.text()
        if request.method == "GET":
            fields = dict(request.query)
        elif request.content_type == "application/json":
            fields = json.loads(body)
        else:
            fields = dict(parse_qsl(body))
        self.got.append((f"{request.method} {request.path}", fields))
        self.on_call()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    def fields(self) -> list[dict[str, str]]:
        return [fields for _, fields in self.got]


@pytest.fixture
async def customer() -> AsyncIterator[Customer]:
    customer = Customer()
    server = web.Server(customer.handle, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    customer.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield customer
    listener.close()
    server.pre_shutdown()
    await server.shutdown(1)


@pytest.fixture
async def at(customer: Customer) -> AsyncIterator[Simulator]:
    async with Simulator(
        "africastalking",
        report_url=f"{customer.url}/reports",
        optout_url=f"{customer.url}/optouts",
        report_retry_s=(0.01, 0.01),
    ) as simulator:
        yield simulator


@pytest.fixture
async def legacy() -> AsyncIterator[Simulator]:
    async with Simulator("legacy", report_retry_s=(0.01,)) as simulator:
        yield simulator


async def send_at(at: Simulator, text: str = "hello") -> dict[str, Any]:
    form = {"username": "u", "to": NUMBER, "message": text, "from": "BANK"}
    url = f"{at.base_url}/version1/messaging"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=form, headers={"apiKey": "k"}) as response,
    ):
        return (await response.json())["SMSMessageData"]["Recipients"][0]


async def reported(simulator: Simulator, **plan: Any) -> None:
    """Script a report plan, send one SMS, wait for what follows."""
    simulator.set_faults([{"action": {"reports": {"delay_ms": 1, **plan}}}])
    await send_at(simulator)
    await simulator.reporter.settled()


async def test_a_taken_sms_is_reported_delivered(at: Simulator, customer: Customer) -> None:
    recipient = await send_at(at)
    await at.reporter.settled()
    assert customer.got == [
        (
            "POST /reports",
            {
                "id": recipient["messageId"],
                "phoneNumber": NUMBER,
                "networkCode": "64501",
                "status": "Success",
            },
        )
    ]


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [
        ("failed", "Failed", "DeliveryFailure"),
        ("rejected", "Rejected", "UserDoesNotExist"),
        ("expired", "Expired", None),
        ("absent", "AbsentSubscriber", None),
        ("submitted", "Submitted", None),
    ],
)
async def test_a_report_can_tell_another_ending(
    at: Simulator, customer: Customer, ending: str, status: str, reason: str | None
) -> None:
    await reported(at, status=ending)
    [fields] = customer.fields()
    assert (fields["status"], fields.get("failureReason")) == (status, reason)


@pytest.mark.parametrize(
    ("plan", "statuses"),
    [
        ({"send": False}, []),
        ({"copies": 2}, ["Success", "Success"]),
        ({"intermediate": True}, ["Submitted", "Success"]),
        ({"intermediate": True, "reversed": True}, ["Success", "Submitted"]),
        ({"raw_status": "Teleported"}, ["Teleported"]),
    ],
)
async def test_reports_follow_their_plan(
    at: Simulator, customer: Customer, plan: dict[str, Any], statuses: list[str]
) -> None:
    await reported(at, **plan)
    assert [fields["status"] for fields in customer.fields()] == statuses


async def test_a_refused_sms_is_never_reported(at: Simulator, customer: Customer) -> None:
    at.set_faults([{"action": {"do": "refuse", "code": 407}}])
    await send_at(at)
    await at.reporter.settled()
    assert customer.got == []
    assert at.reporter.summary()["scheduled"] == 0


async def test_a_report_can_come_before_the_answer(at: Simulator, customer: Customer) -> None:
    answered: list[int] = []
    customer.on_call = lambda: answered.append(sum(at.engine.requests.answers.values()))
    await reported(at, before_answer=True)
    assert answered == [0]


async def test_a_report_before_the_answer_outlives_its_client(
    at: Simulator, customer: Customer
) -> None:
    customer.statuses = [500]
    sending = asyncio.create_task(reported(at, before_answer=True))
    customer.on_call = sending.cancel
    with pytest.raises(asyncio.CancelledError):
        await sending
    await until(lambda: at.reporter.summary()["pending"] == 0)
    assert [fields["status"] for fields in customer.fields()] == ["Success"] * 2


async def test_a_report_follows_although_the_connection_was_closed(
    at: Simulator, customer: Customer
) -> None:
    at.set_faults([{"action": {"do": "close", "reports": {"delay_ms": 1}}}])
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await send_at(at)
    await at.reporter.settled()
    assert [fields["id"] for fields in customer.fields()] == [entry.id for entry in at.journal]


async def test_a_report_is_tried_again_until_it_is_taken(at: Simulator, customer: Customer) -> None:
    customer.statuses = [500, 302]
    await reported(at)
    assert len(customer.got) == 3
    assert at.reporter.summary() == {
        "scheduled": 1,
        "delivered": 1,
        "retried": 2,
        "given_up": 0,
        "pending": 0,
    }


async def test_a_report_nobody_takes_is_given_up(at: Simulator, customer: Customer) -> None:
    customer.statuses = [500] * 3
    await reported(at)
    assert (len(customer.got), at.reporter.summary()["given_up"]) == (3, 1)


async def test_an_optout_is_called_back_and_refused_from_then_on(
    at: Simulator, customer: Customer
) -> None:
    plan = {"send": False, "delay_ms": 1}
    at.set_faults([{"action": {"optout": True, "reports": plan}}])
    assert (await send_at(at))["statusCode"] == 101
    await at.reporter.settled()
    assert customer.got == [("POST /optouts", {"senderId": "BANK", "phoneNumber": NUMBER})]
    assert (await send_at(at))["statusCode"] == 406
    assert len(at.journal) == 1


async def test_an_optout_can_be_ordered(at: Simulator, customer: Customer) -> None:
    async with aiohttp.ClientSession() as http:
        body = {"to": NUMBER, "from": "BANK"}
        async with http.post(f"{at.base_url}/optouts", json=body) as response:
            assert response.status == 200
    assert customer.got == [("POST /optouts", {"senderId": "BANK", "phoneNumber": NUMBER})]
    assert (await send_at(at))["statusCode"] == 406


async def test_an_optout_is_of_one_sender_and_can_be_taken_back(at: Simulator) -> None:
    async def order(method: str, **body: str) -> int:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{at.base_url}/optouts", json={"to": NUMBER, **body}) as reply,
        ):
            assert reply.status == 200
        return int((await send_at(at))["statusCode"])  # sent under BANK

    assert await order("POST", **{"from": "PROMO"}) == 101
    assert await order("POST") == 406
    assert await order("DELETE", **{"from": "PROMO"}) == 406
    assert await order("DELETE") == 101


async def send_json(legacy: Simulator, **fields: str) -> str:
    body = {"to": NUMBER, "text": "hello", **fields}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{legacy.base_url}/messages", json=body, headers=BASIC) as response,
    ):
        return (await response.json())["id"]


async def test_json_basic_reports_to_the_address_of_the_message(
    legacy: Simulator, customer: Customer
) -> None:
    url = f"{customer.url}/reports/legacy/token?epoch=2"
    given = await send_json(legacy, reference="m-1", reportUrl=url)
    await legacy.reporter.settled()
    assert customer.got == [
        (
            "POST /reports/legacy/token",
            {"id": given, "to": NUMBER, "reference": "m-1", "status": "DELIVERED"},
        )
    ]


async def test_json_basic_reports_why_it_was_not_delivered(
    legacy: Simulator, customer: Customer
) -> None:
    plan = {"delay_ms": 1, "status": "failed", "intermediate": True}
    legacy.set_faults([{"action": {"reports": plan}}])
    await send_json(legacy, reportUrl=customer.url)
    await legacy.reporter.settled()
    assert [(each["status"], each.get("reason")) for each in customer.fields()] == [
        ("SENT", None),
        ("UNDELIVERED", "delivery_failure"),
    ]


async def send_kannel(legacy: Simulator, url: str, mask: int) -> None:
    legacy.set_faults([{"action": {"reports": {"delay_ms": 1, "intermediate": True}}}])
    query = {"username": "a", "password": "b", "to": NUMBER, "text": "x"}
    query |= {"dlr-url": url, "dlr-mask": str(mask)}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{legacy.base_url}/cgi-bin/sendsms", params=query) as response,
    ):
        assert response.status == 202
    await legacy.reporter.settled()


async def test_kannel_fetches_the_address_of_the_message_with_its_escapes_filled_in(
    legacy: Simulator, customer: Customer
) -> None:
    await send_kannel(legacy, f"{customer.url}/dlr?id=a%%20b&epoch=1&type=%d&to=%p", 31)
    common = {"id": "a b", "epoch": "1", "to": NUMBER}
    assert customer.got == [
        ("GET /dlr", {**common, "type": "8"}),
        ("GET /dlr", {**common, "type": "1"}),
    ]


@pytest.mark.parametrize(("mask", "types"), [(1, ["1"]), (8, ["8"]), (2, []), (0, [])])
async def test_kannel_sends_only_the_reports_of_the_mask(
    legacy: Simulator, customer: Customer, mask: int, types: list[str]
) -> None:
    await send_kannel(legacy, f"{customer.url}/dlr?type=%d", mask)
    assert [fields["type"] for fields in customer.fields()] == types
