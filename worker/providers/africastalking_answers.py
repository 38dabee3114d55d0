"""Reads answers and reports of Africa's Talking: pure functions and the provider's tables.

Source: the provider's SMS API documentation (response format, status codes, delivery reports), and
replies recorded by other users of it.

Rules:
- The body is read at any HTTP status, because a do-not-disturb rejection comes with HTTP 409.
- `Accepted` needs a success code for our recipient. If there is no code at all, it needs the name
  of a success and a message id, because older versions of the API had no codes.
- `NotSent` needs one of these proofs: a documented code (or none at all) without message id and
  cost; no recipients, and a `Message` that says it went to none at no cost or names the refusal; or
  an HTTP status (`statuses`).
- Everything else is `Unknown`. There is no idempotency key and no search by our own reference, so a
  wrong guess would send twice.
- `Refused` means that no provider may send it. If only this provider cannot (unknown sender id or
  number, no route), it is `NotSent`, and the other provider is called.
- Reasons are names from the tables below, never the provider's free text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

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
from worker.domain.messages.receipts import DeliveryReport, OptOut
from worker.providers.africastalking_recipient import (
    CODES,
    NAMES,
    SUCCESS,
    SUCCESS_TEXTS,
    Recipient,
    is_number_of,
    plain_name,
)
from worker.providers.amounts import balance, cost, read_money
from worker.providers.statuses import by_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.providers.answer import Answer

BAD_REQUEST: Final = 400
SERVER_ERROR: Final = 500
REFUSALS: Final[Mapping[int, Outcome]] = {
    401: Unknown("401", NAMES[401]),
    402: NotSent(Blame.ACCOUNT, "402", NAMES[402], account_fault=AccountFault.SENDER),
    403: NotSent(Blame.RECIPIENT, "403", NAMES[403]),
    404: NotSent(Blame.RECIPIENT, "404", NAMES[404]),
    405: NotSent(Blame.ACCOUNT, "405", NAMES[405], account_fault=AccountFault.BALANCE),
    406: Refused("406", NAMES[406], opted_out=True),
    407: NotSent(Blame.RECIPIENT, "407", NAMES[407]),
    409: Refused("409", NAMES[409]),
    500: NotSent(Blame.PROVIDER, "500", NAMES[500]),
    501: NotSent(Blame.PROVIDER, "501", NAMES[501]),
    502: NotSent(Blame.PROVIDER, "502", NAMES[502]),
}
"""The meaning of each code, for the configured sender id and without contradiction. The meaning of
RiskHold is not documented."""

_NO_CODE: Final = NotSent(Blame.PROVIDER, "no_code", "refused without a status code")
_WHOLE_REQUEST: Final[Mapping[str, int]] = {
    name: code for name, code in CODES.items() if code in {402, 403, 404, 405, 406, 407, 409}
}
"""Names that mean a refusal of the whole request, if `Message` has only this and no recipients."""
_SENT_TO_NOBODY: Final = re.compile(r"sent to 0/\d{1,6} total cost: (.{1,40}?)( message parts: 0)?")
"""The provider's own count if there are no recipients: `Sent to 0/1 Total Cost: 0`."""

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
"""Documented statuses of delivery reports. The last two are assumed to be final."""


def classify(answer: Answer, *, to: str, own_sender: bool) -> Outcome:
    """Read the answer to a send of one message.

    Args:
        answer: the complete HTTP answer.
        to: the recipient of the request, E.164.
        own_sender: whether the message named the sender id itself.
    """
    data = _message_data(answer)
    recipients = _recipients(data)
    ours = [r for r in recipients if is_number_of(r.get("number"), to)]
    if len(ours) == 1:
        return _by_recipient(Recipient.read(ours[0]), own_sender=own_sender)
    if recipients:
        return Unknown("no_such_recipient", "the answer is about other recipients")
    if data is not None and answer.status < SERVER_ERROR:
        refused = _refused_whole(data.get("Message"), own_sender=own_sender)
        return refused or _by_status(answer)
    return _by_status(answer)


