"""The Africa's Talking dialect: form requests, JSON answers, form callbacks.

Source: Africa's Talking's documentation of bulk SMS and its callbacks, and the requests and
checks of the official Python and Node SDKs: HTTP 201 and exactly the content type
`application/json`. Community reports fill gaps of the documentation (the wording of 400 and 401,
callback retries).

Rules:
- A refused recipient costs `0` and has the id `None`, both as text. A taken one has a cost and an
  id even if a script gives it a failing status code.
- A reason (a word as code) answers the whole request, with empty Recipients.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from worker.lab.simulator.script import Ending
from worker.lab.simulator.wire import Account, Callback, Code, Reply, Sms, Verdict, text_reply
from worker.providers.africastalking_recipient import NAMES, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.lab.simulator.script import ReportPlan
    from worker.lab.simulator.wire import HttpRequest

STATUSES: Final = {**dict.fromkeys(sorted(SUCCESS), "Success"), **NAMES}
"""Recipient status code -> status."""

_ENDINGS: Final = {
    Ending.DELIVERED: ("Success", None),
    Ending.FAILED: ("Failed", "DeliveryFailure"),
    Ending.REJECTED: ("Rejected", "UserDoesNotExist"),
    Ending.EXPIRED: ("Expired", None),
    Ending.ABSENT: ("AbsentSubscriber", None),
    Ending.SUBMITTED: ("Submitted", None),
}
"""Ending -> status and default failure reason."""

_NUMBER: Final = re.compile(r"\+\d{6,15}")
_SENDER_LETTERS: Final = 11
_NETWORKS: Final = {"7": "64501", "6": "64502", "5": "64503"}
"""Second digit of a Zambian mobile number -> network code (Airtel, MTN, Zamtel)."""
_FORM: Final = "application/x-www-form-urlencoded"


class AfricasTalking:
    """`POST /version1/messaging`, `GET /version1/user`."""

    name = "africastalking"
    paths = frozenset({("POST", "/version1/messaging")})
    account_path: str | None = "/version1/user"
    id_prefix = "ATXid_"
    no_balance: Code = 405
    opted_out: Code = 406

    def read(self, request: HttpRequest, account: Account) -> Sequence[Sms] | Reply:
        """The SMS of a form; several recipients are separated by commas."""
        if not request.headers.get("content-type", "").startswith(_FORM):
            return text_reply(
                415, f"The request's Content-Type is not supported. Expected: {_FORM}"
            )
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        problem = _authenticate(request, account, form.get("username"))
        if problem:
            return problem
        for name in ("to", "message"):
            if name not in form:
                return text_reply(400, f"Request is missing required form field '{name}'")
        numbers = [number.strip() for number in form["to"].split(",")]
        sender = form.get("from")
        return [Sms(number, sender, form["message"]) for number in numbers]

    def fault(self, sms: Sms) -> Code | None:
        """403 if it is no number; a reason if no network shows the sender id."""
        letters = sms.sender and not sms.sender.isdecimal() and not _NUMBER.fullmatch(sms.sender)
        if letters and len(sms.sender or "") > _SENDER_LETTERS:
            return "InvalidSenderId"
        return None if _NUMBER.fullmatch(sms.to) else 403

    def knows(self, code: Code) -> bool:
        """Any number is a status code (undocumented ones are faults too), any word a reason."""
        return code != ""

    def answer(self, verdicts: Sequence[Verdict], account: Account) -> Reply:
        """201, with one entry for each recipient."""
        reason = next((each.code for each in verdicts if isinstance(each.code, str)), None)
        if reason is not None:
            return _sent(reason, [])
        taken = [each for each in verdicts if each.taken]
        total = sum((_cost(each, account) for each in taken), Decimal(0))
        money = f"{account.currency} {total:.4f}" if taken else "0"
        message = f"Sent to {len(taken)}/{len(verdicts)} Total Cost: {money}"
        return _sent(message, [_recipient(each, account) for each in verdicts])

    def balance(self, request: HttpRequest, account: Account, left: Decimal) -> Reply:
        """`{"UserData": {"balance": "ZMW 1785.50"}}`."""
        username = dict(parse_qsl(request.query)).get("username")
        problem = _authenticate(request, account, username)
        return problem or _json(200, {"UserData": {"balance": f"{account.currency} {left:.2f}"}})

    def reports(self, verdict: Verdict, plan: ReportPlan, url: str) -> Sequence[Callback]:
        """Forms with id, status, phoneNumber, networkCode and failureReason."""
        status, reason = _ENDINGS[plan.status]
        last = {"status": plan.raw_status or status}
        if plan.reason or reason:
            last["failureReason"] = plan.reason or reason or ""
        steps = [{"status": "Submitted"}, last] if plan.intermediate else [last]
        number = verdict.sms.to
        common = {"id": verdict.id, "phoneNumber": number, "networkCode": network_code(number)}
        return [_form(url, common | step) for step in steps]

    def optout(self, sender: str, number: str, url: str) -> Callback | None:
        """A form with senderId and phoneNumber."""
        return _form(url, {"senderId": sender, "phoneNumber": number})


def network_code(number: str) -> str:
    """The network of a number by its Zambian prefix; `99999` (the sandbox) for all others."""
    is_mobile = number.startswith("+260") and number[4:5] in ("9", "7", "5")
    return _NETWORKS.get(number[5:6], "99999") if is_mobile else "99999"


def _authenticate(request: HttpRequest, account: Account, username: str | None) -> Reply | None:
    key = request.headers.get("apikey")
    if not key:
        return text_reply(
            401,
            "The resource requires authentication, which was not supplied with the request",
        )
    if username is None:
        return text_reply(400, "Request is missing required form field 'username'")
    if not account.admits(username, key):
        return text_reply(401, "The supplied authentication is invalid")
    return None


def _cost(verdict: Verdict, account: Account) -> Decimal:
    return account.price * verdict.parts


def _recipient(verdict: Verdict, account: Account) -> dict[str, object]:
    code = 101 if verdict.code is None else int(verdict.code)
    entry: dict[str, object] = {
        "statusCode": code,
        "number": verdict.sms.to,
        "status": STATUSES.get(code, "Unknown"),
    }
    if not verdict.taken:
        return entry | {"cost": "0", "messageId": "None"}
    cost = f"{account.currency} {_cost(verdict, account):.4f}"
    return entry | {"cost": cost, "messageId": verdict.id, "messageParts": verdict.parts}


def _sent(message: str, recipients: list[dict[str, object]]) -> Reply:
    return _json(201, {"SMSMessageData": {"Message": message, "Recipients": recipients}})


def _json(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value, separators=(",", ":")).encode())


def _form(url: str, fields: dict[str, str]) -> Callback:
    return Callback("POST", url, urlencode(fields).encode(), _FORM)
