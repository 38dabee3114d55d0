"""What Africa's Talking answers and reports mean: pure functions and the provider's tables.

Source: the provider's SMS API documentation (response format, status codes, delivery reports), and
replies recorded by other users of it.

Rules:
- The body is read whatever the HTTP status is: a do-not-disturb rejection comes with HTTP 409.
- `Accepted` needs the status code of the one recipient we asked for to be a success code.
- `NotSent` is a proof: a documented code, no message id, no cost. Whatever else is `Unknown`: there
  is no idempotency key and no lookup by a reference of ours, so a guess would send twice.
- Reasons are names from the tables below, never the provider's free text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.domain.delivery import OptOut, Report
from worker.domain.message import Delivery
from worker.domain.outcome import (
    Accepted,
    AccountFault,
    Blame,
    Money,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from worker.providers.answer import money, read_e164, read_money

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.providers.answer import Answer

SERVER_ERROR: Final = 500
SUCCESS: Final = frozenset({100, 101, 102})
"""Processed, Sent, Queued."""
_SUCCESS_TEXTS: Final = frozenset({"", "success", "processed", "sent", "queued"})

NAMES: Final[Mapping[int, str]] = {
    401: "RiskHold",
    402: "InvalidSenderId",
    403: "InvalidPhoneNumber",
    404: "UnsupportedNumberType",
    405: "InsufficientBalance",
    406: "UserInBlacklist",
    407: "CouldNotRoute",
    409: "DoNotDisturbRejection",
    500: "InternalServerError",
    501: "GatewayError",
    502: "RejectedByGateway",
}
"""Documented failure codes of one recipient. 408 is not documented."""

REFUSALS: Final[Mapping[int, Outcome]] = {
    401: Unknown("401", NAMES[401]),
    402: NotSent(Blame.ACCOUNT, "402", NAMES[402], account_fault=AccountFault.SENDER),
    403: Refused("403", NAMES[403]),
    404: NotSent(Blame.RECIPIENT, "404", NAMES[404]),
    405: NotSent(Blame.ACCOUNT, "405", NAMES[405], account_fault=AccountFault.BALANCE),
    406: Refused("406", NAMES[406], opted_out=True),
    407: NotSent(Blame.RECIPIENT, "407", NAMES[407]),
    409: Refused("409", NAMES[409]),
    500: NotSent(Blame.PROVIDER, "500", NAMES[500]),
    501: NotSent(Blame.PROVIDER, "501", NAMES[501]),
    502: NotSent(Blame.PROVIDER, "502", NAMES[502]),
}
"""What each means, with the configured sender id and nothing to contradict it. The meaning of
RiskHold is not documented."""

_WHOLE_REQUEST: Final[Mapping[str, int]] = {
    name: code for code, name in NAMES.items() if code in {402, 403, 404, 405, 406, 407, 409}
}
"""Names that, alone in `Message` beside no recipients, say that the whole request was refused."""

DELIVERY: Final[Mapping[str, Delivery]] = {
    "Sent": Delivery.SUBMITTED,
    "Submitted": Delivery.SUBMITTED,
    "Buffered": Delivery.SUBMITTED,
    "Success": Delivery.DELIVERED,
    "Rejected": Delivery.UNDELIVERED,
    "Failed": Delivery.UNDELIVERED,
    "AbsentSubscriber": Delivery.UNDELIVERED,
    "Expired": Delivery.UNDELIVERED,
}
"""Documented statuses of delivery reports; for the last two finality is not stated, so assumed."""


def classify(answer: Answer, *, to: str, own_sender: bool) -> Outcome:
    """What an answer to a send of one message means.

    Args:
        answer: the complete HTTP answer.
        to: the recipient we asked for, E.164.
        own_sender: whether the message named the sender id itself.
    """
    data = _message_data(answer)
    recipients = _recipients(data)
    ours = [r for r in recipients if _digits(r.get("number")) == _digits(to)]
    if len(ours) == 1:
        return _by_recipient(_Recipient.read(ours[0]), own_sender=own_sender)
    if recipients:
        return Unknown("no_such_recipient", "the answer is about other recipients")
    if data is not None and (code := _refused_whole(data)) and answer.status < SERVER_ERROR:
        return _refusal(code, own_sender=own_sender)
    return _by_status(answer)


@dataclass(frozen=True, slots=True)
class _Recipient:
    """One entry of `Recipients`, made harmless."""

    code: int | None
    status: str
    message_id: str | None
    cost: Any
    parts: int | None

    @classmethod
    def read(cls, raw: dict[str, Any]) -> _Recipient:
        named = raw.get("messageId")
        message_id = "" if named is None else str(named).strip()
        status = raw.get("status")
        return cls(
            code=_integer(raw.get("statusCode")),
            status=status.strip() if isinstance(status, str) else "",
            message_id=None if message_id in {"", "None"} else message_id,
            cost=raw.get("cost"),
            parts=_integer(raw.get("messageParts")),
        )

    def costs_nothing(self) -> bool:
        return read_money(self.cost)[0] == 0

    def may_be_taken(self) -> bool:
        """An id, or a cost that is there and not zero, contradicts a refusal."""
        return self.message_id is not None or not (self.cost is None or self.costs_nothing())


def _by_recipient(recipient: _Recipient, *, own_sender: bool) -> Outcome:
    code = recipient.code
    if code in SUCCESS:
        if recipient.status.lower() not in _SUCCESS_TEXTS:
            return Unknown(str(code), "success code with the name of a failure")
        return Accepted(
            provider_message_id=recipient.message_id,
            cost=money(recipient.cost),
            parts=recipient.parts,
            code=str(code),
        )
    if code is None or code not in NAMES:
        return Unknown(str(code), "status code is not documented")
    if code in {500, 501, 502} and not recipient.costs_nothing():
        return Unknown(str(code), f"{NAMES[code]}, not free of cost")
    outcome = _refusal(code, own_sender=own_sender)
    if isinstance(outcome, NotSent) and recipient.may_be_taken():
        return Unknown(str(code), f"{NAMES[code]}, yet with a message id or a cost")
    return outcome


def _refusal(code: int, *, own_sender: bool) -> Outcome:
    """A documented failure code, given that nothing contradicts it."""
    if code == 402 and own_sender:  # noqa: PLR2004 - InvalidSenderId, see NAMES
        return Refused("402", NAMES[402])
    return REFUSALS[code]


def _by_status(answer: Answer) -> Outcome:
    """What the HTTP status alone says."""
    label = f"http_{answer.status}"
    match answer.status:
        case 400 if "PhoneNumber" in answer.text():
            return Refused(label, NAMES[403])
        case 400:
            return NotSent(Blame.PROVIDER, label, "request refused as malformed")
        case 401 | 403:
            fault = AccountFault.AUTHENTICATION
            return NotSent(Blame.ACCOUNT, label, "credentials refused", account_fault=fault)
        case 429:
            pause = answer.pause_s()
            return NotSent(Blame.PROVIDER, label, "asked to slow down", slow_down_s=pause)
        case _:
            return Unknown(label, "no readable result: may have been taken")


def _message_data(answer: Answer) -> dict[str, Any] | None:
    document = answer.json()
    data = document.get("SMSMessageData") if isinstance(document, dict) else None
    return data if isinstance(data, dict) else None


def _recipients(data: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The entries of `Recipients`; one empty entry stands for a list that cannot be read."""
    listed = (data or {}).get("Recipients", [])
    if not isinstance(listed, list):
        return [{}]
    return [entry if isinstance(entry, dict) else {} for entry in listed]


