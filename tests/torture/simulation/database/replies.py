"""Answers of the server as pymongo's results and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure
from pymongo.results import BulkWriteResult, UpdateResult

from tests.torture.simulation.database.errors import DUPLICATE_KEY
from tests.torture.simulation.database.statements import Outcome, Refusal

if TYPE_CHECKING:
    from tests.torture.simulation.database.statements import Written


def outcome(written: Written) -> Outcome:
    """The outcome of a single statement. Raises pymongo's error if it was refused."""
    (answer,) = written.answers
    if not isinstance(answer, Refusal):
        return answer
    details = answer.details
    kind = DuplicateKeyError if details["code"] == DUPLICATE_KEY else OperationFailure
    raise kind(details["errmsg"], details["code"], details)


def updated(done: Outcome) -> UpdateResult:
    """The result of an update or a replacement."""
    raw: dict[str, Any] = {"n": done.matched, "nModified": done.modified}
    if done.upserted is not None:
        raw |= {"n": 1, "upserted": done.upserted}
    return UpdateResult(raw, acknowledged=True)


def bulk(written: Written) -> BulkWriteResult:
    """The result of several statements. Raises `BulkWriteError` if one was refused."""
    details = _details(written)
    if details["writeErrors"]:
        raise BulkWriteError(details)
    return BulkWriteResult(details, acknowledged=True)


def _details(written: Written) -> dict[str, Any]:
    """The details of a bulk write, as the driver gives them."""
    details: dict[str, Any] = {
        "writeErrors": [],
        "writeConcernErrors": [],
        "nInserted": 0,
        "nUpserted": 0,
        "nMatched": 0,
        "nModified": 0,
        "nRemoved": 0,
        "upserted": [],
    }
    for index, each in enumerate(written.answers):
        if isinstance(each, Refusal):
            details["writeErrors"].append({"index": index, **each.details})
            continue
        details["nInserted"] += each.inserted
        details["nMatched"] += each.matched
        details["nModified"] += each.modified
        if each.upserted is not None:
            details["nUpserted"] += 1
            details["upserted"].append({"index": index, "_id": each.upserted})
    return details
