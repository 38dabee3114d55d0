"""Makes one HTTP call and reads its answer for the adapters.

Rules: adapters get an `Answer` and nothing of the HTTP libraries. A call without an answer becomes
an outcome here. Free text of a provider or the network never reaches the reason of an outcome,
because it may repeat the number, the text or a secret. Reading never fails for any bytes, and
returns values that can be stored.
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
"""Pause after a 429 without a pause of its own."""
LONGEST_PAUSE_S: Final = 86_400.0
"""Longest pause. Longer ones are cut to it."""

_SECONDS: Final = re.compile(r"\d++(?:\.\d++)?", re.ASCII)
_BACKSLASH: Final = re.compile(r"""\\(["\\/bfnrt]|u[0-9A-Fa-f]{4})?""")
"""A backslash with the character it escapes, or one that escapes nothing."""
_LONGEST_INTEGER: Final = 40
_LONGEST_ID: Final = 200


def _integer(digits: str) -> int | str:
    """Read an integer of sensible size; a longer one stays text, so that it does not look absent.

    An absent id or cost may be a part of a proof. Python itself refuses thousands of digits.
    """
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


# Control characters in strings are invalid JSON, but gateways repeat texts of several lines so.
_JSON: Final = json.JSONDecoder(strict=False, parse_int=_integer, parse_constant=lambda _name: None)


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A complete HTTP answer. It has no repr, because bodies name recipients."""

    status: int
    headers: Mapping[str, str]
    """The header fields, case-insensitive if they come from `ask`."""
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None: it is no JSON.

        A backslash without an escape is read as a backslash, because some gateways repeat texts so.
        """
        text = self.text().strip("\x00\x1a\ufeff \t\r\n")
        try:
            return _JSON.decode(text)
        except (ValueError, RecursionError):
            return _decoded_again(text) if "\\" in text else None

    def text(self) -> str:
        """The body as text. Bytes that cannot be decoded are replaced.

        It is read as UTF-8 if the bytes are UTF-8, because a wrongly declared body mostly is. Else
        the charset that the bytes show is used, then the declared one, if it is known.
        """
        text = _utf8(self.body)
        if text is not None:
            return text.removeprefix("\ufeff")
        charset = charsets.shown(self.body)
        if not charsets.is_wide(charset):
            charset = charsets.declared(f";{self.headers.get('content-type', '')}") or charset
        return self.body.decode(charset, "replace").removeprefix("\ufeff")

    def pause_s(self, now: datetime | None = None) -> float:
        """The pause in seconds that the provider asked for, or the default."""
        asked = self.asked_pause_s(now)
        return DEFAULT_PAUSE_S if asked is None else asked

    def asked_pause_s(self, now: datetime | None = None) -> float | None:
        """The pause in seconds from `Retry-After` (seconds or a date); None: not given.

        Args:
            now: the time a date is compared with; default: the answer's `Date`, else our clock.
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
    """Read JSON in which a backslash without an escape is a plain backslash."""
    try:
        return _JSON.decode(_BACKSLASH.sub(lambda match: match[0] if match[1] else r"\\", text))
    except (ValueError, RecursionError):
        return None


def _utf8(body: bytes) -> str | None:
    """The text if it is UTF-8, and not UTF-16 or UTF-32 that looks like it; else None."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text.strip("\x00") else text


def _date(named: str) -> datetime | None:
    """Read an HTTP date; None: it is no date."""
    try:
        date = parsedate_to_datetime(named)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


async def ask(client: Client, request: httpx.Request) -> Answer | NotSent | Unknown:
    """Make one call. Errors of the network never raise."""
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
    """A provider's own id of a message; None: there is none that can be stored."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        return None
    named = str(raw).strip()
    return named if 0 < len(named) <= _LONGEST_ID and named.isprintable() else None


def account_health(answer: Answer | NotSent | Unknown, balance: Money | None) -> AccountHealth:
    """Read the answer of an account call; `balance` comes from its body."""
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
