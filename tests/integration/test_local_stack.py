"""The local broker, database and stack: real processes, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import aio_pika
import pytest
from aiormq.exceptions import AuthenticationError, ProbableAuthenticationError
from pymongo import AsyncMongoClient

from contracts.names import Queue
from tests.support.waiting import until
from worker.lab.local.database import Database
from worker.lab.local.process import LocalError, answers
from worker.lab.local.record import StackRecord, read_record
from worker.lab.local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from worker.lab.local.broker import Broker

ROOT = Path(__file__).parents[2]
WITHIN_S = 60.0
PARTS = {"epmd", "rabbitmq", "mongod", "africastalking", "legacy", "webhook", "console"}


@pytest.fixture
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """No addresses in the environment: the stack starts its own parts."""
    for name in list(os.environ):
        if name == "MONGO_URL" or name.startswith("AMQP_URL"):
            monkeypatch.delenv(name)


async def start_up(directory: Path, *options: str) -> asyncio.subprocess.Process:
    """`sms-worker local up` as a process; its output goes to a file, as a pipe may fill."""
    with (directory / "up.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "local", "up"),
            *("--directory", str(directory / "stack"), *options),
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def recorded(directory: Path, owner: asyncio.subprocess.Process) -> StackRecord:
    """The record of the stack that `owner` started, as soon as it is ready."""

    def ready() -> bool:
        record = read_record(directory / "stack")
        return record is not None and record.ready and record.owner.pid == owner.pid

    await until(ready, WITHIN_S)
    record = read_record(directory / "stack")
    assert record is not None
    return record


async def all_gone(record: StackRecord) -> None:
    """Wait until no child of the stack runs."""
    await until(lambda: not any(process.id.alive() for process in record.processes), WITHIN_S)


def names(record: StackRecord) -> set[str]:
    return {process.name for process in record.processes}


async def test_every_user_logs_in_with_his_own_password(broker: Broker) -> None:
    for url in broker.urls.values():
        await (await aio_pika.connect(url)).close()


async def test_a_wrong_password_is_refused(broker: Broker) -> None:
    wrong = broker.urls["worker"].replace("worker:", "worker:x")
    with pytest.raises((AuthenticationError, ProbableAuthenticationError)):
        await aio_pika.connect(wrong)


async def test_the_database_takes_majority_writes(mongo_url: str, database_name: str) -> None:
    async with AsyncMongoClient(mongo_url) as client:
        collection = client[database_name].get_collection("x")
        await collection.insert_one({"_id": 1})
        assert await collection.count_documents({}) == 1
        await client.drop_database(database_name)


async def test_the_database_keeps_its_data_when_killed(tmp_path: Path) -> None:
    database = Database(tmp_path)
    await database.start()
    try:
        url = database.url
        async with AsyncMongoClient(url, w="majority", journal=True) as client:
            await client["kept"].get_collection("x").insert_one({"_id": 1})
        await database.kill()
        await database.start()
        assert database.url == url
        async with AsyncMongoClient(url) as client:
            assert await client["kept"].get_collection("x").count_documents({}) == 1
    finally:
        await database.stop()


@pytest.fixture(scope="module")
async def stack(
    tmp_path_factory: pytest.TempPathFactory,
    broker: Broker,
    mongo_url: str,
) -> AsyncIterator[Stack]:
    """A stack with one replica on the session's broker and database."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MONGO_URL", mongo_url)
        environment.setenv("AMQP_URL", broker.urls["worker"])
        for user, url in broker.urls.items():
            environment.setenv(f"AMQP_URL_{user.upper()}", url)
        directory = tmp_path_factory.mktemp("stack")
        async with Stack(directory, replicas=1, console=True) as running:
            yield running


async def test_a_stack_uses_the_addresses_it_is_given(
    stack: Stack, broker: Broker, mongo_url: str
) -> None:
    assert (stack.broker, stack.database) == (None, None)
    assert (stack.amqp, stack.mongo_url) == (broker.urls, mongo_url)


async def test_a_stack_that_started_is_ready(stack: Stack) -> None:
    assert await answers(stack.http["replica-1"] + "/ready")
    assert await answers(stack.http["webhook"] + "/live")
    assert await answers(stack.http["console"] + "/login")
    record = read_record(stack.directory)
    assert record is not None
    assert record.ready
    assert names(record) == {"africastalking", "legacy", "webhook", "console", "replica-1"}


async def test_a_second_stack_in_the_same_directory_is_refused(stack: Stack) -> None:
    with pytest.raises(LocalError, match=r"runs in .* already"):
        await Stack(stack.directory).start()
    assert await answers(stack.http["replica-1"] + "/ready")


async def test_replicas_come_and_are_killed(stack: Stack) -> None:
    second = await stack.add_replica()
    assert await answers(stack.http["replica-2"] + "/ready")
    await stack.kill(1)
    assert await second.wait() == -signal.SIGKILL
    assert not await answers(stack.http["replica-2"] + "/live")


async def test_a_stack_that_stopped_leaves_nothing(
    tmp_path: Path, broker: Broker, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGO_URL", mongo_url)
    monkeypatch.setenv("AMQP_URL", broker.urls["worker"])
    async with Stack(tmp_path, replicas=0) as stack:
        record = read_record(stack.directory)
    assert record is not None
    await all_gone(record)
    assert read_record(tmp_path) is None


@pytest.mark.usefixtures("nothing_given")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_up_stops_cleanly_on(number: signal.Signals, tmp_path: Path) -> None:
    up = await start_up(tmp_path, "--replicas", "1")
    record = await recorded(tmp_path, up)
    assert names(record) == PARTS | {"replica-1"}
    connection = await aio_pika.connect(record.amqp["worker"])
    async with connection, connection.channel() as channel:
        await channel.declare_queue(Queue.TRANSACTIONAL, passive=True)
    up.send_signal(number)
    assert await up.wait() == 0
    await all_gone(record)
    assert read_record(tmp_path / "stack") is None


@pytest.mark.usefixtures("nothing_given")
async def test_a_killed_up_leaves_no_process_and_the_next_one_starts(tmp_path: Path) -> None:
    up = await start_up(tmp_path, "--replicas", "0")
    record = await recorded(tmp_path, up)
    up.kill()
    await up.wait()
    await all_gone(record)
    await until(lambda: not processes_about(tmp_path), WITHIN_S)
    again = await start_up(tmp_path, "--replicas", "0")
    fresh = await recorded(tmp_path, again)
    down = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "local", "down"),
        *("--directory", str(tmp_path / "stack")),
        cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await down.wait() == 0
    assert await down.wait() == 0
    assert await again.wait() == 0
    await all_gone(fresh)


@pytest.mark.usefixtures("nothing_given")
async def test_up_interrupted_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    up = await start_up(tmp_path)
    log = tmp_path / "stack" / "broker" / "logs" / "rabbitmq.log"
    await until(log.exists, WITHIN_S)
    up.send_signal(signal.SIGINT)
    assert await up.wait() == 0
    assert processes_about(tmp_path) == []


def processes_about(directory: Path) -> list[bytes]:
    """Command lines and environments of running processes that name `directory`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            about = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if str(directory).encode() in about:
                found.append(about)
    return found
