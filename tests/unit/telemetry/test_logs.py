"""Lines are JSON, complete, and give nobody away."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from worker.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER = "+260977123456"


class Lines:
    """What was logged since `configure`."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.all[-1]


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    captured = Lines()
    logs.configure("info", "replica-1", captured.stream)
    yield captured
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_line_carries_level_time_and_replica(lines: Lines) -> None:
    structlog.get_logger().info("message.sent", provider="legacy")
    assert lines.last.pop("timestamp").endswith("Z")
    assert (
        lines.last.items()
        >= {
            "event": "message.sent",
            "level": "info",
            "replica": "replica-1",
            "provider": "legacy",
        }.items()
    )


def test_bound_context_is_on_the_line(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(message_id="m-1", lane="bulk"):
        structlog.get_logger().info("x")
    assert (lines.last["message_id"], lines.last["lane"]) == ("m-1", "bulk")


def test_line_below_the_level_is_not_written(lines: Lines) -> None:
    structlog.get_logger().debug("x")
    assert lines.all == []


@pytest.mark.parametrize("key", ["to", "number", "phone", "phoneNumber", "phone_number", "TO"])
def test_number_is_masked(lines: Lines, key: str) -> None:
    structlog.get_logger().info("x", **{key: NUMBER})
    assert lines.last[key] == "+260******456"


def test_numbers_in_a_list_are_masked(lines: Lines) -> None:
    structlog.get_logger().info("x", to=[NUMBER, NUMBER])
    assert lines.last["to"] == ["+260******456"] * 2


def test_masked_number_stays_as_it_is(lines: Lines) -> None:
    structlog.get_logger().info("x", to="+260******456")
    assert lines.last["to"] == "+260******456"


@pytest.mark.parametrize("key", ["text", "body", "secret", "token", "password"])
def test_confidential_field_is_dropped(lines: Lines, key: str) -> None:
    structlog.get_logger().info("x", **{key: "hush"})
    assert "hush" not in lines.stream.getvalue().decode()
    assert key not in lines.last


def test_nested_fields_are_protected_too(lines: Lines) -> None:
    structlog.get_logger().info("x", call={"fields": [{"to": NUMBER, "text": "hush"}]})
    assert lines.last["call"] == {"fields": [{"to": "+260******456"}]}


@pytest.mark.parametrize("password", ["hush", "hu@sh", "hu:sh", ""])
def test_address_loses_its_password(lines: Lines, password: str) -> None:
    structlog.get_logger().info("x", url=f"amqp://user:{password}@host:5672/v")
    assert lines.last["url"] == "amqp://user:***@host:5672/v"


def test_address_without_password_stays_as_it_is(lines: Lines) -> None:
    structlog.get_logger().info("x", url="http://host:80/a@b")
    assert lines.last["url"] == "http://host:80/a@b"


def test_exception_carries_type_and_frames_but_no_locals(lines: Lines) -> None:
    confidential = "hush"
    try:
        {}[len(confidential)]
    except KeyError:
        structlog.get_logger().exception("x")
    [raised] = lines.last["exception"]
    assert raised["exc_type"] == "KeyError"
    assert (
        raised["frames"][-1]["name"]
        == test_exception_carries_type_and_frames_but_no_locals.__name__
    )
    assert "hush" not in lines.stream.getvalue().decode()


def test_number_in_the_message_of_an_exception_is_masked(lines: Lines) -> None:
    try:
        int(f"no route to {NUMBER}")
    except ValueError:
        structlog.get_logger().exception("x")
    assert lines.last["exception"][0]["exc_value"].endswith("'no route to +260******456'")


def test_exception_given_as_a_field_is_scrubbed(lines: Lines) -> None:
    structlog.get_logger().info("x", error=ValueError(f"bad {NUMBER}"))
    assert lines.last["error"] == "ValueError: bad +260******456"


def test_warning_of_a_library_becomes_a_line(lines: Lines) -> None:
    logging.getLogger("some.library").warning("lost %s for %s", "amqp://u:hush@h", NUMBER)
    assert lines.last["event"] == "lost amqp://u:***@h for +260******456"
    assert (lines.last["logger"], lines.last["level"]) == ("some.library", "warning")


@pytest.mark.parametrize("name", ["httpx", "aiormq", "aio_pika", "pymongo", "uvicorn.error"])
def test_library_that_prints_frames_is_silent_below_warning(lines: Lines, name: str) -> None:
    logs.configure("debug", "replica-1", lines.stream)
    logging.getLogger(name).debug("frame")
    logging.getLogger(f"{name}.child").info("frame")
    assert lines.all == []


def test_what_cannot_be_written_as_json_is_written_as_text(lines: Lines) -> None:
    structlog.get_logger().info("x", what=logs.Any, half="\ud800")
    assert lines.last["what"] == "typing.Any"


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T21:24:09.321472Z", "took 1234 ms", "id 3f2504e0-4f89-11d3-9a0c-0305e82c3301"],
)
def test_text_without_a_number_is_left_alone(text: str) -> None:
    assert logs.scrub(text) == text
