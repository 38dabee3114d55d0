"""The simulated database does what mongod does, with the filters and updates of our stores.

Rules: both are given the same random operations through the same API, one after the other. Each
time they must say the same, and then hold the same documents, in the order of their fields. Times
of the servers' own clocks count as the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, Timestamp
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.results import BulkWriteResult, UpdateResult

from tests.integration.random_operations import IDS, Draw

if TYPE_CHECKING:
    from worker.store.client import Database

OPERATIONS = 50


def plain(value: Any) -> Any:
    """A value that equals another only if both servers call them the same."""
    if isinstance(value, dict):
        return [(name, plain(each)) for name, each in value.items()]
    if isinstance(value, list):
        return ["list", *map(plain, value)]
    if isinstance(value, Timestamp | datetime):
        moment = value.as_datetime() if isinstance(value, Timestamp) else value
        return type(value).__name__, "now" if _lately(moment) else value
    if isinstance(value, int) and not isinstance(value, bool):
        return "whole", int(value)
    return type(value).__name__, value.to_decimal() if isinstance(value, Decimal128) else value


def _lately(value: datetime) -> bool:
    return abs(value - datetime.now(UTC)) < timedelta(hours=1)


async def said(collection: Any, name: str, arguments: tuple[Any, ...], options: Any) -> Any:
    """What a server says to an operation."""
    try:
        result = await getattr(collection, name)(*arguments, **options)
    except BulkWriteError as error:
        refused = [(each["index"], each["code"]) for each in error.details["writeErrors"]]
        return refused, _counts(error.details)
    except OperationFailure as error:
        return "refused", error.code
    if isinstance(result, UpdateResult):
        return result.matched_count, result.modified_count, result.upserted_id
    if isinstance(result, BulkWriteResult):
        return _counts(result.bulk_api_result)
    return plain(result) if isinstance(result, dict) else None


def _counts(details: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if name.startswith(("n", "up"))}


async def read(collection: Any, pipeline: list[Any]) -> Any:
    """What a server makes of a pipeline; groups have no order."""
    try:
        documents = [plain(each) for each in await collection.aggregate(pipeline).to_list(None)]
    except OperationFailure:
        return "refused"
    return sorted(documents, key=repr) if "$group" in pipeline[-1] else documents


async def count(collection: Any, query: Any) -> Any:
    """How many documents match, or that the server refuses the filter."""
    try:
        return await collection.count_documents(query)
    except OperationFailure:
        return "refused"


async def everything(collection: Any) -> list[Any]:
    return [plain(each) for each in await collection.find({}).sort("_id").to_list(None)]


@pytest.mark.parametrize("seed", range(4))
async def test_random_operations_do_the_same_on_both(
    mongod_empty: Database, simulated_empty: Database, seed: int
) -> None:
    draw = Draw(Random(seed))
    real, simulated = mongod_empty["things"], simulated_empty["things"]
    before = [draw.document(ident) for ident in IDS[:8]]
    await real.insert_many(before)
    await simulated.insert_many(before)
    for _ in range(OPERATIONS):
        write, query, pipeline = draw.write(), draw.filter(), draw.pipeline()
        assert await said(simulated, *write) == await said(real, *write), (write, before)
        stored = await everything(real)
        assert await everything(simulated) == stored, (write, before)
        assert await count(simulated, query) == await count(real, query), (query, stored)
        assert await read(simulated, pipeline) == await read(real, pipeline), (pipeline, stored)
        before = stored