def _by_recipient(recipient: Recipient, *, own_sender: bool) -> Outcome:
    code = recipient.code
    if code in SUCCESS and recipient.status not in SUCCESS_TEXTS:
        return Unknown(str(code), "success code with the name of a failure")
    if code in SUCCESS or (code is None and recipient.says_it_was_taken()):
        return Accepted(
            provider_message_id=recipient.message_id,
            cost=cost(recipient.cost),
            parts=recipient.parts,
            code=str(code or "accepted"),
        )
    if code is None and recipient.says_it_was_not_taken():
        return _NO_CODE
    if code is None or code not in NAMES:
        return Unknown(str(code), "status code is not documented")
    return _by_name(code, recipient, own_sender=own_sender)


def _by_name(code: int, recipient: Recipient, *, own_sender: bool) -> Outcome:
    """The outcome of a documented failure, or `Unknown` if the answer contradicts itself."""
    if code in {500, 501, 502} and not recipient.costs_nothing():
        return Unknown(str(code), f"{NAMES[code]}, not free of cost")
    outcome = _refusal(code, own_sender=own_sender)
    if isinstance(outcome, NotSent) and recipient.may_be_taken():
        return Unknown(str(code), f"{NAMES[code]}, yet with a message id or a cost")
    return outcome


def _refusal(code: int, *, own_sender: bool) -> Outcome:
    """The outcome of a documented failure code without contradiction."""
    if code == 402 and own_sender:  # noqa: PLR2004 - InvalidSenderId, see NAMES
        return NotSent(Blame.MESSAGE, "402", NAMES[402])
    return REFUSALS[code]


def _by_status(answer: Answer) -> Outcome:
    """The outcome by the HTTP status alone."""
    if answer.status == BAD_REQUEST and "PhoneNumber" in answer.text():
        return NotSent(Blame.RECIPIENT, f"http_{answer.status}", NAMES[403])
    return by_status(answer, "no readable result: may have been taken")


def _message_data(answer: Answer) -> dict[str, Any] | None:
    document = answer.json()
    data = document.get("SMSMessageData") if isinstance(document, dict) else None
    return data if isinstance(data, dict) else None


def _recipients(data: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The entries of `Recipients`. A list that cannot be read becomes one empty entry."""
    listed = (data or {}).get("Recipients") or []
    if not isinstance(listed, list):
        return [{}]
    return [entry if isinstance(entry, dict) else {} for entry in listed]


def _refused_whole(message: object, *, own_sender: bool) -> Outcome | None:
    """The outcome by `Message` for a request without recipients; None: it proves nothing."""
    if code := _WHOLE_REQUEST.get(plain_name(message)):
        return _refusal(code, own_sender=own_sender)
    words = " ".join(message.split()).lower() if isinstance(message, str) else ""
    nobody = _SENT_TO_NOBODY.fullmatch(words)
    return _NO_CODE if nobody and read_money(nobody[1])[0] == 0 else None


def read_delivery(provider: str, fields: Mapping[str, str]) -> DeliveryReport:
    """Read a delivery report: `id`, `status`, `phoneNumber`, `networkCode`, `failureReason`.

    Raises:
        ValueError: there is neither a message id nor a number.
    """
    message_id = fields.get("id", "").strip() or None
    to = fields.get("phoneNumber", "").strip() or None
    if message_id is None and to is None:
        raise ValueError("id, phoneNumber: expected at least one, got neither")
    status, reason = fields.get("status", "").strip(), fields.get("failureReason", "").strip()
    return DeliveryReport(
        provider=provider,
        delivery=DELIVERY.get(status),
        status=status,
        provider_message_id=message_id,
        to=to,
        reason=reason or None,
        network_code=fields.get("networkCode") or None,
        opted_out=reason.casefold() == NAMES[406].casefold(),
    )


def read_optout(provider: str, fields: Mapping[str, str]) -> OptOut:
    """Read a subscriber's opt-out: `phoneNumber`, `senderId`.

    Raises:
        ValueError: there is no number.
    """
    to = fields.get("phoneNumber", "").strip()
    if not to:
        raise ValueError("phoneNumber: expected the number that opted out, got none")
    return OptOut(provider, to, fields.get("senderId", "").strip() or None)


def read_balance(answer: Answer) -> Money | None:
    """The balance in `{"UserData": {"balance": "KES 1785.50"}}`; the key may also be `userData`."""
    document = answer.json()
    if not isinstance(document, dict):
        return None
    user = document.get("UserData") or document.get("userData")
    return balance(user.get("balance")) if isinstance(user, dict) else None
