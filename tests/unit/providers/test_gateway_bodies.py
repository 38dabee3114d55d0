"""Bodies of presets: nested JSON, XML, text. Nothing in a message changes the request around it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from worker.domain.messages.outcome import Accepted, Blame, Money, NotSent, Outcome, Unknown
from worker.domain.messages.sms import Sms
from worker.providers.answer import Answer
from worker.providers.gateway_answers import classify
from worker.providers.gateway_request import Prepared, send_request
from worker.providers.http_gateway import HttpGateway
from worker.providers.preset import Preset
from worker.settings.providers import ProviderKind, ProviderSettings

TO = "+260977123456"
ACCOUNT = ProviderSettings(
    id="legacy",
    kind=ProviderKind.HTTP,
    preset="x",
    base_url="http://gateway",
    username="user",
    secret=SecretStr("pass"),
    sender_id="ACME",
)
HOSTILE = [
    'Say "hi"\nbye',
    'x"},{"to":"+260966000111","text":"fraud',
    "Tom & Jerry <3",
    "</text><to>+260966000111</to><text>",
    "]]><!-- {text} {{ }} %s &amp; \\u0022 \\",
    "&to=%2B260966000111",
    "\t\r\n",
    "😀 é ŋ \u2028",
]
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1) | st.sampled_from(HOSTILE)


def sms(text: str = "Hello", sender_id: str | None = None) -> Sms:
    return Sms("m-1", 2, TO, text, sender_id, 120.0)


def preset(body: dict[str, Any], headers: dict[str, str] | None = None, **changes: Any) -> Preset:
    send = {"method": "POST", "url": "{base_url}/", "body": body, "headers": headers or {}}
    rules = [{"status": [200], "regex": "OK", "verdict": "accepted"}]
    return Preset.model_validate({"name": "x", "send": send, "rules": rules} | changes)


def sent(found: Preset, text: str = "Hello", account: ProviderSettings = ACCOUNT) -> Prepared:
    return send_request(account, found, sms(text))


def parsed(prepared: Prepared) -> ET.Element:
    return ET.fromstring(prepared.content)  # noqa: S314 - written by ourselves


# --- nested JSON -----------------------------------------------------------------------------

NESTED = {
    "messages": [
        {
            "sender": "{sender_id}",
            "destinations": [{"to": "{to}", "messageId": "{message_id}"}],
            "content": {"text": "{text}"},
            "options": {"flash": False, "validity": 5, "campaign": None},
        }
    ]
}


@given(TEXTS)
def test_a_text_stays_one_string_of_nested_json(text: str) -> None:
    prepared = sent(preset({"kind": "json", "fields": NESTED}), text)
    assert prepared.headers["Content-Type"] == "application/json"
    assert json.loads(prepared.content) == {
        "messages": [
            {
                "sender": "ACME",
                "destinations": [{"to": TO, "messageId": "m-1"}],
                "content": {"text": text},
                "options": {"flash": False, "validity": 5, "campaign": None},
            }
        ]
    }


def test_parts_with_nothing_in_them_are_left_out_at_every_depth() -> None:
    fields = {
        "to": ["{to}", "{report_url}"],
        "sender": {"id": "{sender_id}"},
        "urls": [{"url": "{report_url}"}],
        "none": [],
        "text": "{text}",
    }
    bare = ACCOUNT.model_copy(update={"sender_id": None})
    prepared = sent(preset({"kind": "json", "fields": fields}), account=bare)
    assert json.loads(prepared.content) == {"to": [TO], "none": [], "text": "Hello"}


@pytest.mark.parametrize("wrong", [0.5, float("nan"), {1, 2}, yaml.safe_load("2026-01-01")])
def test_what_json_templates_cannot_hold_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="expected text"):
        preset({"kind": "json", "fields": {"text": "{text}", "x": [wrong]}})


def test_a_document_within_itself_is_refused() -> None:
    endless = yaml.safe_load("&a {text: '{text}', more: [*a]}")
    with pytest.raises(ValidationError, match="levels"):
        preset({"kind": "json", "fields": endless})


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "form", "fields": {"to": ["{to}"]}},
        {"kind": "form", "fields": {"to": {"a": "{to}"}}},
        {"kind": "form", "text": "{text}"},
        {"kind": "xml", "fields": {"to": "{to}"}},
        {"kind": "json"},
        {"kind": "json", "fields": {"a": "{to}"}, "text": "{text}"},
        {"kind": "json", "fields": {"a": ["{to"]}},
    ],
)
def test_a_body_that_does_not_fit_its_kind_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        preset(body)


def test_a_slot_deep_within_a_body_is_known() -> None:
    assert {"to", "text", "message_id"} < preset({"kind": "json", "fields": NESTED}).slots()


# --- JSON, XML and forms as text ---------------------------------------------------------------

JSON_TEXT = '{{"messages":[{{"to":"{to}","text":"{text}","minutes":{valid_for_min}}}]}}'
XML_TEXT = '<sms to="{to}" text="{text}"><text>{text}</text></sms>'


@pytest.mark.parametrize("kind", ["text", "json"])
@given(text=TEXTS)
def test_a_text_stays_one_string_of_json_written_as_text(kind: str, text: str) -> None:
    prepared = sent(preset({"kind": kind, "text": JSON_TEXT}), text)
    assert prepared.headers["Content-Type"] == "application/json"
    assert json.loads(prepared.content) == {"messages": [{"to": TO, "text": text, "minutes": 2}]}


@pytest.mark.parametrize("kind", ["text", "xml"])
@given(text=TEXTS)
def test_a_text_stays_content_of_xml_or_cannot_be_carried(kind: str, text: str) -> None:
    found = preset({"kind": kind, "text": XML_TEXT})
    if any((char < " " and char not in "\t\r\n") or char in "\ufffe\uffff" for char in text):
        with pytest.raises(ValueError, match="XML cannot carry"):
            sent(found, text)
        return
    prepared = sent(found, text)
    root = parsed(prepared)
    assert prepared.headers["Content-Type"] == "application/xml; charset=utf-8"
    assert (root.attrib, len(root), root[0].text or "") == ({"to": TO, "text": text}, 1, text)


@given(TEXTS)
def test_a_text_stays_one_value_of_a_form_written_as_text(text: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    prepared = sent(preset({"kind": "text", "text": "to={to}&text={text}"}, form), text)
    assert prepared.headers == form
    pairs = parse_qsl(prepared.content.decode(), keep_blank_values=True, strict_parsing=True)
    assert pairs == [("to", TO), ("text", text)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("text", '{{"text": {text}}}'),
        ("json", '{{"text": "{text}"'),
        ("json", "{{'text': '{text}'}}"),
        ("xml", "<sms><text>{text}</sms>"),
        ("xml", "<sms to={to}/>"),
        ("xml", "<{text}/>"),
        ("xml", "<sms><![CDATA[{text}]]></sms>"),
        ("xml", "<sms><!-- {to} -->{text}</sms>"),
        ("xml", '<!DOCTYPE a [<!ENTITY b "{text}">]><a>&b;</a>'),
        ("xml", '<?xml version="1.0" encoding="ISO-8859-1"?><sms>{text}</sms>'),
        ("text", "{to};{text}"),
    ],
)
def test_a_text_in_which_a_value_could_do_harm_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValidationError, match="text: expected"):
        preset({"kind": kind, "text": text})


@pytest.mark.parametrize("text", ["\ud800", "a\x0bb", "\ufffe"])
async def test_what_xml_cannot_carry_is_for_the_other_provider(text: str, tmp_path: Any) -> None:
    path = tmp_path / "gateway.yaml"
    send = {"method": "POST", "url": "{base_url}", "body": {"kind": "xml", "text": XML_TEXT}}
    rules = [{"status": [200], "regex": "OK", "verdict": "accepted"}]
    path.write_text(yaml.safe_dump({"name": "x", "send": send, "rules": rules}))
    provider = HttpGateway(ACCOUNT.model_copy(update={"preset": str(path)}))
    outcome = await provider.send(sms(text))
    await provider.close()
    assert isinstance(outcome, NotSent)
    assert (outcome.blame, outcome.code) == (Blame.MESSAGE, "not_encodable")


# --- a format within another one -----------------------------------------------------------------

JSON_IN = '{{"to":"{to}","text":"{text}"}}'
XML_IN = "<sms><to>{to}</to><text>{text}</text></sms>"


def read_json(written: str) -> object:
    return json.loads(written)


def read_xml(written: str) -> object:
    root = ET.fromstring(written)  # noqa: S314 - written by ourselves
    return {each.tag: each.text for each in root}


def form_field(prepared: Prepared) -> str:
    return dict(parse_qsl(prepared.content.decode()))["data"]


def json_field(prepared: Prepared) -> str:
    return str(json.loads(prepared.content)["data"])


def query_value(prepared: Prepared) -> str:
    return dict(parse_qsl(urlsplit(prepared.url).query))["data"]


def call(place: str, template: str) -> Preset:
    """A preset that has the template at this place."""
    bodies: dict[str, dict[str, Any]] = {
        "form": {"kind": "form", "fields": {"data": template}},
        "form as text": {"kind": "text", "text": f"a=1&data={template}"},
        "json": {"kind": "json", "fields": {"data": template}},
        "json as text": {"kind": "json", "text": f'{{{{"data":{json.dumps(template)}}}}}'},
        "json in a list": {"kind": "json", "fields": {"a": [{"b": template}]}},
        "xml as text": {"kind": "xml", "text": f"<data>{escape(template)}</data>"},
        "xml attribute": {"kind": "xml", "text": f"<data a={quoteattr(template)}/>"},
    }
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    send: dict[str, Any] = {"method": "POST", "url": "{base_url}/"}
    match place:
        case "query":
            send["query"] = {"data": template}
        case "address":
            send["url"] += f"?data={template}"
        case "step":
            send["url"] += template.replace("/", "%2F")
        case "header":
            send["headers"] = {"X-Data": template}
        case "auth":
            return preset({"kind": "form", "fields": {"t": "{text}"}}, auth={
                "kind": "query", "fields": {"data": template}
            })  # fmt: skip
        case _:
            send |= {"body": bodies[place], "headers": form if place == "form as text" else {}}
    return preset({"kind": "form", "fields": {"t": "{text}"}}, send=send)


FOUND = {
    "form": form_field,
    "form as text": form_field,
    "json": json_field,
    "json as text": json_field,
    "query": query_value,
    "address": query_value,
    "auth": query_value,
    "step": lambda sent: unquote(sent.url.removeprefix("http://gateway/")),
    "json in a list": lambda sent: str(json.loads(sent.content)["a"][0]["b"]),
    "xml as text": lambda sent: parsed(sent).text or "",
    "xml attribute": lambda sent: parsed(sent).attrib["a"],
    "header": lambda sent: sent.headers["X-Data"],
}


@pytest.mark.parametrize("place", FOUND)
@pytest.mark.parametrize(("template", "read"), [(JSON_IN, read_json), (XML_IN, read_xml)])
@pytest.mark.parametrize("text", [text for text in HOSTILE if text.isascii()])
def test_a_text_stays_one_value_of_a_format_within_another_one(
    place: str, template: str, read: Any, text: str
) -> None:
    prepared = sent(call(place, template), text)
    assert read(FOUND[place](prepared)) == {"to": TO, "text": text}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_stays_one_value_three_formats_deep(text: str) -> None:
    inner = json.dumps({"xml": XML_IN}).replace("{", "{{", 1)[:-1] + "}}"
    prepared = sent(call("form", inner), text)
    assert read_xml(json.loads(form_field(prepared))["xml"]) == {"to": TO, "text": text}


@pytest.mark.parametrize("place", FOUND)
@pytest.mark.parametrize(
    "template",
    [
        "v1:{{'t':'{text}'}}",
        '{{"text":{text}}}',
        '{{"text":"{text}"',
        '{{"{text}":"x"}}',
        '{{"a":"to={to} text={text}"}}',
        "[ACME] {text}",
        "<text>{text}",
        "<a/><text>{text}</text>",
        "to={to} text={text}",
        "text={text}",
        "{to};{text}",
        "{text}{sender_id}",
        "{sender_id}{message_id}",
        '"{text}"',
    ],
)
def test_a_text_whose_end_cannot_be_told_is_refused(place: str, template: str) -> None:
    with pytest.raises(ValidationError, match="expected"):
        call(place, template)


def test_json_encoded_by_hand_is_seen_in_an_address_and_refused_elsewhere() -> None:
    template = "%7B%22to%22:%22{to}%22,%22text%22:%22{text}%22%7D"
    prepared = sent(call("address", template), HOSTILE[1])
    assert json.loads(query_value(prepared)) == {"to": TO, "text": HOSTILE[1]}
    with pytest.raises(ValidationError, match="expected"):
        call("form", template)


@pytest.mark.parametrize(
    "template", ["Dear customer, {text} (ACME)", "{provider_id}-{message_id}", "[{to}]", "<{to}>"]
)
def test_plain_text_around_a_value_is_taken_as_it_is(template: str) -> None:
    filled = template.format(text="Hi", provider_id="legacy", message_id="m-1", to=TO)
    assert form_field(sent(call("form", template), "Hi")) == filled


@pytest.mark.parametrize("name", ["{to}", "a{text}", "{", "{{x}}"])
@pytest.mark.parametrize("place", ["form", "json", "deep", "query", "headers", "auth"])
def test_a_slot_in_a_name_is_refused(place: str, name: str) -> None:
    send: dict[str, Any] = {"method": "POST", "url": "{base_url}/"}
    changes: dict[str, Any] = {"send": send}
    if place == "auth":
        changes["auth"] = {"kind": "query", "fields": {name: "x"}}
    elif place in {"query", "headers"}:
        send[place] = {name: "x"}
    else:
        fields = {"a": [{name: "x"}]} if place == "deep" else {name: "x"}
        send["body"] = {"kind": "form" if place == "form" else "json", "fields": fields}
    with pytest.raises(ValidationError, match="expected a name without braces"):
        preset({}, **changes)


@pytest.mark.parametrize("slot", ["epoch", "coding", "valid_for_s", "valid_for_min", "to"])
def test_slots_of_digits_stand_in_json_without_quotes(slot: str) -> None:
    body = {"kind": "json", "text": '{{"text":"{text}","n":{' + slot + "}}}"}
    prepared = sent(preset(body, number="digits"), "ŋ")
    expected = {"epoch": 2, "coding": 2, "valid_for_s": 120, "valid_for_min": 2}
    assert json.loads(prepared.content)["n"] == (expected | {"to": 260977123456})[slot]


@pytest.mark.parametrize("slot", ["to", "text", "sender_id", "message_id", "secret", "route"])
def test_other_slots_in_json_want_quotes(slot: str) -> None:
    body = {"kind": "json", "text": '{{"text":"{text}","n":{' + slot + "}}}"}
    with pytest.raises(ValidationError, match=r"send\.body\.text: expected JSON .* in quotes"):
        preset(body)


# --- whole gateways ------------------------------------------------------------------------------

INFOBIP = """
name: infobip
number: digits
auth: {kind: header, fields: {Authorization: "App {secret}"}}
send:
  method: POST
  url: "{base_url}/sms/3/messages"
  headers: {Accept: application/json}
  body:
    kind: json
    fields:
      messages:
        - sender: "{sender_id}"
          destinations: [{to: "{to}", messageId: "{message_id}"}]
          content: {text: "{text}"}
          webhooks: {delivery: {url: "{report_url}"}}
