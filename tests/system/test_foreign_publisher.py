"""A publisher in another client library: pika, JSON written by hand, nothing shared with us.

What cannot be processed ends in `sms.dead`, and in `sms.rejected` where there is a new message to
speak of, with a reason a person understands; the worker goes on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest

from tests.support import documentation
from tests.support.recipients import new_number
from tests.support.waiting import until
from tests.system.malformed import CASES, Case, command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.whole_system import System


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


@pytest.mark.parametrize(
    ("file", "program"), [("publish.py", sys.executable), ("publish.mjs", "node")]
)
async def test_the_program_in_the_documentation_is_told_how_its_message_ended(
    system: System, tmp_path: Path, file: str, program: str
) -> None:
    (tmp_path / file).write_text(documentation.example("contracts/README.md", file))
    if file.endswith(".mjs") and not await _has_amqplib(tmp_path):
        pytest.skip("the library of the Node example, amqplib, is not installed")
    code, output = await _run(program, file, at=tmp_path, AMQP_URL=system.stack.amqp["upstream"])
    assert code == 0
    sent, delivered = output.splitlines()
    assert sent.startswith("sms.sent legacy ")
    assert delivered.startswith("sms.delivered legacy")


async def _has_amqplib(at: Path) -> bool:
    """Whether Node finds it: beside the program, or where NODE_PATH says."""
    if shutil.which("node") is None:
        return False
    for folder in os.environ.get("NODE_PATH", "").split(os.pathsep):
        if folder and (Path(folder) / "amqplib").is_dir():
            (at / "node_modules").symlink_to(folder)
    code, _ = await _run("node", "--input-type=module", "--eval", "import 'amqplib'", at=at)
    return code == 0


async def _run(
    program: str, *arguments: str, at: Path, **environment: str
) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        cwd=at,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


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
