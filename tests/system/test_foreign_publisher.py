"""A publisher in another client library: pika, JSON written by hand, nothing shared with us.

What cannot be processed ends in `sms.dead`, and in `sms.rejected` where there is a new message to
speak of, with a reason a person understands; the worker goes on.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pika
import pytest
from helpers import System, new_number, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TWO_MB: Final = 2 * 1024 * 1024


class Publisher:
    """A blocking publisher; every message is confirmed and mandatory."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def publish(self, body: bytes, key: str = "send.transactional", **properties: Any) -> None:
        self._channel.basic_publish(
            "sms.commands",
            key,
            body,
            pika.BasicProperties(delivery_mode=2, **properties),
            mandatory=True,
        )

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def publisher(system: System) -> Iterator[Publisher]:
    opened = Publisher(system.stack.amqp["upstream"])
    yield opened
    opened.close()


def command(name: str | None, **fields: Any) -> bytes:
    """A command as another language would write it; a field given as None is left out."""
    body = {"messageId": name, "to": "+260977000001", "text": f"Your code is 1234 #{name}"}
    return json.dumps({k: v for k, v in {**body, **fields}.items() if v is not None}).encode()


async def test_camel_case_json_of_another_library_is_understood(
    system: System, publisher: Publisher
) -> None:
    body = command(
        "foreign-1",
        to="0977 000 001",
        senderId="ACME",
        userId="u-7",
        branchId=12,
        messageType="Otp",
        expiresAt="2099-01-01T00:00:00+02:00",
        metadata={"campaign": "x"},
        addedLater={"unknown": "fields are ignored"},
    )

    publisher.publish(body, "send", message_id="foreign-1", type="SendSms.v1", correlation_id="c-9")

    sent = await system.told("foreign-1", "sms.sent")
    assert (sent["userId"], sent["branchId"], sent["messageType"]) == ("u-7", 12, "Otp")
    (taken,) = system.taken("foreign-1")
    assert (taken["to"], taken["from"]) == ("+260977000001", "ACME")


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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about.replace(" ", "-"))
async def test_what_is_malformed_is_put_aside_with_a_reason_and_the_next_goes_out(
    system: System, publisher: Publisher, case: Case
) -> None:
    name = f"bad-{CASES.index(case)}"
    body = case.body(name)
    amqp_id = name if case.amqp_id else None

    await asyncio.to_thread(publisher.publish, body, message_id=amqp_id, type=case.type)

    dead = await dead_with(system, body)
    assert case.reason in dead["reason"]
    ident = f"{name}-other" if case.about == "two ids" else name
    if case.event:
        rejected = await system.told(ident, "sms.rejected")
        assert case.reason in rejected["reason"]
        assert any((case.problem or case.reason) in each for each in rejected["problems"])
    assert "260977" not in dead["reason"]
    await goes_on(system, publisher, f"after-{name}")
    assert not system.taken(ident)
    assert bool(system.events.of(ident)) == case.event


async def test_another_content_under_the_same_id_is_put_aside_and_the_first_stands(
    system: System, publisher: Publisher
) -> None:
    first, other = command("conflict"), command("conflict", text="Something else #conflict")
    publisher.publish(first)
    await system.told("conflict", "sms.delivered")
    before = list(system.events.of("conflict"))

    publisher.publish(other)

    dead = await dead_with(system, other)
    assert dead["reason"] == "id conflict: same id, other content"
    await goes_on(system, publisher, "after-conflict")
    assert system.events.of("conflict") == before
    assert [line["text"] for line in system.taken("conflict")] == ["Your code is 1234 #conflict"]


async def test_the_same_content_on_the_other_lane_follows_the_first(
    system: System, publisher: Publisher
) -> None:
    body = command("both-lanes")
    publisher.publish(body, "send.bulk")
    sent = await system.told("both-lanes", "sms.sent")

    publisher.publish(body, "send.transactional")

    await until(lambda: system.events.deliveries[sent["eventId"]] == 2, 10)
    await goes_on(system, publisher, "after-both-lanes")
    assert len(system.taken("both-lanes")) == 1
    assert {event["lane"] for event in system.events.of("both-lanes")} == {"bulk"}
    assert not system.dead.of("both-lanes")


async def dead_with(system: System, body: bytes) -> dict[str, Any]:
    """The dead letter with exactly these bytes."""

    def found() -> list[dict[str, Any]]:
        return [dead for dead in system.dead.all if dead["body"] == body]

    await until(lambda: bool(found()), 10, lambda: f"dead so far: {system.dead.all[-3:]}")
    (dead,) = found()
    return dead


async def goes_on(system: System, publisher: Publisher, name: str) -> None:
    """A good message after a bad one is sent."""
    publisher.publish(command(name, to=new_number()))
    await system.told(name, "sms.sent")
