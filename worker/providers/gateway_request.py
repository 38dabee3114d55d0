"""Builds HTTP requests from a gateway preset, settings and message. Pure functions.

Rules: nothing is sent here. Secrets are unwrapped into the values of one request and stored nowhere
else. Each slot is encoded for its place: address, query, header, form, JSON, XML.
"""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlencode

from worker.domain.messages.segments import Encoding, count
from worker.domain.messages.sms import Sms
from worker.providers import transport
from worker.providers.preset_body import CONTENT_TYPES
from worker.providers.preset_call import SLOTS
from worker.providers.preset_formats import in_address, in_header
from worker.providers.template import render_fields
from worker.settings.addresses import http_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.providers.preset import Preset
    from worker.providers.preset_call import Call
    from worker.settings.providers import ProviderSettings

_NEEDED_BY_AUTH: Final[Mapping[str, frozenset[str]]] = {
    "none": frozenset(),
    "basic": frozenset({"username", "secret"}),
    "bearer": frozenset({"secret"}),
    "header": frozenset(),
    "query": frozenset(),
}


class Prepared(NamedTuple):
    """A request, ready for a client. It is never logged, because any part may be a secret."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes


def problems(settings: ProviderSettings, preset: Preset) -> list[str]:
    """The problems of the settings with this preset; empty: requests can be built."""
    wrong = [
        f"preset: {name}: slot {{{slot}}}: expected a known name or one of 'parameters'"
        for name, template, _ in preset.places()
        for slot in sorted(template.slots() - SLOTS - settings.parameters.keys())
    ]
    wrong += [
        f"parameters.{name}: expected a name of its own, got one of the worker's"
        for name in sorted(SLOTS & settings.parameters.keys())
    ]
    needed = preset.slots() | _NEEDED_BY_AUTH[preset.auth.kind]
    if "username" in needed and not settings.username:
        wrong.append(f"username: expected for preset {preset.name!r}, got none")
    if "secret" in needed and not settings.secret:
        wrong.append(f"secret: expected for preset {preset.name!r}, got none")
    if preset.reports and settings.report_base_url and not settings.report_token:
        wrong.append("report_token: expected with report_base_url, got none")
    wrong += [*_not_in_a_header(settings, preset), *_paths_twice(settings, preset)]
    return wrong or list(_unwritable(settings, preset))


def _not_in_a_header(settings: ProviderSettings, preset: Preset) -> Iterator[str]:
    """Problems of account values that a header needs but cannot carry."""
    calls = [preset.send, *([preset.check.request] if preset.check else [])]
    templates = [template for call in calls for template in call.headers.values()]
    if preset.auth.kind == "header":
        templates += preset.auth.fields.values()
    carried = frozenset({"secret"} if preset.auth.kind == "bearer" else ())
    values = _account_values(settings)
    for name in sorted(carried.union(*(template.slots() for template in templates))):
        try:
            in_header(values.get(name, ""))
        except ValueError:
            field = f"parameters.{name}" if name in settings.parameters else name
            yield f"{field}: expected ASCII characters: a header carries it"


def _paths_twice(settings: ProviderSettings, preset: Preset) -> Iterator[str]:
    """Problems of base addresses that already end in the steps that the preset adds."""
    values = _account_values(settings)
    addresses = {"base_url": preset.send.url}
    if preset.reports:
        addresses["report_base_url"] = preset.reports.url
    for name, template in addresses.items():
        before, slot, path = template.source.partition(f"{{{name}}}")
        added = path.partition("?")[0].strip("/").split("/")
        given = values[name].partition("://")[2].split("/")[1:]
        same = [
            length
            for length in range(1, min(len(added), len(given)) + 1)
            if _are_same(added[:length], given[-length:], values)
        ]
        if slot and not before and same:
            twice = "/".join(added[: same[-1]])
            yield f"{name}: expected the address without /{twice}: preset {preset.name!r} adds it"


def _are_same(added: list[str], given: list[str], values: Mapping[str, str]) -> bool:
    """Whether steps are those of the preset. After the first one, a slot matches any step."""
    first = added[0]
    for slot, value in values.items():
        first = first.replace(f"{{{slot}}}", in_address(value))
    rest = zip(added[1:], given[1:], strict=True)
    return first == given[0] != "" and all("{" in one or one == other for one, other in rest)


def _unwritable(settings: ProviderSettings, preset: Preset) -> Iterator[str]:
    """Problems of calls that can never become a request, tested with a sample message."""
    to = f"+{preset.country_code or '260'}970000000"
    sender_id = settings.sender_id or "SAMPLE"
    sample = Sms("sample", 1, to, "sample", sender_id, valid_for_s=60.0)
    calls = [("send", partial(send_request, settings, preset, sample))]
    if preset.check:
        call = partial(check_request, settings, preset, preset.check.request)
        calls.append(("check.request", call))
    for name, written in calls:
        try:
            method, url, headers, _ = written()
            transport.check_request(method, url, headers)
        except ValueError as error:
            yield f"preset: {name}: {error}"
        else:
            host = "/".join(url.partition("?")[0].split("/", 3)[:3])
            yield from (f"preset: {name}: {problem}" for problem in http_problems(host))


def send_request(settings: ProviderSettings, preset: Preset, sms: Sms) -> Prepared:
    """Build the request that sends one message.

    Raises:
        ValueError: the gateway's format cannot carry a value.
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
        values["report_url"] = preset.reports.url.render_address(
            values, preset.reports.percent, preset.digits
        )
    trace = {"traceparent": sms.traceparent} if sms.traceparent else {}
    return _request(preset.send, preset, values, trace)


def check_request(settings: ProviderSettings, preset: Preset, call: Call) -> Prepared:
    """Build the account call."""
    return _request(call, preset, _account_values(settings), {})


def number(to: str, preset: Preset) -> str:
    """Convert an E.164 number to the gateway's form.

    Raises:
        ValueError: the form is local and the number belongs to another country.
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
    digits = preset.digits
    query = render_fields(call.query, values, digits)
    headers = {**render_fields(call.headers, values, digits), **trace}
    if preset.auth.kind == "query":
        query |= render_fields(preset.auth.fields, values, digits)
    else:
        headers |= _authorisation(preset, values)
    content = call.body.render(values, call.content_type, digits) if call.body else b""
    if call.body and not call.content_type:
        headers["Content-Type"] = CONTENT_TYPES[call.body.format("")]
    return Prepared(
        call.method,
        _address(call.url.render_address(values, digits=digits), query),
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


def _address(url: str, query: Mapping[str, str]) -> str:
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote, safe='')}"
