"""Each adapter against the provider's simulator: what it says must fit what was really taken."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import pytest
from aiohttp import web

from worker.domain.messages.message import Delivery
from worker.domain.messages.outcome import (
    Accepted,
    AccountFault,
    Blame,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.domain.messages.receipts import DeliveryReport, OptOut
from worker.domain.messages.sms import Sms
from worker.lab.simulator.server import Simulator
from worker.providers.registry import build
from worker.settings.providers import ProviderSettings
from worker.web import fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.ports.providers import Provider

TO = "+260977123456"
SECRET = "secret"
ADAPTERS = {
    "africastalking": ("africastalking", None),
    "json-basic": ("legacy", "json-basic"),
    "kannel": ("legacy", "kannel"),
}
every_adapter = pytest.mark.parametrize("name", ADAPTERS)


def sms(text: str = "Your code is 1234 #m-17", **changes: Any) -> Sms:
    values = {
        "message_id": "m-17",
        "epoch": 3,
        "to": TO,
        "text": text,
        "sender_id": None,
        "valid_for_s": 600.0,
    }
    return Sms(**(values | changes))


@asynccontextmanager
async def connected(
    name: str, *, secret: str = SECRET, report_base_url: str | None = None, **options: Any
) -> AsyncIterator[tuple[Simulator, Provider]]:
    dialect, preset = ADAPTERS[name]
    async with Simulator(dialect, username="user", secret=SECRET, **options) as simulator:
        account = {
            "id": "p",
            "kind": "http" if preset else "africastalking",
            "preset": preset,
            "base_url": simulator.base_url,
            "username": "user",
            "secret": secret,
            "deadline_s": 0.5,
            "connect_timeout_s": 0.5,
            "report_base_url": report_base_url,
            "report_token": "t0ken",
        }
        provider = build(ProviderSettings.model_validate(account))
        try:
            yield simulator, provider
        finally:
            await provider.close()


@every_adapter
async def test_a_message_is_taken_as_it_was_given(name: str) -> None:
    text = "50% & more + {é} 😀\nsecond line #m-17"
    async with connected(name) as (simulator, provider):
        outcome = await provider.send(sms(text, sender_id="ACME"))
        [entry] = simulator.journal.since(0, 10)
    assert isinstance(outcome, Accepted)
    assert (entry.to, entry.sender, entry.text) == (TO, "ACME", text)
    if name != "kannel":
        assert (outcome.provider_message_id, outcome.parts) == (entry.id, entry.parts)


FAULTS = [
    {"do": "close"},
    {"do": "close", "taken": False},
    {"do": "reset"},
    {"do": "reset", "taken": True},
    {"do": "hang"},
    {"do": "hang", "taken": True},
    {"do": "half_body"},
    {"do": "garbage"},
    {"do": "close_before_reading"},
    {"do": "unreachable"},
    {"do": "http", "status": 500},
    {"do": "http", "status": 502, "taken": True},
    {"do": "http", "status": 503},
    {"do": "http", "status": 504, "taken": True},
    {"do": "http", "status": 302, "headers": {"Location": "/elsewhere"}},
    {"do": "http", "status": 401},
    {"do": "http", "status": 429, "headers": {"Retry-After": "2"}},
]


@every_adapter
@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_no_outcome_claims_more_than_is_true(name: str, fault: dict[str, Any]) -> None:
    async with connected(name) as (simulator, provider):
        simulator.set_faults([{"action": fault}])
        outcome = await provider.send(sms())
        taken = len(simulator.journal)
        simulator.clear_faults()
    assert taken <= 1
    if isinstance(outcome, Accepted):
        assert taken == 1
    if isinstance(outcome, NotSent | Refused):
        assert taken == 0
    if fault["do"] not in ("unreachable", "http"):
        assert isinstance(outcome, Unknown)
    if fault["do"] == "unreachable":
        assert isinstance(outcome, NotSent)


REFUSALS = [
    ("africastalking", 402, NotSent),
    ("africastalking", 403, NotSent),
    ("africastalking", 404, NotSent),
    ("africastalking", 405, NotSent),
    ("africastalking", 406, Refused),
    ("africastalking", 407, NotSent),
    ("africastalking", 409, Refused),
    ("africastalking", 500, NotSent),
    ("africastalking", "InvalidSenderId", NotSent),
    ("africastalking", "InvalidPhoneNumber", NotSent),
    ("json-basic", "invalid_recipient", NotSent),
    ("json-basic", "invalid_sender", NotSent),
    ("json-basic", "invalid_request", NotSent),
    ("json-basic", "not_routable", NotSent),
    ("json-basic", "insufficient_balance", NotSent),
    ("json-basic", "opted_out", Refused),
    ("json-basic", "account_suspended", NotSent),
    ("json-basic", "throttled", NotSent),
    ("json-basic", "unavailable", NotSent),
    ("json-basic", "internal", Unknown),
    ("kannel", "denied", NotSent),
    ("kannel", "not_routable", NotSent),
    ("kannel", "temporal_failure", NotSent),
    ("kannel", "internal", Unknown),
]


@pytest.mark.parametrize(("name", "code", "kind"), REFUSALS)
async def test_each_refusal_is_understood(name: str, code: int | str, kind: type[Outcome]) -> None:
    async with connected(name) as (simulator, provider):
        simulator.set_faults([{"action": {"do": "refuse", "code": code}}])
        outcome = await provider.send(sms())
        assert len(simulator.journal) == 0
    assert isinstance(outcome, kind)


@every_adapter
async def test_a_wrong_secret_is_the_account_s_fault(name: str) -> None:
    async with connected(name, secret="wrong") as (_, provider):
        outcome = await provider.send(sms())
        health = await provider.check()
    assert isinstance(outcome, NotSent)
    assert (outcome.blame, outcome.account_fault) == (Blame.ACCOUNT, AccountFault.AUTHENTICATION)
    if name != "kannel":
        assert (health.ok, health.fault) == (False, AccountFault.AUTHENTICATION)


@pytest.mark.parametrize("name", ["africastalking", "json-basic"])
async def test_the_account_call_names_the_balance(name: str) -> None:
    async with connected(name) as (_, provider):
        health = await provider.check()
    assert health.ok
    assert health.balance is not None
    assert health.balance.amount == 1_000_000


class Callbacks:
    """Takes callbacks the way the webhook does."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[tuple[str, dict[str, str]]] = asyncio.Queue()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._take))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        query = request.rel_url.raw_query_string.encode()
        media_type = request.headers.get("content-type", "")
        for read in fields.read(query, media_type, await request.read()):
            self.taken.put_nowait((request.path, read))
        return web.Response()

    async def next(self) -> tuple[str, dict[str, str]]:
        async with asyncio.timeout(5):
            return await self.taken.get()


