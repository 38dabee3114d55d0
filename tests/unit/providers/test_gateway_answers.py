"""What the answers and callbacks of a described gateway mean."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.providers.gateway_desk import TO, account, preset
from worker.domain.messages.message import Delivery
from worker.domain.messages.outcome import (
    Accepted,
    AccountFault,
    Blame,
    Money,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut
from worker.providers.answer import Answer
from worker.providers.gateway_answers import (
    classify,
    read_balance,
    read_delivery,
    read_optin,
    read_optout,
)
from worker.providers.http_gateway import HttpGateway
from worker.providers.preset import ConsentFields, load, shipped

loaded = cache(load)


def answer(status: int, body: object, **headers: str) -> Answer:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(status, headers, raw)


def error(code: str) -> dict[str, object]:
    return {"error": {"code": code, "message": f"about {TO}"}}


def fault(code: str, reason: str, kind: AccountFault) -> NotSent:
    return NotSent(Blame.ACCOUNT, code, reason, account_fault=kind)


def not_served(code: str) -> NotSent:
    return NotSent(Blame.RECIPIENT, code, "number not served")


JSON_BASIC = [
    (202, {"id": "LG-1", "status": "accepted", "parts": 2}, Accepted("LG-1", parts=2)),
    (202, {"id": "LG-1", "status": "queued?"}, Unknown),
    (202, "{", Unknown),
    (200, {"id": "LG-1", "status": "accepted"}, Unknown),
    (400, error("invalid_recipient"), not_served("invalid_recipient")),
    (422, error("invalid_recipient"), not_served("invalid_recipient")),
    (403, error("opted_out"), Refused("opted_out", "recipient opted out", opted_out=True)),
    (
        402,
        error("insufficient_balance"),
        fault("insufficient_balance", "balance used up", AccountFault.BALANCE),
    ),
    (401, "", fault("http_401", "credentials refused", AccountFault.AUTHENTICATION)),
    (
        400,
        error("invalid_sender"),
        fault("invalid_sender", "configured sender id refused", AccountFault.SENDER),
    ),
    (422, error("not_routable"), not_served("not_routable")),
    (
        503,
        error("unavailable"),
        NotSent(Blame.PROVIDER, "unavailable", "not taken by the gateway"),
    ),
    (503, "", Unknown),
    (500, error("unavailable"), Unknown),
    (500, error("internal"), Unknown),
    (400, error("something new"), NotSent),
    (404, "", NotSent),
    (307, "", NotSent),
    (303, "", Unknown),
]

KANNEL = [
    (202, "0: Accepted for delivery", Accepted()),
    (202, "3: Queued for later delivery", Accepted()),
    (202, "", Unknown),
    (200, "0: Accepted for delivery", Unknown),
    (400, "Missing receiver number, rejected", not_served("receiver")),
    (400, "Number(s) has/have been denied by white- and/or black-lists.", not_served("receiver")),
    (
        400,
        "Invalid content-type",
        NotSent(Blame.MESSAGE, "http_400", "request refused as malformed"),
    ),
    (
        403,
        "Authorization failed for sendsms",
        fault("http_403", "credentials refused", AccountFault.AUTHENTICATION),
    ),
    (403, "Not routable. Do not try again.", not_served("not_routable")),
    (
        503,
        "Temporal failure, try again later.",
        NotSent(Blame.PROVIDER, "temporal_failure", "not taken by the gateway"),
    ),
    (503, "<html>proxy</html>", Unknown),
    (500, "Sending failed.", Unknown),
]


def check_outcome(name: str, status: int, body: object, expected: Outcome | type) -> None:
    found = classify(answer(status, body), load(name), own_sender=False)
    if isinstance(expected, type):
        assert isinstance(found, expected)
    else:
        assert found == expected


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "body", "expected"), JSON_BASIC)
def test_each_answer_of_json_basic(status: int, body: object, expected: Outcome | type) -> None:
    check_outcome("json-basic", status, body, expected)


@pytest.mark.parametrize(("status", "body", "expected"), KANNEL)
def test_each_answer_of_kannel(status: int, body: object, expected: Outcome | type) -> None:
    check_outcome("kannel", status, body, expected)


def test_a_sender_id_of_the_message_is_for_the_other_provider_to_try() -> None:
    found = classify(answer(400, error("invalid_sender")), load("json-basic"), own_sender=True)
    assert found == NotSent(Blame.MESSAGE, "invalid_sender", "sender id refused")


def test_throttling_slows_down_for_as_long_as_asked() -> None:
    throttled = answer(429, error("throttled"), **{"retry-after": "3"})
    assert classify(throttled, load("json-basic"), own_sender=False) == NotSent(
        Blame.PROVIDER, "throttled", "asked to slow down", slow_down_s=3.0
    )


def test_cost_comes_from_where_the_preset_says() -> None:
    found = preset(
        message_id={"regex": r"^OK (\w+)"}, cost={"json": "0.price"}, currency={"json": "0.unit"}
    )
    assert classify(answer(200, "OK abc 1"), found, own_sender=False) == Accepted("abc")
    priced = preset(
        rules=[{"status": [200], "json": {"0.ok": True}, "verdict": "accepted"}],
        cost={"json": "0.price"},
        currency={"json": "0.unit"},
    )
    body = [{"ok": True, "price": "0.25", "unit": "ZMW"}]
    found_cost = classify(answer(200, body), priced, own_sender=False)
    assert found_cost == Accepted(cost=Money(Decimal("0.25"), "ZMW"))


@given(
    status=st.sampled_from([200, 202, 400, 401, 402, 403, 422, 429, 500, 503]),
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.floats() | st.text(max_size=9) | st.just("accepted"),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["id", "status", "parts", "error", "code"]), inner)
        ),
    ).map(lambda document: json.dumps(document).encode()),
    name=st.sampled_from(shipped()),
)
def test_any_bytes_are_an_outcome(status: int, body: bytes, name: str) -> None:
    found = classify(Answer(status, {}, body), loaded(name), own_sender=False)
    assert isinstance(found, Accepted | Refused | NotSent | Unknown)
    assert status == 202 or not isinstance(found, Accepted)


def test_the_balance_is_read() -> None:
    found = read_balance(answer(200, {"balance": "123.45", "currency": "ZMW"}), load("json-basic"))
    assert found == Money(Decimal("123.45"), "ZMW")


async def test_a_gateway_without_an_account_call_is_in_order() -> None:
    provider = HttpGateway(account("kannel"))
    health = await provider.check()
    assert (health.ok, health.fault) == (True, None)
    await provider.close()


# --- callbacks ---------------------------------------------------------------------------------


def test_a_json_basic_report_is_read() -> None:
    reports = load("json-basic").reports
    assert reports is not None
    fields = {"epoch": "2", "id": "LG-1", "reference": "a/b 1", "status": "UNDELIVERED", "to": TO}
    assert read_delivery("legacy", reports, fields | {"reason": "expired"}) == DeliveryReport(
        provider="legacy",
        delivery=Delivery.UNDELIVERED,
        status="UNDELIVERED",
        provider_message_id="LG-1",
        message_id="a/b 1",
        epoch=2,
        to=TO,
        reason="expired",
    )


@pytest.mark.parametrize(
    ("kind", "delivery"),
    [
        ("1", Delivery.DELIVERED),
        ("2", Delivery.UNDELIVERED),
        ("4", Delivery.SUBMITTED),
        ("8", Delivery.SUBMITTED),
        ("16", Delivery.UNDELIVERED),
        ("64", None),
    ],
)
def test_each_report_of_kannel(kind: str, delivery: Delivery | None) -> None:
    reports = load("kannel").reports
    assert reports is not None
    found = read_delivery("legacy", reports, {"id": "m-1", "epoch": "2", "type": kind})
    assert (found.delivery, found.message_id, found.epoch) == (delivery, "m-1", 2)
    assert found.provider_message_id is None


def test_a_report_about_nothing_is_refused() -> None:
    reports = load("json-basic").reports
    assert reports is not None
    with pytest.raises(ValueError, match="got neither"):
        read_delivery("legacy", reports, {"status": "DELIVERED", "epoch": "2"})


@pytest.mark.parametrize(("reason", "opted_out"), [("Opted_Out", True), ("expired", False)])
def test_a_reason_that_the_preset_lists_tells_of_an_opt_out(
    reason: str, *, opted_out: bool
) -> None:
    reports = load("json-basic").reports
    assert reports is not None
    fields = {"id": "LG-1", "status": "UNDELIVERED", "reason": reason}
    assert read_delivery("legacy", reports, fields).opted_out is opted_out


@pytest.mark.parametrize(("kind", "wish"), [("optout", OptOut), ("optin", OptIn)])
@pytest.mark.parametrize(("given", "sender_id"), [("ACME", "ACME"), (" ", None)])
async def test_a_callback_about_consent_is_read_as_written(
    kind: str, wish: type[OptOut | OptIn], given: str, sender_id: str | None
) -> None:
    provider = HttpGateway(account("json-basic"))
    found = provider.read_report(kind, {"to": " 0977123456", "from": given})
    assert found == wish("legacy", "0977123456", sender_id)
    await provider.close()


@pytest.mark.parametrize("read", [read_optout, read_optin])
def test_a_callback_about_nobody_s_consent_is_refused(read: Any) -> None:
    with pytest.raises(ValueError, match="to: expected the subscriber's number"):
        read("legacy", ConsentFields(to="to"), {"from": "ACME", "to": " "})


@pytest.mark.parametrize("kind", ["optout", "optin"])
async def test_a_callback_the_gateway_does_not_give_is_refused(kind: str) -> None:
    provider = HttpGateway(account("kannel"))
    with pytest.raises(ValueError, match=kind):
        provider.read_report(kind, {"to": TO})
    await provider.close()
