"""Requests to providers: whatever a message says, it is carried whole and changes nothing else."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from contracts.commands import MAX_TEXT, DecodeError, decode_send, valid_id
from tests.support import hostile
from tests.torture.fuzz import corpus, mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import send_sms
from worker.domain.messages.sms import Sms
from worker.providers.africastalking import AfricasTalking
from worker.providers.gateway_request import Prepared, send_request
from worker.providers.preset import load
from worker.settings.providers import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST: Final = "gateway:8080"
_SECRET: Final = "p&ss word%"
_KANNEL_ESCAPE: Final = re.compile("%(%|d|F)")


def account(**changes: object) -> ProviderSettings:
    """An account at a gateway, with values that need care."""
    usual = {
        "id": "legacy", "kind": "http", "preset": "json-basic", "base_url": f"http://{HOST}/api/",
        "username": "user", "secret": _SECRET, "sender_id": "ACME",
        "report_base_url": "https://hooks.example.org/", "report_token": "t0ken",
    }  # fmt: skip
    return ProviderSettings.model_validate(usual | changes)


def check(data: bytes) -> str:
    """Build the requests of every adapter for a message."""
    sms = _sms(data)
    _africastalking(sms)
    _json_basic(sms)
    _kannel(sms)
    kinds = {"ascii" if sms.text.isascii() else "wide", "sender" if sms.sender_id else "ours"}
    kinds |= {name for name, mark in _MARKS.items() if re.search(mark, sms.text + sms.message_id)}
    return f"read: {', '.join(sorted(kinds))}"


_MARKS: Final = {
    "lines": "[\r\n]",
    "quotes": "[\"'\\\\]",
    "signs": "[&=%#?;+]",
    "brackets": "[{<>}]",
    "controls": "[\x01-\x08\x0e-\x1f\x7f-\x9f]",
}


def _sms(data: bytes) -> Sms:
    """The message of a command; of anything else, a message with that text."""
    try:
        command = decode_send(data, message_id=None, type_=None)
    except DecodeError:
        text = data.decode(errors="ignore").replace("\0", "")[:MAX_TEXT] or "x"
        sender = "".join(filter(str.isprintable, text[-11:])) or None
        return Sms(valid_id(text[:60]) or "m-1", 2, hostile.NUMBER, text, sender, 130.9)
    return Sms(command.message_id, 2, hostile.NUMBER, command.text, command.sender_id, 130.9)


def _africastalking(sms: Sms) -> None:
    request = africastalking()._send_request(sms)
    form = dict(parse_qsl(request.content.decode(), keep_blank_values=True, strict_parsing=True))
    sender = {"from": sms.sender_id or "ACME"}
    same = {"username": "user", "to": sms.to, "message": sms.text, "bulkSMSMode": "1"}
    must(form == same | sender, "Africa's Talking gets the message and nothing else", form)
    must(request.url.host == "at.example.org", "a message changes no address", request.url)


@functools.cache
def africastalking() -> AfricasTalking:
    """The adapter of Africa's Talking; it calls nobody."""
    address = "https://at.example.org"
    return AfricasTalking(account(id="at", kind="africastalking", preset=None, base_url=address))


def _json_basic(sms: Sms) -> None:
    method, url, headers, content = _prepared("json-basic", sms)
    must((method, url) == ("POST", f"http://{HOST}/api/messages"), "a message changes no address")
    wanted = {"to": sms.to, "from": sms.sender_id or "ACME", "text": sms.text,
              "reference": sms.message_id}  # fmt: skip
    body = json.loads(content)
    report = body.pop("reportUrl")
    must(body == wanted, "the gateway gets the message and nothing else", body)
    must(report.endswith("/reports/legacy/t0ken?epoch=2"), "the address of reports", report)
    _are_plain(headers)


def _kannel(sms: Sms) -> None:
    method, url, headers, content = _prepared("kannel", sms)
    parts = urlsplit(url)
    must((method, content) == ("GET", b""), "the request is a query")
    must(parts.netloc == HOST and not parts.fragment, "a message changes no address", url)
    must(parts.path == "/api/cgi-bin/sendsms", "a message changes no address", url)
    pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    query = dict(pairs)
    must(len(pairs) == len(query), "no field is given twice", url)
    wanted = {
        "to": sms.to, "from": sms.sender_id or "ACME", "text": sms.text, "charset": "UTF-8",
        "dlr-mask": "31", "username": "user", "password": _SECRET, "validity": "2",
    }  # fmt: skip
    same = {name: query.get(name) for name in wanted}
    must(same == wanted, "Kannel gets the message and nothing else", query)
    must(query.keys() == {*wanted, "coding", "dlr-url"}, "no field is added", query)
    _names_the_message(query["dlr-url"], sms)
    _are_plain(headers)


def _names_the_message(address: str, sms: Sms) -> None:
    """The address of reports brings our own id back, after Kannel has filled in its escapes."""
    filled = {"%": "%", "d": "1", "F": "f"}
    expanded = _KANNEL_ESCAPE.sub(lambda match: filled[match[1]], address)
    query = dict(parse_qsl(urlsplit(expanded).query, strict_parsing=True))
    wanted = {"id": sms.message_id, "epoch": "2", "type": "1", "foreign": "f"}
    must(query == wanted, "a report names its message", query)


def _prepared(preset: str, sms: Sms) -> Prepared:
    return send_request(_account(preset), _load(preset), sms)


_load = functools.cache(load)


@functools.cache
def _account(preset: str) -> ProviderSettings:
    return account(preset=preset)


def _are_plain(headers: dict[str, str]) -> None:
    odd = [value for value in headers.values() if re.search("[\r\n\0]", value)]
    must(not odd, "a header has one line", odd)


_TEXTS: Final = (
    '"}], "to": "+260966000111", "x": "', "&to=+260966000111&x=", "\r\nX: 1", "%d%F%%", "a=b&c",
    "+", "{to}", "{{", "</text>", "\u2028", "😀", "é" * 70, "\x1b", "../..", "#", "?",
    "\\", "%0d%0a",
)  # fmt: skip


@functools.cache
def seeds() -> Sequence[bytes]:
    """Commands whose texts and ids would like to be more."""
    made = [
        {"messageId": "a/b &=?#%", "to": hostile.NUMBER, "text": text, "senderId": "A&B"}
        for text in _TEXTS
    ]
    return [*corpus.golden("SendSms.*.json"), *(json.dumps(each).encode() for each in made)]


TARGET: Final = Target(
    name="requests",
    takes="body of a SendSms, or else a text",
    holds="its requests to every provider carry text, number and id whole, and nothing in it "
    "changes an address, a header or another field",
    check=check,
    seeds=seeds,
    share=30,
    mutators=(mutate.json_like(("messageId", "text", "senderId"), _TEXTS),),
    words=(*(text.encode() for text in _TEXTS), *send_sms.TARGET.words),
    longest=8_000,
)