@every_adapter
@pytest.mark.parametrize(
    ("ending", "delivery"),
    [("delivered", Delivery.DELIVERED), ("failed", Delivery.UNDELIVERED)],
)
async def test_a_report_finds_its_attempt(name: str, ending: str, delivery: Delivery) -> None:
    async with (
        Callbacks() as callbacks,
        connected(
            name, report_base_url=callbacks.url, report_url=f"{callbacks.url}/reports/p/t0ken"
        ) as (simulator, provider),
    ):
        simulator.set_faults([{"action": {"reports": {"status": ending, "delay_ms": 1}}}])
        outcome = await provider.send(sms())
        path, read = await callbacks.next()
        report = provider.read_report("delivery", read)
    assert isinstance(outcome, Accepted)
    assert isinstance(report, DeliveryReport)
    assert path == "/reports/p/t0ken"
    assert report.delivery is delivery
    if name == "africastalking":
        assert (report.provider_message_id, report.to) == (outcome.provider_message_id, TO)
    else:
        assert (report.message_id, report.epoch) == ("m-17", 3)


async def test_kannel_gives_a_difficult_id_back_unharmed() -> None:
    """Kannel expands %-escapes in the address: `%d`, but also what our own encoding looks like."""
    message_id = "café/%d é&id=2"
    async with (
        Callbacks() as callbacks,
        connected("kannel", report_base_url=callbacks.url) as (_, provider),
    ):
        await provider.send(sms(message_id=message_id))
        _, read = await callbacks.next()
        report = provider.read_report("delivery", read)
    assert isinstance(report, DeliveryReport)
    assert report.message_id == message_id


@pytest.mark.parametrize("name", ["africastalking", "json-basic"])
async def test_an_opt_out_is_understood(name: str) -> None:
    async with (
        Callbacks() as callbacks,
        connected(name, optout_url=f"{callbacks.url}/optout/p/t0ken") as (simulator, provider),
    ):
        await simulator.opt_out(TO, "ACME")
        _, read = await callbacks.next()
        assert provider.read_report("optout", read) == OptOut("p", TO, "ACME")
        refused = await provider.send(sms(sender_id="ACME"))
        other = await provider.send(sms(sender_id="BANK"))
    assert isinstance(refused, Refused)
    assert isinstance(other, Accepted)
    assert refused.opted_out
