"""What a dialect is to the engine: bytes in, bytes out, no I/O and no state.

Rules: a dialect reads requests and words answers and callbacks; the engine (`server`) decides
what becomes of an SMS, keeps the journal first, and alone touches sockets.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from worker.lab.simulator.script import ReportPlan

Code = int | str
"""A dialect's own name of a refusal or of an unusual acceptance."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request, read to its end."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, ready to be written."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def text_reply(status: int, text: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A plain text answer."""
    return Reply(status, text.encode(), "text/plain; charset=UTF-8", headers or {})


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS to one recipient, as asked for."""

    to: str
    sender: str | None
    text: str
    reference: str | None = None
    """The caller's own id, where the dialect takes one."""
    report_url: str | None = None
    """Where this message's reports go; None: the configured address."""
    report_mask: int = 0xFF
    """Kannel: which kinds of report are wanted."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one SMS."""

    sms: Sms
    taken: bool
    code: Code | None = None
    """None: the regular acceptance."""
    id: str = ""
    """Given by us when taken."""
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Account:
    """Whose messages are taken, and at what price."""

    username: str | None = None
    """None: anybody's."""
    secret: str | None = None
    """API key or password. None: any that is not empty."""
    currency: str = "ZMW"
    price: Decimal = Decimal("0.3500")
    """Of one part."""

    def admits(self, username: str, secret: str) -> bool:
        """Whether these credentials are good."""
        return _is(username, self.username) and _is(secret, self.secret)


def _is(given: str, expected: str | None) -> bool:
    if expected is None:
        return bool(given)
    return hmac.compare_digest(given.encode(), expected.encode())


@dataclass(frozen=True, slots=True)
class Callback:
    """A request of ours to the customer."""

    method: str
    url: str
    body: bytes = b""
    content_type: str = ""


class Dialect(Protocol):
    """One wire protocol."""

    name: str
    paths: frozenset[tuple[str, str]]
    """Method and path of the requests that carry SMS."""
    account_path: str | None
    """Path of the balance query, a GET."""
    id_prefix: str
    no_balance: Code
    opted_out: Code

    def read(self, request: HttpRequest, account: Account) -> Sequence[Sms] | Reply:
        """The SMS asked for, or the answer to a request that asks for none."""
        ...

    def fault(self, sms: Sms) -> Code | None:
        """Why this SMS would be refused by itself, if it would."""
        ...

    def knows(self, code: Code) -> bool:
        """Whether a script may name this code."""
        ...

    def answer(self, verdicts: Sequence[Verdict], account: Account) -> Reply:
        """The answer to a request all of whose SMS are judged."""
        ...

    def balance(self, request: HttpRequest, account: Account, left: Decimal) -> Reply:
        """The answer to the balance query."""
        ...

    def reports(self, verdict: Verdict, plan: ReportPlan, url: str) -> Sequence[Callback]:
        """The delivery reports of a taken SMS, one copy of each, in order."""
        ...

    def optout(self, sender: str, number: str, url: str) -> Callback | None:
        """The callback saying that a subscriber wants no more; None where there is none."""
        ...
