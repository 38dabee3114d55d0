"""Requests of a gateway preset: pure functions from settings and message to an HTTP request.

Rules: nothing is sent here. Secrets are unwrapped into the values of one request and kept nowhere
else. Each slot is encoded for its place: address, query, header, form, JSON.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlencode

from worker.domain.segments import Encoding, count
from worker.providers.preset import SLOTS, Body, Call, Preset
from worker.providers.template import in_header, render_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.ports import Sms
    from worker.settings import ProviderSettings

_NEEDED_BY_AUTH: Final[Mapping[str, frozenset[str]]] = {
    "none": frozenset(),
    "basic": frozenset({"username", "secret"}),
    "bearer": frozenset({"secret"}),
    "header": frozenset(),
    "query": frozenset(),
}


class Prepared(NamedTuple):
    """A request, ready for a client. Never logged: any part of it may hold a secret."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes


def problems(settings: ProviderSettings, preset: Preset) -> list[str]:
    """What the settings lack for the preset; empty when they fit."""
    found = [
        f"slot {{{name}}}: expected a known name or one of 'parameters', got {name!r}"
        for name in sorted(preset.slots() - SLOTS - settings.parameters.keys())
    ]
    found += [
        f"parameters.{name}: expected a name of its own, got one of the worker's"
        for name in sorted(SLOTS & settings.parameters.keys())
    ]
    needed = preset.slots() | _NEEDED_BY_AUTH[preset.auth.kind]
    if "username" in needed and not settings.username:
        found.append(f"username: expected for preset {preset.name!r}, got none")
    if "secret" in needed and not settings.secret:
        found.append(f"secret: expected for preset {preset.name!r}, got none")
    if preset.reports and settings.report_base_url and not settings.report_token:
        found.append("report_token: expected with report_base_url, got none")
    return found


def send_request(settings: ProviderSettings, preset: Preset, sms: Sms) -> Prepared:
    """The request that hands over one message.

    Raises:
        ValueError: the gateway's form cannot carry something of it.
    """
    values = _account_values(settings) | {
        "to": number(sms.to, preset),
        "text": sms.text,
        "sender_id": sms.sender_id or settings.sender_id or "",
        "message_id": sms.message_id,
        "epoch": str(sms.epoch),
        "coding": "0" if count(sms.text).encoding is Encoding.GSM7 else "2",
        "valid_for_s": str(max(1, int(sms.valid_for_s))),
        "valid_for_min": str(max(1, int(sms.valid_for_s // 60))),
    }
    if preset.reports and values["report_base_url"]:
        values["report_url"] = preset.reports.url.render_address(values, preset.reports.percent)
    trace = {"traceparent": sms.traceparent} if sms.traceparent else {}
    return _request(preset.send, preset, values, trace)


def check_request(settings: ProviderSettings, preset: Preset, call: Call) -> Prepared:
    """The account call."""
    return _request(call, preset, _account_values(settings), {})


def number(to: str, preset: Preset) -> str:
    """An E.164 number in the gateway's form.

    Raises:
        ValueError: the form is local and the number is of another country.
    """
    digits = to.removeprefix("+")
    match preset.number:
        case "e164":
            return to
        case "digits":
            return digits
        case _:
            country = preset.country_code or ""
            if not digits.startswith(country):
                raise ValueError(f"number: expected country code {country}, got another")
            return f"0{digits.removeprefix(country)}"


def _account_values(settings: ProviderSettings) -> dict[str, str]:
    token = settings.report_token
    return {
        **dict.fromkeys(SLOTS, ""),
        **settings.parameters,
        "base_url": settings.base_url.rstrip("/"),
        "username": settings.username or "",
        "secret": settings.secret.get_secret_value() if settings.secret else "",
        "sender_id": settings.sender_id or "",
        "provider_id": settings.id,
        "report_base_url": (settings.report_base_url or "").rstrip("/"),
        "report_token": token.get_secret_value() if token else "",
    }


def _request(
    call: Call, preset: Preset, values: Mapping[str, str], trace: Mapping[str, str]
) -> Prepared:
    query = render_fields(call.query, values)
    headers = {**render_fields(call.headers, values), **trace}
    if preset.auth.kind == "query":
        query |= render_fields(preset.auth.fields, values)
    else:
        headers |= _authorisation(preset, values)
    content, content_type = _body(call.body, values)
    if content_type:
        headers.setdefault("Content-Type", content_type)
    return Prepared(
        call.method,
        _address(call.url.render_address(values), query),
        {name: in_header(value) for name, value in headers.items()},
        content,
    )


def _authorisation(preset: Preset, values: Mapping[str, str]) -> dict[str, str]:
    match preset.auth.kind:
        case "header":
            return render_fields(preset.auth.fields, values)
        case "bearer":
            return {"Authorization": f"Bearer {values['secret']}"}
        case "basic":
            pair = f"{values['username']}:{values['secret']}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}
        case _:
            return {}


def _body(body: Body | None, values: Mapping[str, str]) -> tuple[bytes, str | None]:
    if body is None:
        return b"", None
    if body.text is not None:
        return body.text.render(values).encode(), "text/plain; charset=utf-8"
    fields = render_fields(body.fields, values)
    if body.kind == "form":
        return urlencode(fields).encode("ascii"), "application/x-www-form-urlencoded"
    return json.dumps(fields, ensure_ascii=False).encode(), "application/json"


def _address(url: str, query: Mapping[str, str]) -> str:
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote, safe='')}"
