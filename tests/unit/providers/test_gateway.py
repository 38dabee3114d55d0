"""Presets: what is refused, what is sent, what answers and reports mean."""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

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
from worker.domain.messages.sms import Sms
from worker.providers.answer import Answer, ask
from worker.providers.gateway_answers import (
    classify,
    read_balance,
    read_delivery,
    read_optin,
    read_optout,
)
from worker.providers.gateway_request import check_request, problems, send_request
from worker.providers.http_gateway import HttpGateway
from worker.providers.preset import ConsentFields, Preset, load, shipped
from worker.providers.registry import build
from worker.providers.template import Template
from worker.providers.transport import AiohttpTransport, http_client
from worker.settings.providers import ProviderSettings

if TYPE_CHECKING:
    from pathlib import Path

TO = "+260977123456"
SECRET = "p&ss word%"


def account(preset: str, **changes: object) -> ProviderSettings:
    values = {
        "id": "legacy",
        "kind": "http",
        "preset": preset,
        "base_url": "http://gateway:8080/api/",
        "username": "user",
        "secret": SECRET,
        "sender_id": "ACME",
        "report_base_url": "https://hooks.example.org/",
        "report_token": "t0ken",
    }
    return ProviderSettings.model_validate(values | changes)


def sms(**changes: Any) -> Sms:
    values = {
        "message_id": "a/b 1",
        "epoch": 2,
        "to": TO,
        "text": "50% & more + é\r\n{x}",
        "sender_id": None,
        "valid_for_s": 130.9,
    }
    return Sms(**(values | changes))


def preset(**changes: object) -> Preset:
    values = {
        "name": "test",
        "send": {"method": "POST", "url": "{base_url}/send"},
        "rules": [{"status": [200], "regex": "^OK", "verdict": "accepted"}],
    }
    return Preset.model_validate(values | changes)


loaded = cache(load)


def answer(status: int, body: object, **headers: str) -> Answer:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(status, headers, raw)


# --- templates -----------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["{to", "to}", "{}", "{to!r}", "{to:>9}", "{to.real:x}"])
def test_a_broken_template_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Template.parse(source)


@given(st.text())
def test_a_value_never_leaves_its_place_in_an_address(value: str) -> None:
    value = value.encode("utf-8", "ignore").decode()
    address = Template.parse("{base_url}/a/{text}/b?q={text}&z=1")
    values = {"base_url": "http://host", "text": value}
    if not value or {".", ".."} & set(re.split(r"[/\\]", value)):
        with pytest.raises(ValueError, match="address"):
            address.render_address(values)
        return
    split = urlsplit(address.render_address(values))
    assert split.path.count("/") == 3
    assert parse_qs(split.query, keep_blank_values=True) == {"q": [value], "z": ["1"]}
    assert not split.fragment


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("{base_url}/from/{sender_id}/message/{text}", {"text": ".."}),
        ("{base_url}/from/{sender_id}/message/{text}", {"text": "."}),
        ("{base_url}/from/{sender_id}/message/{text}", {"text": "../../account"}),
        ("{base_url}/from/{sender_id}/message/{text}", {"text": "..\\x"}),
        ("{base_url}/from/{sender_id}/message/{text}", {"text": ""}),
        ("{base_url}/from/{sender_id}/message/{text}", {"sender_id": "..", "text": "Hi"}),
        ("{base_url}/from/{sender_id}/message/{text}", {"sender_id": "", "text": "Hi"}),
        ("{base_url}/{text}?x={sender_id}", {"text": ".."}),
        ("{base_url}/.{text}/x", {"text": "."}),
        ("{base_url}/%2e{text}", {"text": "."}),
        ("{base_url}/%2E{text}", {"text": ""}),
        ("{base_url}/{epoch}{message_id}", {"epoch": ".", "message_id": "."}),
        ("https://host/{text}", {"text": ".."}),
    ],
)
def test_a_step_that_would_lead_elsewhere_is_refused(source: str, values: dict[str, str]) -> None:
    filled = {"base_url": "http://host/api", "sender_id": "ACME"} | values
    with pytest.raises(ValueError, match="address"):
        Template.parse(source).render_address(filled)


