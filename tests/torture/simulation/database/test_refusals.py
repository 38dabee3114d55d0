"""What the simulated database does not implement is refused by name, and never ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import DeleteOne, IndexModel, UpdateOne

from tests.torture.simulation.database.scripted import things_with
from tests.torture.simulation.database.server import Server
from tests.torture.simulation.wire import Direct

if TYPE_CHECKING:
    from collections.abc import Callable


def empty(**options: Any) -> Any:
    return things_with(Server(lambda: datetime(2027, 1, 15, 8, tzinfo=UTC)), Direct(), **options)


@pytest.fixture
async def things() -> Any:
    made = empty()
    await made.insert_one({"_id": 1, "list": [{"a": 1}], "text": "x"})
    return made


@pytest.mark.parametrize(
    "option",
    [
        {"w": 2},
        {"journal": False},
        {"readConcernLevel": "linearizable"},
        {"readPreference": "nearest"},
        {"tz_aware": False},
        {"compressors": "zlib"},
    ],
)
def test_an_option_of_a_client_that_is_not_known(option: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match=next(iter(option))):
        empty(**option)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"text": {"$regex": "x"}}, "regex"),
        ({"list": {"$elemMatch": {"a": 1}}}, "elemMatch"),
        ({"$nor": [{"text": "x"}]}, "nor"),
        ({"text": {"$gt": None}}, "null"),
        ({"$expr": {"$concat": ["$text", "y"]}}, "concat"),
        ({"$expr": {"$eq": ["$$ROOT", 1]}}, "ROOT"),
    ],
)
async def test_a_filter(things: Any, query: dict[str, Any], name: str) -> None:
    with pytest.raises(NotImplementedError, match=name):
        await things.find(query).to_list(None)


@pytest.mark.parametrize(
    ("update", "name"),
    [
        ({"$rename": {"text": "word"}}, "rename"),
        ({"$push": {"list": {"$each": [], "$slice": 1}}}, "slice"),
        ({"$currentDate": {"at": {"$type": "other"}}}, "currentDate"),
        ({"$set": {"list.0.a": 2}}, "inside an array"),
        ({"$set": {"_id": 2}}, "_id"),
        ([{"$unset": "text"}], "unset"),
        ([{"$set": {"list.a": 2}}], "each document of an array"),
    ],
)
async def test_an_update(things: Any, update: Any, name: str) -> None:
    with pytest.raises(NotImplementedError, match=name):
        await things.update_one({"_id": 1}, update)


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ({"$lookup": {}}, "lookup"),
        ({"$group": {"_id": None, "all": {"$push": "$text"}}}, "push"),
        ({"$unwind": {"path": "$list"}}, "unwind"),
        ({"$sort": {"list": 1}}, "array"),
        ({"$project": {"list.a": 1}}, "array"),
        ({"$project": {"text": 1, "list": 0}}, "excludes"),
    ],
)
async def test_a_stage(things: Any, stage: dict[str, Any], name: str) -> None:
    with pytest.raises(NotImplementedError, match=name):
        await things.aggregate([stage]).to_list(None)


@pytest.mark.parametrize(
    ("attempt", "name"),
    [
        (lambda things: things.insert_one({"text": "x"}), "without _id"),
        (lambda things: things.insert_one({"_id": True}), "boolean"),
        (lambda things: things.bulk_write([DeleteOne({})]), "DeleteOne"),
        (lambda things: things.bulk_write([UpdateOne({}, {"$set": {"a": 1}}, hint="x")]), "hint"),
        (lambda things: things.create_indexes([IndexModel("a", sparse=True)]), "sparse"),
        (lambda things: things.update_one({"$or": []}, {"$set": {"a": 1}}, upsert=True), "or"),
        (lambda things: things.database.command("serverStatus"), "serverStatus"),
    ],
)
async def test_an_operation(things: Any, attempt: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(NotImplementedError, match=name):
        await attempt(things)


async def test_an_argument_of_a_method_that_is_not_known(things: Any) -> None:
    with pytest.raises(TypeError, match="hint"):
        things.find({}, hint="x")
