"""Reads answers and reports of a gateway by its preset. Pure functions.

Rules: the first matching row of the preset's table decides. Without a matching row, an HTTP status
that proves "not processed" decides (`statuses`). Otherwise the outcome is `Unknown`. Reasons are
ours, never the gateway's free text, which may repeat the number or the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

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
from worker.domain.messages.receipts import DeliveryReport, OptIn, OptOut
from worker.providers import amounts
from worker.providers.answer import read_id
from worker.providers.preset import ConsentFields, Extract, Preset, Reports, Rule, Verdict
from worker.providers.statuses import by_status, slow_down

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.providers.answer import Answer

_SAYINGS: Final[Mapping[Verdict, Callable[[str], Outcome]]] = {
    Verdict.REFUSED: lambda code: Refused(code, "refused by the gateway"),
    Verdict.OPTED_OUT: lambda code: Refused(code, "recipient opted out", opted_out=True),
    Verdict.NOT_SENT: lambda code: NotSent(Blame.PROVIDER, code, "not taken by the gateway"),
    Verdict.RECIPIENT: lambda code: NotSent(Blame.RECIPIENT, code, "number not served"),
    Verdict.MESSAGE: lambda code: NotSent(
        Blame.MESSAGE, code, "this gateway takes no such message"
    ),
    Verdict.AUTHENTICATION: lambda code: _account(
        code, "credentials refused", AccountFault.AUTHENTICATION
    ),
    Verdict.BALANCE: lambda code: _account(code, "balance used up", AccountFault.BALANCE),
    Verdict.SENDER: lambda code: _account(
        code, "configured sender id refused", AccountFault.SENDER
    ),
    Verdict.UNKNOWN: lambda code: Unknown(code, "the gateway does not say whether it took it"),
}
"""The outcome of a verdict, made from the code of its row alone."""


def _account(code: str, reason: str, fault: AccountFault) -> NotSent:
    return NotSent(Blame.ACCOUNT, code, reason, account_fault=fault)


def classify(answer: Answer, preset: Preset, *, own_sender: bool) -> Outcome:
    """Read the answer to a send by the preset's table.

    Args:
        answer: the complete HTTP answer.
        preset: the gateway.
        own_sender: whether the message named the sender id itself.
    """
    label = f"http_{answer.status}"
    document, text = answer.json(), answer.text()
    rule = next((r for r in preset.rules if _matches(r, answer.status, document, text)), None)
    if rule is None:
        return by_status(answer, "no rule of the preset matches the answer")
    code = rule.code or label
    match rule.verdict:
        case Verdict.ACCEPTED:
            return _accepted(preset, document, text)
        case Verdict.SLOW_DOWN:
            return slow_down(answer, code)
        case Verdict.SENDER if own_sender:
            return NotSent(Blame.MESSAGE, code, "sender id refused")
        case verdict:
            return _SAYINGS[verdict](code)


def _accepted(preset: Preset, document: Any, text: str) -> Accepted:
    parts = str(extract(preset.parts, document, text) or "")
    amount, currency = (extract(each, document, text) for each in (preset.cost, preset.currency))
    return Accepted(
        provider_message_id=read_id(extract(preset.message_id, document, text)),
        cost=amounts.cost(amount, currency),
        parts=int(parts) if re.fullmatch(r"\d{1,4}", parts, re.ASCII) else None,
    )


def read_balance(answer: Answer, preset: Preset) -> Money | None:
    """The balance in the answer of the account call."""
    if preset.check is None:
        return None
    document, text, check = answer.json(), answer.text(), preset.check
    amount, currency = (extract(each, document, text) for each in (check.balance, check.currency))
    return amounts.balance(amount, currency)


def _matches(rule: Rule, status: int, document: Any, text: str) -> bool:
    if rule.status and status not in rule.status:
        return False
    if rule.regex is not None and re.search(rule.regex, text) is None:
        return False
    return all(_equals(at_path(document, path), want) for path, want in rule.fields.items())


def _equals(got: Any, want: Any) -> bool:
    wanted = want if isinstance(want, list) else [want]
    return any(type(got) is type(one) and got == one for one in wanted)


def at_path(document: Any, path: str) -> Any:
    """The value at a path like `response.0.id` in a JSON document; None: there is none."""
    for step in path.split("."):
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def extract(source: Extract | None, document: Any, text: str) -> str | int | float | None:
    """A single value of an answer; None: there is none."""
    if source is None:
        return None
    if source.path is not None:
        value = at_path(document, source.path)
        single = isinstance(value, str | int | float) and not isinstance(value, bool)
        return value if single else None
    match = re.search(source.regex or "", text)
    return match[1] if match else None


def read_delivery(provider: str, reports: Reports, fields: Mapping[str, str]) -> DeliveryReport:
    """Read a delivery report by the preset's names.

    Raises:
        ValueError: there is neither a message id nor a number.
    """

    def field(name: str | None) -> str | None:
        return (fields.get(name, "").strip() or None) if name else None

    # Our own id stays as it came: an id that differs by a blank is that of another message.
    message_id = fields[reports.message_id or ""] if field(reports.message_id) else None
    provider_message_id = field(reports.provider_message_id)
    to, reason = field(reports.to), field(reports.reason)
    if not (message_id or provider_message_id or to):
        raise ValueError("delivery report: expected a message id or a number, got neither")
    epoch, status = field(reports.epoch) or "", field(reports.status) or ""
    return DeliveryReport(
        provider=provider,
        delivery=reports.statuses.get(status),
        status=status,
        provider_message_id=provider_message_id,
        message_id=message_id,
        epoch=int(epoch) if re.fullmatch(r"\d{1,6}", epoch, re.ASCII) else None,
        to=to,
        reason=reason,
        network_code=field(reports.network_code),
        opted_out=(reason or "").casefold() in reports.opted_out,
    )


def read_optout(provider: str, optouts: ConsentFields, fields: Mapping[str, str]) -> OptOut:
    """Read an opt-out by the preset's names.

    Raises:
        ValueError: there is no number.
    """
    return OptOut(provider, *_whose(optouts, fields))


def read_optin(provider: str, optins: ConsentFields, fields: Mapping[str, str]) -> OptIn:
    """Read an opt-in by the preset's names. Raises as `read_optout`."""
    return OptIn(provider, *_whose(optins, fields))


def _whose(names: ConsentFields, fields: Mapping[str, str]) -> tuple[str, str | None]:
    """Number and sender id of a callback about consent."""
    to = fields.get(names.to, "").strip()
    if not to:
        raise ValueError(f"{names.to}: expected the subscriber's number, got none")
    return to, fields.get(names.sender_id or "", "").strip() or None