rules:
  - {status: [200], json: {messages.0.status.groupName: [PENDING, DELIVERED]}, verdict: accepted}
  - {status: [200], json: {messages.0.status.name: REJECTED_SENDER}, verdict: sender}
  - {status: [200], json: {messages.0.status.groupName: REJECTED}, verdict: recipient}
message_id: {json: messages.0.messageId}
"""
PROBASE = """
name: probase
number: digits
send:
  method: POST
  url: "{base_url}/api/json/multi/res/bulk/sms"
  body:
    kind: json
    fields:
      {username: "{username}", password: "{secret}", source: "{sender_id}",
       recipient: ["{to}"], senderid: "{sender_id}", message: "{text}"}
rules:
  - {status: [200], json: {response.0.messagestatus: SUCCESS}, verdict: accepted}
  - {status: [200], json: {response: INVALID_REQUEST}, verdict: not_sent, code: invalid_request}
message_id: {json: response.0.messageid}
"""
XML_GATEWAY = """
name: xml
send:
  method: POST
  url: "{base_url}/xml"
  headers: {Content-Type: text/xml}
  body:
    kind: xml
    text: >-
      <?xml version="1.0" encoding="UTF-8"?>
      <request user="{username}"><sms><to>{to}</to><body>{text}</body></sms></request>
