"""Checks once at the start that the database server has what the worker needs.

Rules: the server must be MongoDB 5.1 or later (leases need `$tsSecond`), and the primary of a
replica set or a router (majority writes, retryable writes). The version is not enough, because
services with MongoDB's protocol may claim a version and lack its features. So a record is read as a
test too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import ConfigurationError, OperationFailure

from worker.settings.versions import UnfitServerError, require
from worker.store.documents import VIEW

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE: Final = "MONGO_URL"
PRODUCT: Final = "MongoDB"
OLDEST: Final = (5, 1)
_ROUTER: Final = "isdbgrid"
_UNAUTHORIZED: Final = 13


async def check(database: Any) -> None:
    """Raise `UnfitServerError` if the server is not suitable, pymongo's error if it is away.

    Args:
        database: the driver's database; its collections need not exist.
    """
    try:
        build = await database.command("buildInfo")
        require(VARIABLE, PRODUCT, OLDEST, build.get("version"))
        require_primary(await database.command("hello"))
    except ConfigurationError as error:  # the driver itself refuses such an old server
        oldest = f"{PRODUCT} {OLDEST[0]}.{OLDEST[1]} or later"
        raise UnfitServerError(VARIABLE, oldest, "a server the driver refuses") from error
    await _try_a_read(database)


def require_primary(hello: Mapping[str, Any]) -> None:
    """Refuse a server without majority writes, by its answer to `hello`."""
    if hello.get("msg") == _ROUTER:
        return
    if not hello.get("setName"):
        raise UnfitServerError(VARIABLE, "a member of a replica set", "a server that is in none")
    if not hello.get("isWritablePrimary"):
        raise UnfitServerError(VARIABLE, "the primary of the replica set", "another member alone")


async def _try_a_read(database: Any) -> None:
    try:
        await database["messages"].aggregate([{"$match": {"_id": None}}, *VIEW]).to_list(1)
    except OperationFailure as error:
        if error.timeout or error.code == _UNAUTHORIZED:
            raise
        expected = f"what {PRODUCT} {OLDEST[0]}.{OLDEST[1]} can do"
        raise UnfitServerError(VARIABLE, expected, f"error {error.code} for a lease") from error
