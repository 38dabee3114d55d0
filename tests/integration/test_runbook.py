"""Every command of `deploy/RUNBOOK.md` is typed against a real stack, with what it shows.

Rules: the exercise comes first and in its order, because a new operator types it so. The other
chapters follow in the order of the file. `sms-worker` runs in this process, in a folder in which
`.local` is the stack's: it finds addresses as it does for a person. What another program shows
(`rabbitmqctl`, `mongosh`) is asked of the same servers.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from typer.testing import CliRunner

from tests.support import documentation as docs
from tests.support.waiting import until
from worker.cli import app
from worker.lab.local.broker import Broker
from worker.lab.local.stack import Stack
from worker.store.client import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

RUNBOOK: Final = "deploy/RUNBOOK.md"
WITHIN_S: Final = 60.0
REFUSED: Final = {
    "--yes --dry-run": "would be refused by",
    "send --id order-1": "not_routable",
    "ctl ack account ": "nothing open is called",
    "ctl step ": "refused by: time",
    "ctl retire-legacy ": "not possible in phase Rollback",
    "--reason 'failed": "no dead letter matches",
}
"""Part of a command that is refused (exit code 1) in the state that the test is in, and why."""
ASKS: Final = ("ctl alerts", "ctl status", "dead list")
"""What is shown a moment after it happened."""


NO_ROUTE: Final = '[{"action": {"do": "refuse", "code": "not_routable"}}]'


class Operator:
    """Types commands as they stand in the runbook."""

    def __init__(self, stack: Stack, own_database: str) -> None:
        self._stack = stack
        self._runner = CliRunner(env={"COLUMNS": "80", "SMS_MONGO_DATABASE": own_database})
        self._letters = 0

    async def types(self, line: str, shown: str = "") -> None:
        """Run a command; where it only asks, until it shows what the runbook says."""
        if not line.startswith("sms-worker "):
            said = await asyncio.to_thread(_shell, line)
            assert docs.missing(shown, said) == [], f"{line}: {said}"
            return
        again = any(line.startswith(f"sms-worker {each}") for each in ASKS)
        said = await self._run(line)
        async with asyncio.timeout(WITHIN_S):
            while again and docs.missing(shown, said):
                said = await self._run(line)
        assert docs.missing(shown, said) == [], f"{line}: {said}"

    async def dead_letter(self) -> str:
        """Leave one more dead letter; returns its id. Legacy has no route, and is alone."""
        self._letters += 1
        ident = f"letter-{self._letters}"
        await self._run(f"sms-worker send --id {ident} 0977123456 hello", code=1)
        await until(lambda: self._is_dead(ident), within_s=WITHIN_S)
        return ident

    async def _is_dead(self, ident: str) -> bool:
        return ident in await self._run("sms-worker dead list")

    async def _run(self, line: str, code: int | None = None) -> str:
        own = self._stack.environment if line == "sms-worker check-config" else {}
        result = await asyncio.to_thread(self._runner.invoke, app, docs.words(line), env=own)
        why = next((why for part, why in REFUSED.items() if part in line.replace('"', "'")), "")
        expected = code if code is not None else int(bool(why))
        assert result.exit_code == expected, f"{line}: {result.output}"
        assert why in docs.comparable(result.output), f"{line}: {result.output}"
        return result.output


def _shell(line: str) -> str:
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - a line of our own documentation
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def own_database() -> str:
    return f"runbook_{os.urandom(4).hex()}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the operator stands: `.local` is the stack's, `deploy` the repository's."""
    here = tmp_path_factory.mktemp("operator")
    (here / "deploy").symlink_to(docs.ROOT / "deploy")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        yield here


@pytest.fixture(scope="module")
async def stack(
    folder: Path, broker: Broker, mongo_url: str, own_database: str
) -> AsyncIterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        for user, url in broker.urls.items():
            patch.setenv(f"AMQP_URL_{user.upper()}", url)
        patch.setenv("AMQP_URL", broker.urls["worker"])
        patch.setenv("MONGO_URL", mongo_url)
        profile = {"SMS_MONGO_DATABASE": own_database}
        running = Stack(folder / ".local", replicas=2, profile=profile)
        await running.start()
    yield running
    await running.stop()


@pytest.fixture(scope="module")
def operator(stack: Stack, own_database: str) -> Operator:
    return Operator(stack, own_database)


@pytest.mark.usefixtures("empty_queues")
async def test_the_exercise_goes_as_it_is_written(operator: Operator) -> None:
    steps = docs.typed(docs.chapter(RUNBOOK, "Exercise"))
    assert len(steps) > 20
    for line, shown in steps:
        await operator.types(line, shown)


async def test_every_command_of_the_other_chapters_is_carried_out(operator: Operator) -> None:
    before, _, after = docs.read(RUNBOOK).partition("\n## Exercise\n")
    steps = docs.typed(before) + docs.typed(after.partition("\n## ")[2])
    assert len(steps) > 30
    await operator.types(f"sms-worker local fault legacy '{NO_ROUTE}'")
    for line, shown in steps:
        ident = await operator.dead_letter() if re.search(r"dead \w+ order-1", line) else ""
        await operator.types(line.replace("order-1", ident) if ident else line, shown)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nobody", "none"), 1, "nobody: expected a simulated provider that runs, got none"),
        (("legacy", '[{"action": {"do": "sleep"}}]'), 2, "action.do"),
    ],
)
@pytest.mark.usefixtures("stack")
async def test_a_fault_that_cannot_be_is_refused(
    arguments: tuple[str, str], code: int, said: str
) -> None:
    words = ["local", "fault", *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert result.exit_code == code, result.output
    assert said in result.output


async def test_what_rabbitmqctl_is_asked_the_broker_answers(broker: Broker) -> None:
    lines = {line for line in docs.on_servers(RUNBOOK) if line.startswith("rabbitmqctl ")}
    assert lines
    if not isinstance(broker, Broker):
        pytest.skip("the broker in AMQP_URL has a rabbitmqctl of its own")
    asked = (broker.rabbitmqctl(*docs.words(line)[1:]) for line in lines)
    said = "\n".join(await asyncio.gather(*asked))
    assert "sms.send.bulk" in said
    assert "Alarms" in said


async def test_what_mongosh_is_asked_the_database_answers(stack: Stack, own_database: str) -> None:
    lines = [line for line in docs.on_servers(RUNBOOK) if line.startswith("mongosh ")]
    assert lines
    store = Database(stack.mongo_url, own_database, timeout_s=5.0)
    answers = [await _ask(store, docs.words(line)[-1]) for line in lines]
    await store.close()
    assert any(isinstance(each, dict) and each.get("_id") == "order-1" for each in answers)


async def _ask(store: Database, expression: str) -> Any:
    """What a line of the shell asks, asked by the driver."""
    if expression == "rs.status()":
        status = await store.db.client.admin.command("replSetGetStatus")
        assert "PRIMARY" in {member["stateStr"] for member in status["members"]}
        return status
    call = re.fullmatch(r"db\.(\w+)\.(findOne|countDocuments)\((\{.*\})\)", expression)
    assert call is not None, f"expected one query of a collection, got {expression}"
    assert call[1] in await store.db.list_collection_names()
    query = json.loads(call[3])
    collection = store[call[1]]
    if call[2] == "findOne":
        return await collection.find_one(query)
    return await collection.count_documents(query)