def _refused_whole(data: dict[str, Any]) -> int | None:
    message = data.get("Message")
    if not isinstance(message, str) or data.get("Recipients") != []:
        return None
    return _WHOLE_REQUEST.get(message.strip())


def _digits(number: object) -> str:
    return "".join(filter(str.isdigit, number)) if isinstance(number, str) else ""


def _integer(raw: object) -> int | None:
    """A small number, also as text; None for everything else."""
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        return None
    return int(raw) if re.fullmatch(r"\d{1,6}", str(raw), re.ASCII) else None


def read_delivery(provider: str, fields: Mapping[str, str]) -> Report:
    """Read a delivery report: `id`, `status`, `phoneNumber`, `networkCode`, `failureReason`.

    Raises:
        ValueError: neither a message id nor a number.
    """
    message_id = fields.get("id", "").strip() or None
    to = read_e164(fields.get("phoneNumber"))
    if message_id is None and to is None:
        raise ValueError("id, phoneNumber: expected at least one, got neither")
    status = fields.get("status", "").strip()
    return Report(
        provider=provider,
        delivery=DELIVERY.get(status),
        status=status,
        provider_message_id=message_id,
        to=to,
        reason=fields.get("failureReason") or None,
        network_code=fields.get("networkCode") or None,
    )


def read_optout(provider: str, fields: Mapping[str, str]) -> OptOut:
    """Read a subscriber's opt-out: `phoneNumber`, `senderId`.

    Raises:
        ValueError: no number.
    """
    to = read_e164(fields.get("phoneNumber"))
    if to is None:
        raise ValueError("phoneNumber: expected the number that opted out, got none")
    return OptOut(provider, to, fields.get("senderId") or None)


def read_balance(answer: Answer) -> Money | None:
    """Money in `{"UserData": {"balance": "KES 1785.50"}}`; the key is also seen as `userData`."""
    document = answer.json()
    if not isinstance(document, dict):
        return None
    user = document.get("UserData") or document.get("userData")
    return money(user.get("balance")) if isinstance(user, dict) else None
