"""Servers that are too old, or are another product, are named at start."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import ConfigurationError, ExecutionTimeout, OperationFailure, PyMongoError

from worker.broker import server as broker
from worker.settings.versions import UnfitServerError, require
from worker.store import server as store


@pytest.mark.parametrize("got", ["5.1", "5.1.0", "5.1.0-rc0", "6.0.5", "10.0.1"])
def test_a_version_from_the_oldest_on_is_taken(got: str) -> None:
    require("MONGO_URL", "MongoDB", (5, 1), got)


@pytest.mark.parametrize(
    "got", ["5.0.31", "4.4.29", "3.6", "5", "", "v6.0", "6.x", None, 6.0, b"6"]
)
def test_an_older_version_or_none_is_refused(got: object) -> None:
    with pytest.raises(UnfitServerError):
        require("MONGO_URL", "MongoDB", (5, 1), got)


def test_the_refusal_names_the_variable_what_was_expected_and_what_came() -> None:
    with pytest.raises(UnfitServerError) as refused:
        require("MONGO_URL", "MongoDB", (5, 1), "4.4.29")
    expected = "MONGO_URL: expected MongoDB 5.1 or later, got version '4.4.29'"
    assert str(refused.value) == expected


@pytest.mark.parametrize("version", ["3.10.8", "3.13.7+rc.1", "4.0.5", b"4.3.0", "4.1.0-alpha.17"])
def test_a_rabbitmq_from_3_10_on_is_taken(version: object) -> None:
    broker.check({"product": "RabbitMQ", "version": version})


@pytest.mark.parametrize(
    ("properties", "got"),
    [
        ({"product": "RabbitMQ", "version": "3.9.29"}, "version '3.9.29'"),
        ({"product": "RabbitMQ", "version": b"3.8.2"}, "version '3.8.2'"),
        ({"product": "RabbitMQ"}, "version None"),
        ({"product": "LavinMQ", "version": "5.0.0"}, "product 'LavinMQ'"),
        ({}, "product None"),
    ],
)
def test_another_broker_is_refused_by_name(properties: dict[str, object], got: str) -> None:
    with pytest.raises(UnfitServerError) as refused:
        broker.check(properties)
    assert str(refused.value) == f"AMQP_URL: expected RabbitMQ 3.10 or later, got {got}"


@pytest.mark.parametrize(
    "hello", [{"setName": "rs0", "isWritablePrimary": True}, {"msg": "isdbgrid"}]
)
def test_a_primary_and_a_router_are_taken(hello: dict[str, object]) -> None:
    store.require_primary(hello)


@pytest.mark.parametrize(
    ("hello", "expected"),
    [
        ({"isWritablePrimary": True}, "a member of a replica set"),
        ({}, "a member of a replica set"),
        ({"setName": "rs0", "isWritablePrimary": False}, "the primary of the replica set"),
        ({"setName": "rs0", "secondary": True}, "the primary of the replica set"),
    ],
)
def test_a_server_that_takes_no_majority_writes_is_refused(
    hello: dict[str, object], expected: str
) -> None:
    with pytest.raises(UnfitServerError, match=f"^MONGO_URL: expected {expected}"):
        store.require_primary(hello)


class FakeDatabase:
    """Answers commands; reading a record fails where it is told to."""

    def __init__(self, version: str | PyMongoError, read: PyMongoError | None = None) -> None:
        self.version = version
        self.read = read
        self.hello = {"setName": "rs0", "isWritablePrimary": True}

    async def command(self, name: str) -> dict[str, Any]:
        if isinstance(self.version, PyMongoError):
            raise self.version
        return {"version": self.version} if name == "buildInfo" else self.hello

    def __getitem__(self, name: str) -> FakeDatabase:
        return self

    def aggregate(self, _: object) -> FakeDatabase:
        return self

    async def to_list(self, _: int) -> list[object]:
        if self.read is not None:
            raise self.read
        return []


async def test_a_server_that_is_new_enough_and_reads_a_record_is_taken() -> None:
    await store.check(FakeDatabase("6.0.5"))


async def test_an_old_server_is_refused_before_it_is_asked_anything_else() -> None:
    too_old = FakeDatabase("4.4.29", OperationFailure("no such operator", 168))
    with pytest.raises(UnfitServerError, match=r"expected MongoDB 5\.1 or later, got version"):
        await store.check(too_old)


async def test_a_server_the_driver_refuses_is_named_too() -> None:
    refused = FakeDatabase(ConfigurationError("reports wire version 6"))
    with pytest.raises(UnfitServerError, match=r"^MONGO_URL: expected MongoDB 5\.1 or later"):
        await store.check(refused)


async def test_an_imitation_that_cannot_judge_a_lease_is_refused() -> None:
    imitation = FakeDatabase("7.0.0", OperationFailure("Unrecognized expression", 168))
    with pytest.raises(UnfitServerError, match=r"MongoDB 5\.1 can do, got error 168 for a lease"):
        await store.check(imitation)


@pytest.mark.parametrize(
    "error", [OperationFailure("not authorized", 13), ExecutionTimeout("too slow", 50)]
)
async def test_a_login_without_rights_or_a_slow_answer_is_told_as_it_is(
    error: OperationFailure,
) -> None:
    with pytest.raises(OperationFailure) as told:
        await store.check(FakeDatabase("6.0.5", error))
    assert told.value is error