rules:
  - {status: [200], regex: '<code>0</code>', verdict: accepted}
  - {status: [200], regex: '<code>7</code>', verdict: balance}
message_id: {regex: '<id>([^<]+)</id>'}
cost: {regex: '<cost>([^<]+)</cost>'}
"""
GATEWAYS = {"infobip": INFOBIP, "probase": PROBASE, "xml": XML_GATEWAY}


def gateway(name: str) -> Preset:
    return Preset.model_validate(yaml.safe_load(GATEWAYS[name]))


def pending(group: str, name: str) -> dict[str, object]:
    status = {"groupId": 1, "groupName": group, "id": 26, "name": name}
    return {"messages": [{"messageId": "2250be2d4219", "status": status, "destination": TO}]}


ANSWERS: list[tuple[str, object, Outcome | type[Outcome]]] = [
    ("infobip", pending("PENDING", "PENDING_ACCEPTED"), Accepted("2250be2d4219")),
    ("infobip", pending("REJECTED", "REJECTED_DESTINATION"), NotSent),
    ("infobip", pending("REJECTED", "REJECTED_SENDER"), NotSent),
    ("infobip", {"messages": []}, Unknown),
    ("probase", {"response": [{"messageid": 17, "messagestatus": "SUCCESS"}]}, Accepted("17")),
    ("probase", {"response": "INVALID_REQUEST"}, NotSent),
    ("probase", {"response": "INTERNAL_ERROR"}, Unknown),
    (
        "xml",
        "<r><code>0</code><id>a-1</id><cost>Ksh. 0.80</cost></r>",
        Accepted("a-1", Money(Decimal("0.80"), "KES")),
    ),
    ("xml", "<r><code>7</code></r>", NotSent),
    ("xml", "<r><code>9</code></r>", Unknown),
]


@pytest.mark.parametrize(("name", "body", "expected"), ANSWERS)
def test_answers_of_whole_gateways(
    name: str, body: object, expected: Outcome | type[Outcome]
) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    found = classify(Answer(200, {}, raw.encode()), gateway(name), own_sender=False)
    assert isinstance(found, expected) if isinstance(expected, type) else found == expected


@pytest.mark.parametrize("text", HOSTILE)
def test_requests_of_whole_gateways_carry_the_text(text: str) -> None:
    infobip = json.loads(sent(gateway("infobip"), text).content)["messages"]
    assert [each["content"]["text"] for each in infobip] == [text]
    assert infobip[0]["destinations"] == [{"to": "260977123456", "messageId": "m-1"}]
    assert "webhooks" not in infobip[0]
    probase = json.loads(sent(gateway("probase"), text).content)
    assert (probase["recipient"], probase["message"]) == (["260977123456"], text)
    prepared = sent(gateway("xml"), text)
    assert prepared.headers["Content-Type"] == "text/xml"
    assert [each.text for each in parsed(prepared).iter("body")] == [text]
