"""Answers and reports of a gateway, read by its preset: pure functions.

Rules: the first row of the preset's table that matches decides; no row: `Unknown`. Reasons are
ours, never the gateway's free text, which may repeat the number or the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from worker.domain.delivery import OptOut, Report
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
from worker.providers.answer import money, read_e164
from worker.providers.preset import Extract, OptOuts, Preset, Reports, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.providers.answer import Answer

_SAYINGS: Final[Mapping[Verdict, Callable[[str], Outcome]]] = {
    Verdict.REFUSED: lambda code: Refused(code, "refused by the gateway"),
    Verdict.OPTED_OUT: lambda code: Refused(code, "recipient opted out", opted_out=True),
    Verdict.NOT_SENT: lambda code: NotSent(Blame.PROVIDER, code, "not taken by the gateway"),
    Verdict.RECIPIENT: lambda code: NotSent(Blame.RECIPIENT, code, "number not served"),
    Verdict.AUTHENTICATION: lambda code: _account(
        code, "credentials refused", AccountFault.AUTHENTICATION
    ),
    Verdict.BALANCE: lambda code: _account(code, "balance used up", AccountFault.BALANCE),
    Verdict.SENDER: lambda code: _account(
        code, "configured sender id refused", AccountFault.SENDER
    ),
    Verdict.UNKNOWN: lambda code: Unknown(code, "the gateway does not say whether it took it"),
}
"""What a row says, given its code, where the answer itself adds nothing."""


def _account(code: str, reason: str, fault: AccountFault) -> NotSent:
    return NotSent(Blame.ACCOUNT, code, reason, account_fault=fault)


def classify(answer: Answer, preset: Preset, *, own_sender: bool) -> Outcome:
    """What an answer to a send means by the preset's table.

    Args:
        answer: the complete HTTP answer.
        preset: the gateway.
        own_sender: whether the message named the sender id itself.
    """
    label = f"http_{answer.status}"
    document, text = answer.json(), answer.text()
    rule = next((r for r in preset.rules if _matches(r, answer.status, document, text)), None)
    if rule is None:
        return Unknown(label, "no rule of the preset matches the answer")
    code = rule.code or label
    match rule.verdict:
        case Verdict.ACCEPTED:
            return _accepted(preset, document, text)
        case Verdict.SLOW_DOWN:
            pause = answer.pause_s()
            return NotSent(Blame.PROVIDER, code, "asked to slow down", slow_down_s=pause)
        case Verdict.SENDER if own_sender:
            return Refused(code, "sender id refused")
        case verdict:
            return _SAYINGS[verdict](code)


def _accepted(preset: Preset, document: Any, text: str) -> Accepted:
    parts = str(extract(preset.parts, document, text) or "")
    message_id = extract(preset.message_id, document, text)
    return Accepted(
        provider_message_id=str(message_id) if message_id not in {None, ""} else None,
        cost=_money(preset.cost, preset.currency, document, text),
        parts=int(parts) if re.fullmatch(r"\d{1,4}", parts, re.ASCII) else None,
    )


def read_balance(answer: Answer, preset: Preset) -> Money | None:
    """The balance in the answer of the account call."""
    if preset.check is None:
        return None
    check = preset.check
    return _money(check.balance, check.currency, answer.json(), answer.text())


def _money(
    amount: Extract | None, currency: Extract | None, document: Any, text: str
) -> Money | None:
    return money(extract(amount, document, text), extract(currency, document, text))


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
    """The value at `response.0.id` in a JSON document; None where there is none."""
    for step in path.split("."):
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def extract(source: Extract | None, document: Any, text: str) -> str | int | float | None:
    """A single value of an answer; None where there is none."""
    if source is None:
        return None
    if source.path is not None:
        found = at_path(document, source.path)
        single = isinstance(found, str | int | float) and not isinstance(found, bool)
        return found if single else None
    match = re.search(source.regex or "", text)
    return match[1] if match else None


def read_delivery(provider: str, reports: Reports, fields: Mapping[str, str]) -> Report:
    """Read a delivery report by the preset's names.

    Raises:
        ValueError: neither a message id nor a number.
    """

    def field(name: str | None) -> str | None:
        return (fields.get(name, "").strip() or None) if name else None

    message_id, provider_message_id = field(reports.message_id), field(reports.provider_message_id)
    to = read_e164(field(reports.to))
    if not (message_id or provider_message_id or to):
        raise ValueError("delivery report: expected a message id or a number, got neither")
    epoch, status = field(reports.epoch) or "", field(reports.status) or ""
    return Report(
        provider=provider,
        delivery=reports.statuses.get(status),
        status=status,
        provider_message_id=provider_message_id,
        message_id=message_id,
        epoch=int(epoch) if re.fullmatch(r"\d{1,6}", epoch, re.ASCII) else None,
        to=to,
        reason=field(reports.reason),
        network_code=field(reports.network_code),
    )


def read_optout(provider: str, optouts: OptOuts, fields: Mapping[str, str]) -> OptOut:
    """Read an opt-out by the preset's names.

    Raises:
        ValueError: no number.
    """
    to = read_e164(fields.get(optouts.to))
    if to is None:
        raise ValueError(f"{optouts.to}: expected the number that opted out, got none")
    return OptOut(provider, to, fields.get(optouts.sender_id or "") or None)
