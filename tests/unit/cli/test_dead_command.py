"""What a dead letter is called, what is shown of it, which are meant; commands without parts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from contracts.names import Queue
from tests.support.fakes import deaths
from worker.cli import addresses, app
from worker.handlers.dead_letters import Selection, dead_letter
from worker.ports.broker import Incoming

if TYPE_CHECKING:
    from pathlib import Path

BODY = {"messageId": "m-1", "to": "+260977123456", "text": "your code is 4711"}


def dead(
    body: bytes | dict[str, Any] = b"{}", *, message_id: str | None = None, **headers: object
) -> Incoming:
    return Incoming(
        queue=Queue.DEAD,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        redelivered=False,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        message_id=message_id,
        routing_key="sms.send.bulk",
    )


@pytest.mark.parametrize(
    ("incoming", "name"),
    [
        (dead(BODY, message_id="property"), "property"),
        (dead(BODY), "m-1"),
        (dead({"message_id": "m-2"}), "m-2"),
        (dead(b"\xff"), "sha256-a8100ae6aa19"),
        (dead(b"\xff", message_id="a b"), "sha256-a8100ae6aa19"),
        (dead(b"\xff", message_id="\x1b[2J"), "sha256-a8100ae6aa19"),
        (dead({"messageId": 7}), dead_letter(dead({"messageId": 7})).name),
    ],
)
def test_a_letter_is_called_by_its_message_id_else_by_its_body(
    incoming: Incoming, name: str
) -> None:
    assert dead_letter(incoming).name == name


def test_headers_of_ours_are_read() -> None:
    letter = dead_letter(
        dead(
            BODY,
            sms_reason="failed: x",
            sms_source_queue="sms.send.transactional",
            sms_attempts=2,
            sms_first_at="2026-01-02T03:04:05+02:00",
            sms_last_at="2026-01-02T03:04:05",
            sms_replay="worker",
        )
    )
    assert (letter.reason, letter.source, letter.attempts) == (
        "failed: x",
        Queue.TRANSACTIONAL,
        2,
    )
    assert letter.first_at == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert letter.last_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert letter.replayed_by == "worker"


def test_what_the_broker_gave_up_has_its_queue_from_the_broker() -> None:
    letter = dead_letter(dead(BODY, **deaths(("sms.reports", "delivery_limit"))))
    assert (letter.source, letter.reason) == (Queue.REPORTS, "given up by the broker")


def test_a_retried_command_the_broker_gave_up_is_from_its_lane_and_not_from_a_tier() -> None:
    passed = [("sms.lost", "delivery_limit"), ("sms.send.transactional", "expired")]
    letter = dead_letter(dead(BODY, **deaths(*passed, ("sms.retry.5s", "expired"))))
    assert letter.source == Queue.TRANSACTIONAL


@pytest.mark.parametrize("odd", [None, 7, "text", [None], [["queue"]], [{"queue": {}}], [{}]])
def test_a_history_nobody_can_read_leaves_the_key_to_say_the_queue(odd: object) -> None:
    assert dead_letter(dead(BODY, **{"x-death": odd})).source == Queue.BULK


def test_without_any_header_the_key_says_the_queue() -> None:
    letter = dead_letter(dead(BODY))
    assert (letter.source, letter.attempts, letter.first_at) == (Queue.BULK, None, None)


@pytest.mark.parametrize(
    "odd",
    ["soon", "", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", 7, b"\xff", None],
)
def test_a_time_that_cannot_be_read_is_none(odd: object) -> None:
    letter = dead_letter(dead(BODY, sms_first_at=odd, sms_last_at=odd))
    assert (letter.first_at, letter.last_at) == (None, None)
    assert letter.summary()["firstAt"] is None


def test_nothing_of_a_body_is_shown_that_is_somebodys_business() -> None:
    fields = BODY | {
        "userId": "0977123456",
        "senderId": "ACME",
        "branchId": 7,
        "metadata": {"name": "Mwansa"},
        "expiresAt": "2030-01-01T00:00:00Z",
        "to": "+260977123456",
    }
    assert dead_letter(dead(fields)).visible() == {
        "messageId": "m-1",
        "to": "+260******456",
        "text": "(17 characters)",
        "userId": "(10 characters)",
        "senderId": "(4 characters)",
        "branchId": 7,
        "metadata": "(hidden)",
        "expiresAt": "2030-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("messageId", "Your code is 4711 ", "(18 characters)"),
        ("branchId", 260977123456, "(hidden)"),
        ("branchId", "0977123456", "(10 characters)"),
        ("branchId", True, "(hidden)"),
        ("expiresAt", "+260977123456", "(13 characters)"),
        ("expiresAt", 1772359200, "(hidden)"),
    ],
)
def test_what_does_not_belong_in_a_field_is_hidden(field: str, value: Any, shown: Any) -> None:
    assert dead_letter(dead({field: value})).visible() == {field: shown}


@pytest.mark.parametrize("body", [b"", b"[1]", b'"+260977123456"', b"\xff", b"{" * 70_000])
def test_nothing_is_shown_of_what_is_no_object(body: bytes) -> None:
    letter = dead_letter(dead(body))
    assert letter.visible() == {}
    assert letter.summary()["bytes"] == len(body)


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (Selection(), False),
        (Selection(everything=True), True),
        (Selection(frozenset({"m-1"})), True),
        (Selection(frozenset({"m-2"})), False),
        (Selection(reason="round failed"), True),
        (Selection(reason="ROUND"), True),
        (Selection(reason="failed: *; last*"), True),
        (Selection(reason="every*"), False),
        (Selection(reason="expired"), False),
    ],
)
def test_a_selection_means(selection: Selection, *, meant: bool) -> None:
    letter = dead_letter(dead(BODY, sms_reason="failed: every round failed; last: refused"))
    assert selection.wants(letter) is meant


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No address anywhere: neither in the environment nor of a local stack."""
    for name in ("AMQP_URL", "AMQP_URL_WORKER", "MONGO_URL", "SMS_HASH_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(addresses, "DIRECTORY", tmp_path)


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize(
    "arguments",
    [
        ["dead", "list"],
        ["dead", "show", "x"],
        ["dead", "drop", "x"],
        ["dead", "replay", "x"],
        ["unrouted"],
    ],
)
def test_without_a_broker_the_missing_variable_is_named(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("AMQP_URL_WORKER: expected the address of the broker")


@pytest.mark.usefixtures("nothing")
def test_a_replay_without_the_key_of_the_workers_is_refused() -> None:
    environment = {"AMQP_URL": "amqp://worker:secret@127.0.0.1:1/"}
    result = CliRunner(env=environment).invoke(app, ["dead", "replay", "--all"])
    assert result.exit_code == 2
    assert "SMS_HASH_KEY" in result.stderr


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("arguments", [["list"], ["show", "x"], ["drop", "x", "--yes"]])
def test_a_broker_that_is_away_is_said_in_one_line(arguments: list[str]) -> None:
    environment = {"AMQP_URL": "amqp://worker:secret@127.0.0.1:1/"}
    result = CliRunner(env=environment).invoke(app, ["dead", *arguments])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.output
