"""What publishers get wrong, and what a person reads of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

TWO_MB: Final = 2 * 1024 * 1024


def command(name: str | None, **fields: Any) -> bytes:
    """A command as another language would write it; a field given as None is left out."""
    body = {"messageId": name, "to": "+260977000001", "text": f"Your code is 1234 #{name}"}
    return json.dumps({k: v for k, v in {**body, **fields}.items() if v is not None}).encode()


@dataclass(frozen=True)
class Case:
    """What is published, and what a person reads of it."""

    about: str
    reason: str
    """In `sms.dead`."""
    body: Callable[[str], bytes]
    problem: str = ""
    """In `problems` of `sms.rejected`; empty: the reason says it all."""
    amqp_id: bool = False
    type: str | None = None
    event: bool = True
    """Whether there is a new message to speak of."""


CASES: Final = (
    Case(
        "no id",
        "messageId: expected 1 to 128 printable ASCII characters, got nothing",
        lambda _: command(None),
        event=False,
    ),
    Case(
        "bad number",
        "to: expected a complete phone number, got too few or too many digits",
        lambda name: command(name, to="+26097712"),
    ),
    Case(
        "no number at all",
        "to: expected a phone number",
        lambda name: command(name, to="the boss"),
    ),
    Case(
        "fixed line",
        "to: expected a mobile number, got a fixed line or service number",
        lambda name: command(name, to="+260211123456"),
    ),
    Case(
        "another country",
        "to: expected a number of ZM, got one of KE",
        lambda name: command(name, to="+254711123456"),
    ),
    Case(
        "wrong type",
        "text: expected a string of 1 to 1600 characters without NUL, got an integer",
        lambda name: command(name, text=1234),
    ),
    Case(
        "number as a number",
        "to: expected a phone number in a string of 1 to 64 characters, got an integer",
        lambda name: command(name, to=260977000001),
    ),
    Case(
        "branch that is no number",
        'branchId: expected an integer, got "north"',
        lambda name: command(name, branchId="north"),
    ),
    Case(
        "branch in metadata that is no number",
        'metadata.BranchId: expected an integer, got "north"',
        lambda name: command(name, metadata={"BranchId": "north"}),
    ),
    Case("not JSON", "not JSON", lambda _: b"<sms to='me'/>", event=False),
    Case(
        "not JSON, with an id",
        "not JSON",
        lambda _: b"{'a': 1}",
        problem="body: expected JSON in UTF-8",
        amqp_id=True,
    ),
    Case(
        "not an object",
        "not a JSON object",
        lambda _: b"[1, 2]",
        problem="body: expected a JSON object, got an array",
        amqp_id=True,
    ),
    Case(
        "2 MB",
        "body too long",
        lambda name: command(name, text="x" * TWO_MB),
        problem="body: expected at most 65536 bytes, got 2097",
        amqp_id=True,
    ),
    Case("2 MB, no id", "body too long", lambda _: b" " * TWO_MB, event=False),
    Case(
        "unknown version",
        "unknown version",
        command,
        problem='type: expected "SendSms.v1", got "SendSms.v9"',
        type="SendSms.v9",
    ),
    Case(
        "unknown type",
        "unknown type",
        command,
        problem='type: expected "SendSms.v1", got "Invoice.v1"',
        type="Invoice.v1",
    ),
    Case(
        "two ids",
        "two message ids",
        lambda name: command(f"{name}-other"),
        problem="messageId: expected the AMQP message_id",
        amqp_id=True,
    ),
    Case(
        "time without an offset",
        'expiresAt: expected a time in ISO 8601 with an offset, got "2099-01-01T00:00:00"',
        lambda name: command(name, expiresAt="2099-01-01T00:00:00"),
    ),
    Case("empty body", "not JSON", lambda _: b"", event=False),
)
