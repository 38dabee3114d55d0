"""Presets: what is refused, what is sent, what answers and reports mean."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.unit.providers.gateway_desk import SECRET, TO, account, preset, sms
from worker.domain.messages.outcome import Blame, NotSent
from worker.providers.answer import ask
from worker.providers.gateway_request import check_request, send_request
from worker.providers.http_gateway import HttpGateway
from worker.providers.preset import load
from worker.providers.transport import AiohttpTransport, http_client

if TYPE_CHECKING:
    from pathlib import Path


def test_json_basic_sends_the_documented_request() -> None:
    prepared = send_request(account("json-basic"), load("json-basic"), sms())
    assert (prepared.method, prepared.url) == ("POST", "http://gateway:8080/api/messages")
    assert json.loads(prepared.content) == {
        "to": TO,
        "from": "ACME",
        "text": "50% & more + é\r\n{x}",
        "reference": "a/b 1",
        "reportUrl": "https://hooks.example.org/reports/legacy/t0ken?epoch=2",
    }
    kind, _, pair = prepared.headers["Authorization"].partition(" ")
    assert (kind, base64.b64decode(pair).decode()) == ("Basic", f"user:{SECRET}")
    assert prepared.headers["Content-Type"] == "application/json"


def test_fields_with_nothing_in_them_are_left_out() -> None:
    bare = account("json-basic", sender_id=None, report_base_url=None)
    prepared = send_request(bare, load("json-basic"), sms())
    assert json.loads(prepared.content).keys() == {"to", "text", "reference"}


def test_kannel_gets_everything_in_the_query() -> None:
    prepared = send_request(account("kannel"), load("kannel"), sms())
    split = urlsplit(prepared.url)
    assert (prepared.method, split.path) == ("GET", "/api/cgi-bin/sendsms")
    assert dict(parse_qsl(split.query)) == {
        "username": "user",
        "password": SECRET,
        "to": TO,
        "from": "ACME",
        "text": "50% & more + é\r\n{x}",
        "charset": "UTF-8",
        "coding": "0",
        "validity": "2",
        "dlr-mask": "31",
        "dlr-url": "https://hooks.example.org/reports/legacy/t0ken"
        "?id=a%%2Fb%%201&epoch=2&type=%d&foreign=%F",
    }


@pytest.mark.parametrize(("text", "coding"), [("{€}", "0"), ("ŋ", "2"), ("`", "2"), ("😀", "2")])
def test_kannel_is_told_when_the_text_needs_ucs2(text: str, coding: str) -> None:
    prepared = send_request(account("kannel"), load("kannel"), sms(text=text))
    assert dict(parse_qsl(urlsplit(prepared.url).query))["coding"] == coding


@pytest.mark.parametrize(
    ("form", "to", "expected"),
    [("e164", TO, TO), ("digits", TO, "260977123456"), ("local", TO, "0977123456")],
)
def test_each_number_form(form: str, to: str, expected: str) -> None:
    found = preset(
        number=form,
        country_code="260",
        send={
            "method": "POST",
            "url": "{base_url}/",
            "body": {"kind": "form", "fields": {"n": "{to}"}},
        },
    )
    prepared = send_request(account("kannel"), found, sms(to=to))
    assert dict(parse_qsl(prepared.content.decode())) == {"n": expected}


async def test_a_number_the_form_cannot_carry_is_proof(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "name: local\nnumber: local\ncountry_code: '260'\n"
        "send: {method: GET, url: '{base_url}/{to}'}\n"
        "rules: [{status: [200], regex: OK, verdict: accepted}]"
    )
    provider = HttpGateway(account(str(path)))
    found = await provider.send(sms(to="+254711123456"))
    assert isinstance(found, NotSent)
    assert (found.blame, found.code) == (Blame.MESSAGE, "not_encodable")
    await provider.close()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "é", "\x00"])
def test_a_header_carries_no_line_of_its_own(value: str) -> None:
    found = preset(
        send={"method": "POST", "url": "{base_url}/", "headers": {"X-From": "{sender_id}"}}
    )
    with pytest.raises(ValueError, match="header"):
        send_request(account("kannel"), found, sms(sender_id=value))


AUTHS = [
    ({"kind": "none"}, {}, {}),
    ({"kind": "bearer"}, {"Authorization": f"Bearer {SECRET}"}, {}),
    ({"kind": "header", "fields": {"X-Key": "{secret}"}}, {"X-Key": SECRET}, {}),
    ({"kind": "query", "fields": {"key": "{secret}"}}, {}, {"key": SECRET}),
]


@pytest.mark.parametrize(("auth", "headers", "query"), AUTHS)
def test_each_kind_of_authorisation(
    auth: dict[str, object], headers: dict[str, str], query: dict[str, str]
) -> None:
    prepared = send_request(account("kannel"), preset(auth=auth), sms())
    assert prepared.headers == headers
    assert dict(parse_qsl(urlsplit(prepared.url).query)) == query


def test_a_text_body_is_the_text() -> None:
    body = {"kind": "text", "text": "{text}"}
    found = preset(send={"method": "POST", "url": "{base_url}/", "body": body})
    prepared = send_request(account("kannel"), found, sms(text="é"))
    assert prepared.content == "é".encode()


def test_a_trace_is_passed_on() -> None:
    prepared = send_request(account("kannel"), load("kannel"), sms(traceparent="00-1-2-01"))
    assert prepared.headers["traceparent"] == "00-1-2-01"


def test_the_account_call_is_authorised_too() -> None:
    found = load("json-basic")
    assert found.check is not None
    prepared = check_request(account("json-basic"), found, found.check.request)
    assert prepared.url == "http://gateway:8080/api/account"
    assert prepared.headers["Authorization"].startswith("Basic ")


async def test_no_representation_shows_the_password() -> None:
    provider = HttpGateway(account("kannel"))
    assert SECRET not in f"{provider!r} {vars(provider)!r}"
    await provider.close()


@pytest.mark.parametrize("host", ["10.20.30", "1.2.3", "1.2.3.4.", "999", f"{'a' * 64}.example"])
async def test_what_never_left_for_want_of_an_address_is_not_sent(host: str) -> None:
    client = http_client(AiohttpTransport(connect_timeout_s=1, deadline_s=1))
    found = await ask(client, client.build_request("POST", f"http://{host}:9/", content=b"x"))
    assert isinstance(found, NotSent)
    await client.aclose()


async def test_a_call_that_cannot_be_built_is_not_sent_and_not_raised() -> None:
    provider = HttpGateway(account("json-basic"))
    provider._settings = account("json-basic").model_copy(update={"base_url": "https://300.1.1.1"})
    assert isinstance(await provider.send(sms()), NotSent)
    health = await provider.check()
    assert (health.ok, health.reason) == (False, "the account call cannot be written")
    await provider.close()
