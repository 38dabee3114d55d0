"""Presets of gateways: a file is read whole or refused, and then no message changes a request."""

from __future__ import annotations

import functools
import json
import re
import warnings
from importlib import resources
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import yaml
from pydantic import ValidationError

from tests.support import hostile
from tests.torture.fuzz import mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets.requests import account
from worker.domain.messages.outcome import Accepted
from worker.domain.messages.sms import Sms
from worker.providers.answer import Answer
from worker.providers.gateway_answers import classify
from worker.providers.gateway_request import Prepared, problems, send_request
from worker.providers.preset import Preset, shipped
from worker.settings import yaml_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PLAIN: Final = Sms("m-1", 2, hostile.NUMBER, "Hello", "ACME", 130.9)
_HOSTILE: Final = Sms(
    "a/b&c=?#%{}", 2, hostile.NUMBER,
    '"}], "to": "+26096" &to=1#%0d%0a\r\nX: 1 </text><to>1</to> {to} \\ ; | é\u2028',
    'A"&<=', 130.9,
)  # fmt: skip
"""A message that would like to be more."""
_ACCOUNT: Final = account()
_ANSWERS: Final = (b"0: Accepted", b'{"status": "accepted", "id": "1"}', b"OK 1", b"")


def check(data: bytes) -> str:
    """Read a preset, build requests with it and read answers."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of regular expressions with a doubtful set
            preset = Preset.model_validate(yaml_files.read(data.decode()))
    except UnicodeDecodeError:
        return "refused: no UTF-8"
    except ValidationError as error:
        named = {str(each["loc"][0]) if each["loc"] else "whole" for each in error.errors()}
        return f"refused: {', '.join(sorted(named))[:60]}"
    except ValueError as error:
        must("expected" in str(error), "a refusal says what was expected", error)
        return "refused: " + re.sub("[0-9]+|got .*", "", str(error))[:60]
    _accepts_with_proof(preset)
    wrong = problems(_ACCOUNT, preset)
    must(len(wrong) < 1_000 and all(wrong), "problems of the settings are named", wrong[:3])
    if wrong:
        return "refused: settings"
    return f"read: {_is_unchanged(preset)}"


def _accepts_with_proof(preset: Preset) -> None:
    """A row that accepts has a status and a condition on the body; no other row accepts."""
    rows = [rule for rule in preset.rules if rule.verdict == "accepted"]
    must(rows, "a preset accepts something")
    proved = all(rule.status and (rule.fields or rule.regex) for rule in rows)
    must(proved, "an acceptance needs a status and a condition on the body", rows)
    statuses = {status for rule in rows for status in rule.status}
    for body in _ANSWERS:
        for status in (200, 202, 503):
            outcome = classify(Answer(status, {}, body), preset, own_sender=True)
            accepted = isinstance(outcome, Accepted)
            must(not accepted or status in statuses, "a status accepts", (status, outcome))


def _is_unchanged(preset: Preset) -> str:
    """The request of a hostile message has the same structure as that of a plain one."""
    try:
        plain = _structure(send_request(_ACCOUNT, preset, _PLAIN))
        sly = _structure(send_request(_ACCOUNT, preset, _HOSTILE))
    except ValueError:
        return "cannot carry it"
    must(plain == sly, "nothing in a message changes the request around it", (plain, sly))
    return f"{preset.send.method} {preset.send.body.format('') if preset.send.body else ''}"


def _structure(request: Prepared) -> Any:
    """All of a request but its values."""
    method, url, headers, content = request
    parts = urlsplit(url)
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    must(not any(re.search("[\r\n]", value) for value in headers.values()), "a header has one line")
    steps = (parts.scheme, parts.netloc, parts.path.count("/"), bool(parts.fragment))
    return method, steps, names, sorted(headers), _structure_of(content, headers)


def _structure_of(content: bytes, headers: dict[str, str]) -> Any:
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    if "form" in kind:
        return [name for name, _ in parse_qsl(content.decode(), keep_blank_values=True)]
    if "json" in kind:
        return list(_paths(json.loads(content)))
    if "xml" in kind:
        return [each.tag for each in ET.fromstring(content).iter()]  # noqa: S314 - we wrote it
    return bool(content)


def _paths(value: Any, path: str = "") -> Iterator[str]:
    """Where the values of a document stand."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for name, each in inner:
        if isinstance(each, dict | list):
            yield from _paths(each, f"{path}/{name}")
        else:
            yield f"{path}/{name}"


# --- seeds and mutation ------------------------------------------------------------------------

_SMALL: Final[dict[str, Any]] = {
    "name": "small",
    "send": {"method": "POST", "url": "{base_url}/send"},
    "rules": [{"status": [200], "regex": "^OK", "verdict": "accepted"}],
}
_BODIES: Final = (
    {"kind": "json", "fields": {"messages": [{"to": ["{to}"], "content": {"text": "{text}"}}]}},
    {"kind": "form", "fields": {"to": "{to}", "data": '{{"text": "{text}"}}'}},
    {"kind": "xml", "text": "<sms><to>{to}</to><text>{text}</text></sms>"},
    {"kind": "text", "text": "{text}"},
    {"kind": "json", "text": '{{"to": "{to}", "text": "{text}", "from": "{sender_id}"}}'},
)


@functools.cache
def seeds() -> Sequence[bytes]:
    """The shipped presets as YAML and as JSON, which is YAML too, and small ones."""
    folder = resources.files("worker.providers") / "presets"
    files = [(folder / f"{name}.yaml").read_bytes() for name in shipped()]
    documents = [yaml.safe_load(each) for each in files]
    documents += [{**_SMALL, "send": {**_SMALL["send"], "body": body}} for body in _BODIES]
    return [*files, *(json.dumps(each).encode() for each in documents)]


_NAMES: Final = (
    "name", "number", "auth", "kind", "fields", "send", "method", "url", "headers", "query", "body",
    "text", "rules", "status", "json", "regex", "verdict", "code", "message_id", "parts", "cost",
    "currency", "check", "request", "balance", "reports", "percent", "statuses", "optouts", "to",
    "country_code", "content_type",
)  # fmt: skip
_VALUES: Final = (
    "{to}", "{text}", "{sender_id}", "{message_id}", "{report_url}", "{secret}", "{unknown}", "{{",
    "{base_url}/{text}", "{base_url}/x?t={text}", "{base_url}@x", "http://other/{text}", "{",
    "accepted", "not_sent", "POST", "GET", "json", "form", "xml", "text", "basic", "query", "260",
    "^OK", "(", "(a+)+$", "[[a]", "local", "digits", '<a b="{text}">{to}</a>', '{{"a": "{text}"}}',
    202, [202],
)  # fmt: skip
_WORDS: Final = (
    b"&a ", b"*a", b"<<: ", b"!!python/object:os.system", b"- ", b": ", b"\n  ", b"---\n",
    b"{text}", b"{to}", b"regex: '", b"&b [*a, *a, *a, *a]", b"*b",
)  # fmt: skip

TARGET: Final = Target(
    name="preset",
    takes="a preset file (YAML)",
    holds="refused with what was expected, or read: it accepts with proof only, and no message "
    "changes the structure of a request",
    check=check,
    seeds=seeds,
    share=30,
    mutators=(mutate.json_like(_NAMES, _VALUES),),
    words=_WORDS,
    longest=20_000,
    patience=10.0,  # the reader of YAML is slow
)
