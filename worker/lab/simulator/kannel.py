"""The Kannel dialect: `/cgi-bin/sendsms` of smsbox 1.4.5, as recorded against the real one.

Source: Kannel's user guide and replies recorded on loopback; the wording of 403 `Not routable`,
500 and 503 from smsbox.c.

Rules:
- GET carries everything in the query. POST carries the text as a `text/plain` body and the rest
  in `X-Kannel-*` headers; a form is refused, as Kannel does.
- The answer has no message id. Reports differ only by what the sender put into `dlr-url`, which is
  fetched by GET with its %-escapes filled in.
- `dlr-mask` decides which reports are sent: 1 delivered, 2 not delivered, 8 accepted by the
  network, 16 rejected.
- Several recipients are separated by spaces.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote_plus

from worker.lab.simulator.script import Ending
from worker.lab.simulator.wire import Account, Callback, Code, Reply, Sms, Verdict, text_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from worker.lab.simulator.script import ReportPlan
    from worker.lab.simulator.wire import HttpRequest

_DENIED: Final = (400, "Number(s) has/have been denied by white- and/or black-lists.")
_UNROUTABLE: Final = (403, "Not routable. Do not try again.")
_TEMPORAL: Final = (503, "Temporal failure, try again later.")
ANSWERS: Final[Mapping[str, tuple[int, str]]] = {
    "accepted": (202, "0: Accepted for delivery"),
    "queued": (202, "3: Queued for later delivery"),
    "unauthorized": (403, "Authorization failed for sendsms"),
    "denied": _DENIED,
    "invalid_recipient": _DENIED,
    "opted_out": _DENIED,
    "not_routable": _UNROUTABLE,
    "insufficient_balance": _UNROUTABLE,
    "temporal_failure": _TEMPORAL,
    "throttled": _TEMPORAL,
    "unavailable": _TEMPORAL,
    "sending_failed": (500, "Sending failed."),
    "internal": (500, "Sending failed."),
}
"""Code -> HTTP status and body. Codes of `legacy` mean the most similar answer."""

_MASKS: Final = {
    Ending.DELIVERED: 1,
    Ending.FAILED: 2,
    Ending.REJECTED: 16,
    Ending.EXPIRED: 2,
    Ending.ABSENT: 2,
    Ending.SUBMITTED: 8,
}
_ESCAPE: Final = re.compile(r"%([%dAFIiPpTnoB])")
_FIELDS: Final = ("username", "password", "to", "from", "coding", "account", "dlr-mask", "dlr-url")


class Kannel:
    """`GET` and `POST /cgi-bin/sendsms`."""

    name = "kannel"
    paths = frozenset({("GET", "/cgi-bin/sendsms"), ("POST", "/cgi-bin/sendsms")})
    account_path: str | None = None
    id_prefix = ""
    no_balance: Code = "insufficient_balance"
    opted_out: Code = "opted_out"

    def read(self, request: HttpRequest, account: Account) -> Sequence[Sms] | Reply:
        """The SMS of a query, or of headers and body."""
        if request.method == "POST" and not _is_text(request):
            return text_reply(400, "Invalid content-type")
        fields = _fields(request)
        if not _is_authentic(fields, account):
            return _worded("unauthorized")
        if "to" not in fields:
            return text_reply(400, "Missing receiver number, rejected")
        numbers = fields["to"].split()
        if not numbers:
            return text_reply(400, "Empty receiver number not allowed, rejected")
        if not fields.get("dlr-mask", "0").isdecimal():
            return text_reply(400, "dlr-mask field misformed, rejected")
        return [_sms(number, fields) for number in numbers]

    def fault(self, sms: Sms) -> Code | None:
        """Kannel takes any digits."""
        return None if re.fullmatch(r"\+?[0-9-]+", sms.to) else "denied"

    def knows(self, code: Code) -> bool:
        """The answers above."""
        return code in ANSWERS

    def answer(self, verdicts: Sequence[Verdict], account: Account) -> Reply:  # noqa: ARG002  one port, this dialect names no price
        """One line. With several recipients the first failure answers for all."""
        codes = [str(each.code) for each in verdicts if each.code is not None]
        return _worded(codes[0] if codes else "accepted")

    def balance(self, request: HttpRequest, account: Account, left: Decimal) -> Reply:  # noqa: ARG002  Kannel keeps no accounts
        """Kannel has no such query."""
        return text_reply(404, "Not found")

    def reports(self, verdict: Verdict, plan: ReportPlan, url: str) -> Sequence[Callback]:
        """Requests to the message's own report address, each with its escapes filled in."""
        final = plan.raw_status or str(_MASKS[plan.status])
        steps = ["8", final] if plan.intermediate else [final]
        mask = verdict.sms.report_mask
        wanted = [step for step in steps if not step.isdecimal() or int(step) & mask]
        return [Callback("GET", fill(url, verdict, step, plan.reason)) for step in wanted]

    def optout(self, sender: str, number: str, url: str) -> Callback | None:  # noqa: ARG002  Kannel has none
        """Kannel has no callback for opt-outs."""
        return None


def fill(url: str, verdict: Verdict, kind: str, reason: str | None) -> str:
    """Fill in the %-escapes of a report address. `%%` is a percent sign; the rest stays."""
    values = {
        "d": kind,
        "A": f"NACK/{reason or ''}" if kind in ("2", "16") else "ACK/",
        "F": verdict.id,
        "I": verdict.id,
        "i": "simulator",
        "P": verdict.sms.sender or "",
        "p": verdict.sms.to,
        "T": str(int(time.time())),
        "n": "",
        "o": verdict.sms.reference or "",
        "B": "",
    }
    return _ESCAPE.sub(lambda match: _escaped(match[1], values), url)


def _escaped(letter: str, values: Mapping[str, str]) -> str:
    return "%" if letter == "%" else quote_plus(values[letter])


def _is_text(request: HttpRequest) -> bool:
    return request.headers.get("content-type", "").startswith("text/plain")


def _fields(request: HttpRequest) -> dict[str, str]:
    if request.method == "GET":
        return dict(parse_qsl(request.query, keep_blank_values=True))
    headers = {name: request.headers.get(f"x-kannel-{name}") for name in _FIELDS}
    fields = {name: value for name, value in headers.items() if value is not None}
    return fields | {"text": request.body.decode("utf-8", "replace")}


def _is_authentic(fields: Mapping[str, str], account: Account) -> bool:
    return account.admits(fields.get("username", ""), fields.get("password", ""))


def _sms(number: str, fields: Mapping[str, str]) -> Sms:
    return Sms(
        to=number,
        sender=fields.get("from"),
        text=fields.get("text", ""),
        reference=fields.get("account"),
        report_url=fields.get("dlr-url"),
        report_mask=int(fields.get("dlr-mask", "0")),
    )


def _worded(code: str) -> Reply:
    return text_reply(*ANSWERS[code])