@pytest.mark.parametrize("text", ["...", "..a", ". .", "a..", "%2e%2e", "..;", "http://x"])
def test_dots_that_lead_nowhere_stay_in_a_step(text: str) -> None:
    address = Template.parse("{base_url}/{text}/?a={text}")
    rendered = address.render_address({"base_url": "http://host", "text": text})
    assert unquote(httpx.URL(rendered).raw_path.decode()) == f"/{text}/?a={text}"


async def test_a_text_of_dots_is_for_the_other_provider(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "name: path\nsend: {method: GET, url: '{base_url}/from/{sender_id}/message/{text}'}\n"
        "rules: [{status: [200], regex: OK, verdict: accepted}]"
    )
    provider = HttpGateway(account(str(path)))
    found = await provider.send(sms(text=".."))
    assert isinstance(found, NotSent)
    assert (found.blame, found.code) == (Blame.MESSAGE, "not_encodable")
    await provider.close()


# --- presets -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_preset_is_whole(name: str) -> None:
    found = load(name)
    assert found.name == name
    assert problems(account(name), found) == []


def test_every_problem_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "name: x\ncolour: red\nsend: {method: TRACE, url: '{base_url'}\n"
        "rules: [{status: [200], verdict: accepted}, {verdict: refused}, {regex: '(', verdict: no}]"
    )
    with pytest.raises(ValidationError) as caught:
        load(str(path))
    places = {".".join(map(str, problem["loc"])) for problem in caught.value.errors()}
    assert places == {
        "colour",
        "send.method",
        "send.url",
        "rules.0",
        "rules.1",
        "rules.2.regex",
        "rules.2.verdict",
    }


@pytest.mark.parametrize("content", ["{", "- 1", ""])
def test_a_file_that_is_no_preset_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r".+"):
        load(str(path))


def test_an_unknown_preset_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="json-basic, kannel"):
        load("no-such-preset")


def test_what_the_settings_lack_is_named_at_once() -> None:
    lacking = account(
        "kannel", username=None, secret=None, report_token=None, parameters={"to": "x"}
    )
    with pytest.raises(ValueError, match=r"parameters\.to.*username.*secret.*report_token"):
        build(lacking)


def test_an_unknown_slot_is_named() -> None:
    found = preset(send={"method": "GET", "url": "{base_url}/{route}"})
    assert problems(account("kannel"), found) == [
        "preset: send.url: slot {route}: expected a known name or one of 'parameters'"
    ]
    assert problems(account("kannel", parameters={"route": "zm"}), found) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/messages",
        "messages",
        "//host/x",
        "ftp://host/x",
        "{base_url}messages",
        "{base_url}:8080/x",
        "{base_url}{to}",
        "{base_url}/x#{text}",
        "{to}",
        "{secret}/x",
        "{report_base_url}/x",
        "https://{to}/x",
    ],
)
@pytest.mark.parametrize("call", ["send", "check"])
def test_an_incomplete_address_of_a_preset_is_refused(url: str, call: str) -> None:
    request = {"method": "GET", "url": url}
    changes: dict[str, Any] = {"check": {"request": request, "balance": {"json": "b"}}}
    with pytest.raises(
        ValidationError, match=r"url: expected '.base_url.' or an address with http"
    ):
        preset(**(changes if call == "check" else {"send": request}))


@pytest.mark.parametrize(
    "url", ["/reports/{report_token}", "{base_url}/r", "{report_base_url}r", "{report_base_url}#a"]
)
def test_an_incomplete_address_for_reports_is_refused(url: str) -> None:
    reports = {"url": url, "message_id": "id", "statuses": {"1": "delivered"}}
    with pytest.raises(ValidationError, match=r"url: expected '.report_base_url.' or an address"):
        preset(reports=reports)


