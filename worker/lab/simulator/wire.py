"""The protocol of dialects. A dialect turns bytes into bytes, without I/O and state.

Rules: a dialect reads requests and writes answers and callbacks. The engine (`server`) decides
about each SMS, writes the journal first, and alone uses sockets.
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
"""A dialect's own name for a refusal or an unusual acceptance."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A complete request."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, ready to be sent."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def text_reply(status: int, text: str, headers: Mapping[str, str] | None = None) -> Reply:
    """A plain text answer."""
    return Reply(status, text.encode(), "text/plain; charset=UTF-8", headers or {})


@dataclass(frozen=True, slots=True)
class Sms:
    """One requested SMS to one recipient."""

    to: str
    sender: str | None
    text: str
    reference: str | None = None
    """The caller's own id, if the dialect has one."""
    report_url: str | None = None
    """The address for reports of this message; None: the configured one."""
    report_mask: int = 0xFF
    """For Kannel: the wanted kinds of reports."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one SMS."""

    sms: Sms
    taken: bool
    code: Code | None = None
    """None: the regular acceptance."""
    id: str = ""
    """The id given to a taken SMS."""
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Account:
    """The account at the provider: its credentials and prices."""

    username: str | None = None
    """The user name; None: any."""
    secret: str | None = None
    """API key or password. None: any that is not empty."""
    currency: str = "ZMW"
    price: Decimal = Decimal("0.3500")
    """The price of one part."""

    def admits(self, username: str, secret: str) -> bool:
        """Whether these credentials are right."""
        return _is(username, self.username) and _is(secret, self.secret)


def _is(given: str, expected: str | None) -> bool:
    if expected is None:
        return bool(given)
    return hmac.compare_digest(given.encode(), expected.encode())


@dataclass(frozen=True, slots=True)
class Callback:
    """A request to the customer."""

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
        """Read the requested SMS; an answer instead if the request is wrong."""
        ...

    def fault(self, sms: Sms) -> Code | None:
        """Why the dialect itself refuses this SMS; None: it does not."""
        ...

    def knows(self, code: Code) -> bool:
        """Whether a script may name this code."""
        ...

    def answer(self, verdicts: Sequence[Verdict], account: Account) -> Reply:
        """The answer to a request after the decision about all its SMS."""
        ...

    def balance(self, request: HttpRequest, account: Account, left: Decimal) -> Reply:
        """The answer to the balance query."""
        ...

    def reports(self, verdict: Verdict, plan: ReportPlan, url: str) -> Sequence[Callback]:
        """The delivery reports of a taken SMS, one copy of each, in order."""
        ...

    def optout(self, sender: str, number: str, url: str) -> Callback | None:
        """The callback about an opt-out; None: the dialect has none."""
        ...
