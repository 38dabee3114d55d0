"""What the simulated providers put on the wire, seen from a client."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from worker.lab.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT = "/version1/messaging"
KANNEL = "/cgi-bin/sendsms"
NUMBER = "+260977123456"
FORM = {"username": "sandbox", "to": NUMBER, "message": "Hello & é #m-1", "bulkSMSMode": "1"}
KEY = {"apiKey": "k", "Accept": "application/json"}
BASIC = {"Authorization": aiohttp.encode_basic_auth("sms", "pw")}
QUERY = {"username": "sms", "password": "pw", "to": NUMBER, "text": "Hello é+ #m-1", "from": "BANK"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def at() -> AsyncIterator[Simulator]:
    async with Simulator("africastalking", username="sandbox", secret="k") as simulator:
        yield simulator


@pytest.fixture
async def legacy() -> AsyncIterator[Simulator]:
    async with Simulator("legacy", username="sms", secret="pw") as simulator:
        yield simulator


async def send_at(
    http: aiohttp.ClientSession, at: Simulator, *, headers: dict[str, str] = KEY, **fields: str
) -> tuple[int, Any]:
    url = at.base_url + AT
    async with http.post(url, data={**FORM, **fields}, headers=headers) as response:
        return response.status, await response.json()


async def test_africastalking_answers_as_both_official_sdks_insist(
    http: aiohttp.ClientSession, at: Simulator
) -> None:
    async with http.post(at.base_url + AT, data=FORM, headers=KEY) as response:
        body = await response.json()
        assert response.status == 201
        assert response.headers["Content-Type"] == "application/json"
    [entry] = at.journal
    assert entry.id.startswith("ATXid_")
    assert len(entry.id) == len("ATXid_") + 32
    assert body == {
        "SMSMessageData": {
            "Message": "Sent to 1/1 Total Cost: ZMW 0.3500",
            "Recipients": [
                {
                    "statusCode": 101,
                    "number": NUMBER,
                    "status": "Success",
                    "cost": "ZMW 0.3500",
                    "messageId": entry.id,
                    "messageParts": 1,
                }
            ],
        }
    }


async def test_africastalking_journals_what_was_asked(
    http: aiohttp.ClientSession, at: Simulator
) -> None:
    await send_at(http, at, **{"from": "BANK"})
    [entry] = at.journal
    assert (entry.to, entry.sender, entry.text, entry.key) == (
        NUMBER,
        "BANK",
        "Hello & é #m-1",
        "m-1",
    )


async def test_africastalking_prices_the_whole_message_by_its_parts(
    http: aiohttp.ClientSession, at: Simulator
) -> None:
    _, body = await send_at(http, at, message="é" * 161)
    [recipient] = body["SMSMessageData"]["Recipients"]
    assert (recipient["cost"], recipient["messageParts"]) == ("ZMW 0.7000", 2)


async def test_africastalking_judges_each_recipient(
    http: aiohttp.ClientSession, at: Simulator
) -> None:
    status, body = await send_at(http, at, to=f"{NUMBER},0977")
    assert status == 201
    assert body["SMSMessageData"]["Message"] == "Sent to 1/2 Total Cost: ZMW 0.3500"
    good, bad = body["SMSMessageData"]["Recipients"]
    assert good["statusCode"] == 101
    assert bad == {
        "statusCode": 403,
        "number": "0977",
        "status": "InvalidPhoneNumber",
        "cost": "0",
        "messageId": "None",
    }
    assert len(at.journal) == 1


@pytest.mark.parametrize(
    ("headers", "drop", "change", "status", "text"),
    [
        ({}, "", {}, 401, "The resource requires authentication, which was not supplied"),
        ({"apiKey": "wrong"}, "", {}, 401, "The supplied authentication is invalid"),
        (KEY, "", {"username": "else"}, 401, "The supplied authentication is invalid"),
        (KEY, "to", {}, 400, "Request is missing required form field 'to'"),
        (KEY, "message", {}, 400, "Request is missing required form field 'message'"),
    ],
)
async def test_africastalking_refuses_a_bad_request_in_plain_text(
    *,
    http: aiohttp.ClientSession,
    at: Simulator,
    headers: dict[str, str],
    drop: str,
    change: dict[str, str],
    status: int,
    text: str,
) -> None:
    form = {name: each for name, each in (FORM | change).items() if name != drop}
    async with http.post(at.base_url + AT, data=form, headers=headers) as response:
        assert response.status == status
        assert response.content_type == "text/plain"
        assert (await response.text()).startswith(text)
    assert len(at.journal) == 0
    assert at.engine.requests.summary()["answers"] == {str(status): 1}


async def test_africastalking_refuses_a_sender_id_no_network_shows(
    http: aiohttp.ClientSession, at: Simulator
) -> None:
    status, body = await send_at(http, at, **{"from": "TWELVELETTERS"})
    assert status == 201
    assert body == {"SMSMessageData": {"Message": "InvalidSenderId", "Recipients": []}}


async def test_africastalking_balance_falls_by_what_was_taken(
    http: aiohttp.ClientSession, at: Simulator
) -> None:
    at.engine.left = Decimal(1)
    codes = []
    for _ in range(3):
        _, body = await send_at(http, at)
        codes.append(body["SMSMessageData"]["Recipients"][0]["statusCode"])
    url = f"{at.base_url}/version1/user?username=sandbox"
    async with http.get(url, headers=KEY) as response:
        assert await response.json() == {"UserData": {"balance": "ZMW 0.30"}}
    assert codes == [101, 101, 405]


async def post(
    http: aiohttp.ClientSession, legacy: Simulator, body: object, headers: dict[str, str] = BASIC
) -> tuple[int, Any]:
    url = f"{legacy.base_url}/messages"
    async with http.post(url, json=body, headers=headers) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def test_json_basic_takes_a_message(http: aiohttp.ClientSession, legacy: Simulator) -> None:
    body = {"to": NUMBER, "from": "BANK", "text": "é☃", "reference": "r-1"}
    status, answer = await post(http, legacy, body)
    [entry] = legacy.journal
    assert (status, answer) == (202, {"id": entry.id, "status": "accepted", "parts": 1})
    assert (entry.text, entry.reference, entry.key) == ("é☃", "r-1", "r-1")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ([], 400, "invalid_request"),
        ({"to": NUMBER}, 400, "invalid_request"),
        ({"to": NUMBER, "text": 5}, 400, "invalid_request"),
        ({"to": NUMBER, "text": ""}, 400, "invalid_request"),
        ({"to": NUMBER, "text": "x", "reference": 1}, 400, "invalid_request"),
        ({"to": "0977", "text": "x"}, 400, "invalid_recipient"),
    ],
)
async def test_json_basic_names_what_is_wrong(
    http: aiohttp.ClientSession, legacy: Simulator, body: object, status: int, code: str
) -> None:
    got, answer = await post(http, legacy, body)
    assert (got, answer["error"]["code"]) == (status, code)
    assert len(legacy.journal) == 0


async def test_json_basic_wants_its_credentials(
    http: aiohttp.ClientSession, legacy: Simulator
) -> None:
    wrong = {"Authorization": aiohttp.encode_basic_auth("sms", "no")}
    for headers in ({}, wrong, {"Authorization": "Basic ###"}):
        status, answer = await post(http, legacy, {"to": NUMBER, "text": "x"}, headers)
        assert (status, answer["error"]["code"]) == (401, "unauthorized")


async def test_json_basic_tells_the_balance(http: aiohttp.ClientSession, legacy: Simulator) -> None:
    async with http.get(f"{legacy.base_url}/account", headers=BASIC) as response:
        assert await response.json() == {"balance": "1000000.00", "currency": "ZMW"}


async def test_kannel_takes_a_message_by_get(
    http: aiohttp.ClientSession, legacy: Simulator
) -> None:
    async with http.get(legacy.base_url + KANNEL, params=QUERY) as response:
        assert (response.status, await response.text()) == (202, "0: Accepted for delivery")
    [entry] = legacy.journal
    assert (entry.dialect, entry.to, entry.text, entry.sender) == (
        "kannel",
        NUMBER,
        "Hello é+ #m-1",
        "BANK",
    )


async def test_kannel_takes_a_long_text_by_get(
    http: aiohttp.ClientSession, legacy: Simulator
) -> None:
    text = "☃" * 1500
    async with http.get(legacy.base_url + KANNEL, params=QUERY | {"text": text}) as response:
        assert response.status == 202
    assert [entry.text for entry in legacy.journal] == [text]


async def test_kannel_takes_a_message_by_post_of_plain_text(
    http: aiohttp.ClientSession, legacy: Simulator
) -> None:
    headers = {
        "Content-Type": "text/plain",
        "X-Kannel-Username": "sms",
        "X-Kannel-Password": "pw",
        "X-Kannel-To": f"{NUMBER} +260966123456",
        "X-Kannel-From": "BANK",
    }
    async with http.post(legacy.base_url + KANNEL, data="hé".encode(), headers=headers) as response:
        assert response.status == 202
    assert [(entry.to, entry.text) for entry in legacy.journal] == [
        (NUMBER, "hé"),
        ("+260966123456", "hé"),
    ]


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"password": "no"}, 403, "Authorization failed for sendsms"),
        ({"to": None}, 400, "Missing receiver number, rejected"),
        ({"to": " "}, 400, "Empty receiver number not allowed, rejected"),
        ({"to": "abc"}, 400, "Number(s) has/have been denied by white- and/or black-lists."),
        ({"dlr-mask": "x"}, 400, "dlr-mask field misformed, rejected"),
    ],
)
async def test_kannel_refuses_in_its_own_words(
    http: aiohttp.ClientSession,
    legacy: Simulator,
    change: dict[str, str | None],
    status: int,
    text: str,
) -> None:
    params = {name: each for name, each in (QUERY | change).items() if each is not None}
    async with http.get(legacy.base_url + KANNEL, params=params) as response:
        assert (response.status, await response.text()) == (status, text)
    assert len(legacy.journal) == 0


async def test_kannel_refuses_a_form(http: aiohttp.ClientSession, legacy: Simulator) -> None:
    async with http.post(legacy.base_url + KANNEL, data=QUERY) as response:
        assert (response.status, await response.text()) == (400, "Invalid content-type")
