"""What our own code fails on comes again, but not for ever: an emergency may wait behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.control import ControlReply
from tests.support.control_fakes import Told
from tests.support.fakes import incoming
from worker.control import authenticate
from worker.ports.broker import Incoming, Settlement


async def broken(_: Incoming) -> Settlement:
    raise KeyError("bug")


async def test_a_failure_is_left_to_the_broker_until_it_was_tried_often_enough() -> None:
    told: list[str] = []
    handle = authenticate.bounded(broken, told.append)
    for count in range(authenticate.TRIES):
        with pytest.raises(KeyError):
            await handle(incoming(headers={"x-delivery-count": count}))
    assert told == []
    last = incoming(
        headers={"x-delivery-count": authenticate.TRIES}, routing_key="control.command.hold"
    )
    assert await handle(last) is Settlement.ACK
    assert told == ["control.command.hold: our own error: KeyError"]


@pytest.mark.parametrize(
    ("correlation", "ident"),
    [("s-1", "s-1"), ("a.b#", "c-1-"), (None, "c-1-"), ("x" * 129, "c-1-")],
)
async def test_an_answer_goes_under_a_single_word(correlation: str | None, ident: str) -> None:
    replier = Told()
    reply = ControlReply(
        command_id="c.1#",
        name="hold",
        verdict="refused",
        code="x",
        text="y",
        at="2026-03-01T08:30:00Z",
    )
    await authenticate.answer(
        replier, replace(incoming(), user_id="ann", correlation_id=correlation), reply
    )
    assert replier.replies[0][:2] == ("ann", ident)


@pytest.mark.parametrize("user", [None, "", "a.b", "#"])
async def test_who_is_no_word_gets_no_answer(user: str | None) -> None:
    replier = Told()
    reply = ControlReply(
        command_id="c", name="hold", verdict="refused", code="x", text="y", at="2026-03-01T08:30Z"
    )
    await authenticate.answer(replier, replace(incoming(), user_id=user), reply)
    assert replier.replies == []


@pytest.mark.parametrize(
    ("key", "body", "name"),
    [
        ("control.command.hold", b'{"name": "step"}', "hold"),
        ("", b'{"name": "step"}', "step"),
        ("", b'{"name": "+260977123456"}', ""),
        ("", b'{"name": ["step"]}', ""),
        ("", b'{"name": "' + b"x" * 60_000 + b'"}', ""),
        ("", b"not JSON", ""),
    ],
)
def test_a_name_in_a_body_counts_only_if_it_could_be_one(key: str, body: bytes, name: str) -> None:
    asked = replace(incoming(), routing_key=key, body=body)
    assert authenticate.name(asked, "control.command.") == name
