"""The legacy gateway's own dialect, `json-basic`: JSON over HTTP with basic authentication.

The protocol, in full:

`POST /messages`, `Authorization: Basic`, `Content-Type: application/json`, a body of at most
64 KiB with the fields

| field | type | |
|---|---|---|
| `to` | string | required; E.164 with its plus sign, one recipient |
| `text` | string | required, not empty |
| `from` | string | optional: the sender id |
| `reference` | string | optional: own id. Given back in reports, never used to find repeats |
| `reportUrl` | string | optional: absolute http(s) address of this message's delivery reports |

Taken: `202 {"id": "LG-<32 hex>", "status": "accepted", "parts": 1}`.
Not taken: `{"error": {"code": "...", "message": "..."}}` with

| HTTP | code | meaning |
|---|---|---|
| 400 | `invalid_request` | not JSON, a field missing or of the wrong type |
| 400 | `invalid_sender` | the sender id is not registered |
| 401 | `unauthorized` | wrong name or password |
| 402 | `insufficient_balance` | |
| 403 | `opted_out` | the recipient withdrew consent |
| 403 | `account_suspended` | |
| 400 | `invalid_recipient` | not an E.164 number |
| 422 | `not_routable` | no route to this recipient's network |
| 429 | `throttled` | too fast; `Retry-After` in seconds |
| 503 | `unavailable` | proof that the message was not taken; `Retry-After` in seconds |
| 500 | `internal` | no proof of anything: it may have been taken |

`GET /account`, same authentication: `200 {"balance": "1785.50", "currency": "ZMW"}`, or 401.

Delivery reports: `POST <reportUrl>`, JSON `{"id", "reference"?, "status", "reason"?, "to"}`;
`status` is `SENT` (on its way), `DELIVERED` or `UNDELIVERED` (final). Any 2xx ends it, all else
is tried again a few times. Subscribers' opt-outs: `POST` to the configured address, JSON
`{"event": "OPTOUT", "to", "from"}`.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final

from worker.lab.simulator.script import Ending
from worker.lab.simulator.wire import Account, Callback, Code, Reply, Sms, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from worker.lab.simulator.script import ReportPlan
    from worker.lab.simulator.wire import HttpRequest

ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_request": (400, "the request does not fit the protocol"),
    "invalid_sender": (400, "this sender id is not registered"),
    "unauthorized": (401, "wrong name or password"),
    "insufficient_balance": (402, "the balance does not cover the message"),
    "opted_out": (403, "the recipient wants no messages"),
    "account_suspended": (403, "the account is suspended"),
    "invalid_recipient": (400, "not an E.164 number"),
    "not_routable": (422, "no route to the recipient's network"),
    "throttled": (429, "too many requests"),
    "unavailable": (503, "not taken, try again later"),
    "internal": (500, "something went wrong"),
}
"""Code -> HTTP status and message."""

RETRY_AFTER_S: Final = 1
_ENDINGS: Final[Mapping[Ending, tuple[str, str | None]]] = {
    Ending.DELIVERED: ("DELIVERED", None),
    Ending.FAILED: ("UNDELIVERED", "delivery_failure"),
    Ending.REJECTED: ("UNDELIVERED", "rejected"),
    Ending.EXPIRED: ("UNDELIVERED", "expired"),
    Ending.ABSENT: ("UNDELIVERED", "absent_subscriber"),
    Ending.SUBMITTED: ("SENT", None),
}
_NUMBER: Final = re.compile(r"\+\d{6,15}")


class JsonBasic:
    """`POST /messages`, `GET /account`."""

    name = "json-basic"
    paths = frozenset({("POST", "/messages")})
    account_path: str | None = "/account"
    id_prefix = "LG-"
    no_balance: Code = "insufficient_balance"
    opted_out: Code = "opted_out"

    def read(self, request: HttpRequest, account: Account) -> Sequence[Sms] | Reply:
        """The one SMS of a JSON body."""
        if not _is_authentic(request, account):
            return error("unauthorized")
        try:
            return [_sms(json.loads(request.body))]
        except ValueError as problem:
            return error("invalid_request", str(problem))

    def fault(self, sms: Sms) -> Code | None:
        """Refuses what is not an E.164 number."""
        return None if _NUMBER.fullmatch(sms.to) else "invalid_recipient"

    def knows(self, code: Code) -> bool:
        """The documented codes."""
        return code in ERRORS

    def answer(self, verdicts: Sequence[Verdict], account: Account) -> Reply:  # noqa: ARG002  one port, this dialect names no price
        """202 with the id, or the error."""
        verdict = verdicts[0]
        if verdict.code in ERRORS or not verdict.taken:
            return error(str(verdict.code))
        return _json(202, {"id": verdict.id, "status": "accepted", "parts": verdict.parts})

    def balance(self, request: HttpRequest, account: Account, left: Decimal) -> Reply:
        """Balance and currency."""
        if not _is_authentic(request, account):
            return error("unauthorized")
        return _json(200, {"balance": f"{left:.2f}", "currency": account.currency})

    def reports(self, verdict: Verdict, plan: ReportPlan, url: str) -> Sequence[Callback]:
        """JSON with id, reference, status, reason."""
        status, default = _ENDINGS[plan.status]
        reason = plan.reason or default
        last = {"status": plan.raw_status or status} | ({"reason": reason} if reason else {})
        steps = [{"status": "SENT"}, last] if plan.intermediate else [last]
        common = {"id": verdict.id, "to": verdict.sms.to}
        if verdict.sms.reference is not None:
            common["reference"] = verdict.sms.reference
        return [_post(url, common | step) for step in steps]

    def optout(self, sender: str, number: str, url: str) -> Callback | None:
        """JSON with event, to, from."""
        return _post(url, {"event": "OPTOUT", "to": number, "from": sender})


def error(code: str, message: str | None = None) -> Reply:
    """The error body of a code; an unknown code is an `internal` one."""
    status, text = ERRORS.get(code, ERRORS["internal"])
    pause = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else {}
    return _json(status, {"error": {"code": code, "message": message or text}}, pause)


def _is_authentic(request: HttpRequest, account: Account) -> bool:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        username, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return False
    return scheme.lower() == "basic" and account.admits(username, secret)


def _sms(body: object) -> Sms:
    if not isinstance(body, dict):
        raise ValueError(f"body: expected an object, got {type(body).__name__}")  # noqa: TRY004  what is wrong is the sender's value
    fields = {name: body.get(name) for name in ("to", "text", "from", "reference", "reportUrl")}
    for name, value in fields.items():
        required = name in ("to", "text")
        if not (isinstance(value, str) and (value or not required)) and (
            required or value is not None
        ):
            raise ValueError(f"{name}: expected a string, got {value!r}")
    return Sms(
        to=body["to"],
        sender=fields["from"],
        text=body["text"],
        reference=fields["reference"],
        report_url=fields["reportUrl"],
    )


def _json(status: int, value: object, headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Reply(status, body, headers=headers or {})


def _post(url: str, fields: Mapping[str, str]) -> Callback:
    return Callback("POST", url, json.dumps(fields).encode(), "application/json")
