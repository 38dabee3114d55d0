"""Refusals and unusual acceptances by script, in each dialect's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from worker.lab.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NUMBER = "+260977123456"
JSON = {"to": NUMBER, "text": "Hello #m-1"}
BASIC = {"Authorization": aiohttp.encode_basic_auth("sms", "pw")}


@pytest.fixture
async def at() -> AsyncIterator[Simulator]:
    async with Simulator("africastalking") as simulator:
        yield simulator


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("code", [401, 402, 403, 404, 405, 406, 407, 408, 409, 500, 501, 502])
async def test_africastalking_recipient_codes_come_with_no_id_and_no_cost(
    at: Simulator, http: aiohttp.ClientSession, code: int
) -> None:
    [recipient] = await recipients(at, http, {"do": "refuse", "code": code})
    assert (recipient["statusCode"], recipient["messageId"], recipient["cost"]) == (
        code,
        "None",
        "0",
    )
    assert len(at.journal) == 0


async def test_a_failing_code_of_a_taken_sms_has_its_id_and_cost(
    at: Simulator, http: aiohttp.ClientSession
) -> None:
    [recipient] = await recipients(at, http, {"do": "refuse", "code": 500, "taken": True})
    [entry] = at.journal
    assert (recipient["statusCode"], recipient["messageId"], recipient["cost"]) == (
        500,
        entry.id,
        "ZMW 0.3500",
    )


async def test_africastalking_accepts_under_another_code(
    at: Simulator, http: aiohttp.ClientSession
) -> None:
    [recipient] = await recipients(at, http, {"do": "answer", "code": 102})
    assert (recipient["statusCode"], recipient["status"]) == (102, "Success")
    assert len(at.journal) == 1


async def test_africastalking_answers_empty_recipients_under_a_reason(
    at: Simulator, http: aiohttp.ClientSession
) -> None:
    assert await recipients(at, http, {"do": "refuse", "code": "InvalidSenderId"}) == []
    assert len(at.journal) == 0


async def recipients(
    at: Simulator, http: aiohttp.ClientSession, action: dict[str, Any]
) -> list[dict[str, Any]]:
    at.set_faults([{"action": action}])
    url = f"{at.base_url}/version1/messaging"
    form = {"username": "sandbox", "to": NUMBER, "message": "x"}
    async with http.post(url, data=form, headers={"apiKey": "k"}) as response:
        assert response.status == 201
        return (await response.json())["SMSMessageData"]["Recipients"]


@pytest.mark.parametrize(
    ("code", "status", "pause"),
    [
        ("opted_out", 403, None),
        ("insufficient_balance", 402, None),
        ("throttled", 429, "1"),
        ("unavailable", 503, "1"),
        ("internal", 500, None),
    ],
)
async def test_json_basic_refuses_by_its_documented_codes(
    http: aiohttp.ClientSession, code: str, status: int, pause: str | None
) -> None:
    async with Simulator("legacy") as legacy:
        legacy.set_faults([{"action": {"do": "refuse", "code": code}}])
        url = f"{legacy.base_url}/messages"
        async with http.post(url, json=JSON, headers=BASIC) as response:
            assert (response.status, response.headers.get("Retry-After")) == (status, pause)
            assert (await response.json())["error"]["code"] == code
        assert len(legacy.journal) == 0


@pytest.mark.parametrize(
    ("action", "status", "text", "taken"),
    [
        ({"do": "answer", "code": "queued"}, 202, "3: Queued for later delivery", 1),
        ({"do": "refuse", "code": "unavailable"}, 503, "Temporal failure, try again later.", 0),
        ({"do": "refuse", "code": "not_routable"}, 403, "Not routable. Do not try again.", 0),
        ({"do": "refuse", "code": "sending_failed"}, 500, "Sending failed.", 0),
    ],
)
async def test_kannel_answers_by_script(
    http: aiohttp.ClientSession, action: dict[str, Any], status: int, text: str, taken: int
) -> None:
    async with Simulator("legacy") as legacy:
        legacy.set_faults([{"action": action}])
        query = {"username": "a", "password": "b", "to": NUMBER, "text": "x"}
        async with http.get(f"{legacy.base_url}/cgi-bin/sendsms", params=query) as response:
            assert (response.status, await response.text()) == (status, text)
        assert len(legacy.journal) == taken


async def test_a_code_no_dialect_has_is_refused_and_the_old_script_stays() -> None:
    async with Simulator("legacy") as legacy:
        legacy.set_faults([{"action": {"do": "reset"}}])
        with pytest.raises(ValueError, match="json-basic or kannel"):
            legacy.set_faults([{"action": {"do": "refuse", "code": "nonsense"}}])
        assert [each.does for each in legacy.engine.faults.rules] == ["reset"]