@pytest.mark.parametrize("url", ["{base_url}", "{base_url}?a=1", "{base_url}/é b", "http://h/{to}"])
def test_a_complete_address_of_a_preset_is_taken(url: str) -> None:
    assert problems(account("kannel"), preset(send={"method": "GET", "url": url})) == []


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Ü": "a"}, "expected the name of a field of HTTP"),
        ({"": "a"}, "expected the name of a field of HTTP"),
        ({"X Y": "a"}, "expected the name of a field of HTTP"),
        ({"X\nY": "a"}, "expected the name of a field of HTTP"),
        ({"X": "é"}, r"headers\.X: expected ASCII characters without line ends"),
        ({"X": "{to}\n"}, r"headers\.X: expected ASCII characters without line ends"),
        ({"Content-Length": "5"}, "expected no Content-Length"),
        ({"transfer-encoding": "chunked"}, "expected no transfer-encoding"),
        ({"X-Key": "a", "x-key": "b"}, "expected each name once"),
    ],
)
@pytest.mark.parametrize("place", ["send", "auth"])
def test_headers_that_http_cannot_carry_are_refused(
    headers: dict[str, str], problem: str, place: str
) -> None:
    send = {"method": "GET", "url": "{base_url}", "headers": headers}
    auth = {"kind": "header", "fields": headers}
    with pytest.raises(ValidationError, match=problem):
        preset(**({"send": send} if place == "send" else {"auth": auth}))


@pytest.mark.parametrize(
    "url",
    ["{base_url}/a\tb", "{base_url}/a\n", "{base_url}/../a", "https://xn--a/", "{base_url}/."],
)
def test_a_preset_that_no_request_can_be_made_of_is_named(url: str) -> None:
    found = preset(send={"method": "GET", "url": url})
    (problem,) = problems(account("kannel", parameters={"route": "a."}), found)
    assert problem.startswith("preset: send: expected ")


@pytest.mark.parametrize("url", ["{base_url}/a\tb", "{base_url}/balance/{to}"])
def test_an_account_call_that_cannot_be_made_is_named(url: str) -> None:
    check = {"request": {"method": "GET", "url": url}, "balance": {"json": "b"}}
    (problem,) = problems(account("kannel"), preset(check=check))
    assert problem.startswith("preset: check.request: expected ")


@pytest.mark.parametrize("kind", ["http", "africastalking"])
@pytest.mark.parametrize("field", ["base_url", "report_base_url"])
@pytest.mark.parametrize("host", ["xn--a", "xn--zz--zz.example", "h²", "\uff11.2.3.4", "aª.com"])
def test_a_host_that_the_libraries_refuse_is_named(kind: str, field: str, host: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: expected a host"):
        build(
            account(
                "json-basic", kind=kind, **({"base_url": "https://h"} | {field: f"https://{host}"})
            )
        )


@pytest.mark.parametrize(
    ("base_url", "twice"),
    [
        ("https://hooks/reports", "/reports"),
        ("https://hooks/sms/reports/", "/reports"),
        ("https://hooks/reports/legacy", "/reports/{provider_id}"),
        ("https://hooks/reports/legacy/t0ken", "/reports/{provider_id}/{report_token}"),
        ("https://hooks/reports/legacy/old", "/reports/{provider_id}/{report_token}"),
    ],
)
@pytest.mark.parametrize("name", ["json-basic", "kannel"])
def test_a_report_address_with_the_path_of_the_preset_is_named(
    base_url: str, twice: str, name: str
) -> None:
    (problem,) = problems(account(name, report_base_url=base_url), load(name))
    assert problem == (
        f"report_base_url: expected the address without {twice}: preset {name!r} adds it"
    )


@pytest.mark.parametrize("base_url", ["https://hooks", "https://hooks/sms", "https://reports/a"])
def test_a_report_address_without_the_path_of_the_preset_is_taken(base_url: str) -> None:
    assert problems(account("kannel", report_base_url=base_url), load("kannel")) == []


@pytest.mark.parametrize("path", ["/cgi-bin", "/x/cgi-bin/sendsms/"])
def test_a_base_address_with_a_part_of_the_path_of_the_preset_is_named(path: str) -> None:
    (problem,) = problems(account("kannel", base_url=f"http://gateway{path}"), load("kannel"))
    assert problem.startswith("base_url: expected the address without /cgi-bin")


# --- requests ------------------------------------------------------------------------------


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


# --- answers -------------------------------------------------------------------------------


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


# --- callbacks -----------------------------------------------------------------------------


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
