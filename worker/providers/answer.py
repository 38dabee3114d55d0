"""One call and what came back, in the form that the adapters' pure classifiers read.

Rules: the classifiers see an `Answer` and nothing of HTTP libraries; a call that brought no answer
is an outcome already. Nothing a provider or the network says in free text reaches an outcome's
reason: it may repeat the number, the text or a secret. Reading is total: whatever the bytes are, it
ends, raises nothing, and gives values that can be stored.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from worker.domain.messages.account import AccountHealth
from worker.domain.messages.outcome import AccountFault, Blame, NotSent, Unknown
from worker.providers import charsets
from worker.providers.statuses import NOT_PROCESSED, account_fault
from worker.providers.transport import NOT_SENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.messages.outcome import Money
    from worker.providers.transport import Client

DEFAULT_PAUSE_S: Final = 1.0
"""Pause after a 429 that names none."""
LONGEST_PAUSE_S: Final = 86_400.0
"""A longer one is read as this."""

_SECONDS: Final = re.compile(r"\d++(?:\.\d++)?", re.ASCII)
_BACKSLASH: Final = re.compile(r"""\\(["\\/bfnrt]|u[0-9A-Fa-f]{4})?""")
"""One with what it escapes, or one that escapes nothing."""
_LONGEST_INTEGER: Final = 40
_LONGEST_ID: Final = 200


def _integer(digits: str) -> int | None:
    """An integer of a sensible size: Python itself refuses those of thousands of digits."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else None


# Control characters within strings are no JSON, but gateways echo texts of several lines so.
_JSON: Final = json.JSONDecoder(strict=False, parse_int=_integer, parse_constant=lambda _name: None)


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A complete HTTP answer. No repr: bodies name recipients."""

    status: int
    headers: Mapping[str, str]
    """Case-insensitive when it comes from `ask`."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None when it is none.

        A backslash that begins no escape stands for itself: gateways that echo a text write so.
        """
        text = self.text().strip("\x00\x1a\ufeff \t\r\n")
        try:
            return _JSON.decode(text)
        except (ValueError, RecursionError):
            return _decoded_again(text) if "\\" in text else None

    def text(self) -> str:
        """The body as text; bytes that cannot be decoded are replaced.

        UTF-8 where the bytes are that: what is declared wrongly is UTF-8 more often than not. Then
        what the bytes show decides, then the declared charset, if it is one of text.
        """
        text = _utf8(self.body)
        if text is not None:
            return text.removeprefix("\ufeff")
        charset = charsets.shown(self.body)
        if not charsets.is_wide(charset):
            charset = charsets.declared(f";{self.headers.get('content-type', '')}") or charset
        return self.body.decode(charset, "replace").removeprefix("\ufeff")

    def pause_s(self, now: datetime | None = None) -> float:
        """Seconds the provider asked us to wait, or the default."""
        asked = self.asked_pause_s(now)
        return DEFAULT_PAUSE_S if asked is None else asked

    def asked_pause_s(self, now: datetime | None = None) -> float | None:
        """Seconds the provider asked us to wait (`Retry-After`: seconds or a date); None: none.

        Args:
            now: what a date is compared with; default: the answer's own `Date`, else our clock.
        """
        named = self.headers.get("retry-after", "").strip()
        if _SECONDS.fullmatch(named):
            return min(float(named), LONGEST_PAUSE_S)
        until = _date(named)
        if until is None:
            return None
        now = now or _date(self.headers.get("date", "")) or datetime.now(UTC)
        wait = (until - now).total_seconds()
        return min(wait, LONGEST_PAUSE_S) if wait > 0 else None


def _decoded_again(text: str) -> Any:
    """The document, with each backslash that begins no escape read as one."""
    try:
        return _JSON.decode(_BACKSLASH.sub(lambda found: found[0] if found[1] else r"\\", text))
    except (ValueError, RecursionError):
        return None


def _utf8(body: bytes) -> str | None:
    """The text if it is UTF-8, and not a wide charset that happens to be."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text.strip("\x00") else text


def _date(named: str) -> datetime | None:
    """An HTTP date; None where it is none."""
    try:
        found = parsedate_to_datetime(named)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


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


def read_id(raw: object) -> str | None:
    """A provider's own id of a message; None where there is none that can be stored."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    named = str(raw).strip()
    return named if 0 < len(named) <= _LONGEST_ID and named.isprintable() else None


def account_health(answer: Answer | NotSent | Unknown, balance: Money | None) -> AccountHealth:
    """Judge the answer of an account call; `balance` is what its body said."""
    if not isinstance(answer, Answer):
        return AccountHealth(ok=False, reason=answer.reason)
    if answer.status != httpx.codes.OK:
        return _refused(answer.status)
    if balance is None:
        return AccountHealth(ok=False, reason="account call named no balance")
    if balance.amount <= 0:
        return AccountHealth(
            ok=False, reason="balance used up", balance=balance, fault=AccountFault.BALANCE
        )
    return AccountHealth(ok=True, reason="account in order", balance=balance)


def _refused(status: int) -> AccountHealth:
    fault = account_fault(status)
    if fault is AccountFault.AUTHENTICATION:
        return AccountHealth(ok=False, reason=NOT_PROCESSED[status][1], fault=fault)
    reason = f"account call answered HTTP {status}"
    return AccountHealth(ok=False, reason=reason, fault=fault)
