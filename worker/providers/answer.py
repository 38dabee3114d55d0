"""One call and what came back, in the form that the adapters' pure classifiers read.

Rules: the classifiers see an `Answer` and nothing of HTTP libraries; a call that brought no answer
is an outcome already. Nothing a provider or the network says in free text reaches an outcome's
reason: it may repeat the number, the text or a secret.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import httpx

from worker.domain.outcome import AccountFault, Blame, Money, NotSent, Unknown
from worker.ports import AccountHealth
from worker.providers.transport import NOT_SENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.providers.transport import Client

DEFAULT_PAUSE_S: Final = 1.0
"""Pause after a 429 that names none (or names it as a date)."""

_MONEY: Final = re.compile(r"(?:([A-Z]{3}) )?(\d{1,12}(?:\.\d{1,8})?)", re.ASCII)
_SECONDS: Final = re.compile(r"\d{1,6}(?:\.\d{1,3})?", re.ASCII)
_E164: Final = re.compile(r"[1-9]\d{5,14}", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A complete HTTP answer. No repr: bodies name recipients."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive when it comes from `ask`."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    def pause_s(self) -> float:
        """Seconds the provider asked us to wait (`Retry-After`)."""
        named = self.headers.get("retry-after", "").strip()
        return float(named) if _SECONDS.fullmatch(named) else DEFAULT_PAUSE_S


async def ask(client: Client, request: httpx.Request) -> Answer | NotSent | Unknown:
    """Make one call. Never raises for what the network does."""
    if client.is_closed:
        return NotSent(Blame.PROVIDER, "closed", "our client is closed")
    try:
        response = await client.once(request)
    except NOT_SENT as error:
        return NotSent(Blame.PROVIDER, code_of(error), str(error))
    except httpx.TransportError as error:
        return Unknown(code_of(error), str(error))
    return Answer(response.status_code, response.headers, response.content)


def code_of(error: httpx.TransportError) -> str:
    """`ConnectTimeout` -> `connect_timeout`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def read_money(raw: object) -> tuple[Decimal | None, str | None]:
    """Read `KES 0.8000`, `0` or 0.25: amount and currency; None for what is not there."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None, None
    found = _MONEY.fullmatch(str(raw).strip())
    return (Decimal(found[2]), found[1]) if found else (None, None)


def money(raw: object, currency: object = None) -> Money | None:
    """An amount with its currency, which the text itself or `currency` names; None without one."""
    amount, named = read_money(raw)
    if named is None and isinstance(currency, str) and re.fullmatch(r"[A-Z]{3}", currency):
        named = currency
    return Money(amount, named) if amount is not None and named else None


def read_e164(raw: str | None) -> str | None:
    """A number of a callback in E.164; a `+` that a form turned into a space is put back."""
    digits = (raw or "").strip().removeprefix("+").strip()
    return f"+{digits}" if _E164.fullmatch(digits) else None


def account_health(answer: Answer | NotSent | Unknown, balance: Money | None) -> AccountHealth:
    """Judge the answer of an account call; `balance` is what its body said."""
    if not isinstance(answer, Answer):
        return AccountHealth(ok=False, reason=answer.reason)
    if answer.status in {401, 403}:
        return AccountHealth(
            ok=False, reason="credentials refused", fault=AccountFault.AUTHENTICATION
        )
    if answer.status != httpx.codes.OK:
        return AccountHealth(ok=False, reason=f"account call answered HTTP {answer.status}")
    if balance is None:
        return AccountHealth(ok=False, reason="account call named no balance")
    if balance.amount <= 0:
        return AccountHealth(
            ok=False, reason="balance used up", balance=balance, fault=AccountFault.BALANCE
        )
    return AccountHealth(ok=True, reason="account in order", balance=balance)
