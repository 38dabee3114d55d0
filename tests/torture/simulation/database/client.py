"""The simulated database as motor's client, as far as `worker.store` uses it.

    partial(Client, server, wire)   builds the client that `Database(client=...)` wants

Rules:
- Names, arguments, results and errors are motor's. An argument that is not known raises.
- `requests` is what is sent, `replies` what comes back.
- A cursor asks once, for all documents.
- The address does not matter: there is one server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult

from tests.torture.simulation.database import replies, requests
from tests.torture.simulation.database.calls import Calls
from tests.torture.simulation.database.cursor import Cursor
from tests.torture.simulation.database.options import options as read_options
from tests.torture.simulation.database.statements import (
    Aggregate,
    Delete,
    Find,
    Insert,
    Replace,
    Update,
)
from tests.torture.simulation.database.values import carried, carried_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymongo import IndexModel
    from pymongo.results import BulkWriteResult, UpdateResult

    from tests.torture.simulation.database.server import Server
    from tests.torture.simulation.database.statements import Outcome
    from tests.torture.simulation.database.values import Document
    from tests.torture.simulation.database.writes import Statement
    from tests.torture.simulation.wire import Wire


class Client:
    """Motor's client.

    Args:
        server: simulated.
        wire: from this process to it.
        address: has no meaning here.
        options: as motor takes them.
    """

    def __init__(self, server: Server, wire: Wire, address: str, **options: Any) -> None:
        self.address = address
        self.calls = Calls(server, wire, read_options(**options))

    def __getitem__(self, name: str) -> DatabaseOfClient:
        """A database."""
        return DatabaseOfClient(self, name)

    async def drop_database(self, name: str) -> None:
        """Remove a database."""
        server = self.calls.server
        await self.calls.ask("drop_database", lambda: server.drop(name))

    def close(self) -> None:
        """Do nothing: there are no sockets."""


class DatabaseOfClient:
    """Motor's database."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self._collections: dict[str, Collection] = {}

    def __getitem__(self, name: str) -> Collection:
        """A collection."""
        return self._collections.setdefault(name, Collection(self, name))

    async def command(self, name: str) -> Document:
        """Ask the server about itself."""
        calls = self.client.calls
        return await calls.ask(f"command.{name}", lambda: calls.server.command(name))

    async def list_collection_names(self) -> list[str]:
        """Names of the collections."""
        calls = self.client.calls
        return await calls.ask("list", lambda: calls.server.collections(self.name))


class Collection:
    """Motor's collection."""

    def __init__(self, database: DatabaseOfClient, name: str) -> None:
        self.database = database
        self.name = name
        self._calls = database.client.calls
        self._namespace = f"{database.name}.{name}"

    # --- reading ---------------------------------------------------------------------------------

    def find(
        self,
        query: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | None = None,
    ) -> Cursor:
        """Documents that match."""
        return self._cursor("find", Find(requests.query(query), projection))

    def aggregate(self, pipeline: Sequence[Mapping[str, Any]], *, maxTimeMS: int = 0) -> Cursor:  # noqa: N803 - motor's
        """What a pipeline makes of the documents."""
        del maxTimeMS  # the work takes no time
        return self._cursor("aggregate", Aggregate(carried_all(pipeline)))

    async def find_one(
        self,
        query: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | None = None,
    ) -> Document | None:
        """The first document that matches."""
        cursor = self._cursor("find_one", Find(requests.query(query), projection, limit=1))
        return next(iter(await cursor.to_list(None)), None)

    async def count_documents(self, query: Mapping[str, Any]) -> int:
        """How many documents match."""
        cursor = self._cursor("count_documents", Find(requests.query(query), {"_id": 1}))
        return len(await cursor.to_list(None))

    def _cursor(self, name: str, question: Find | Aggregate) -> Cursor:
        return Cursor(self._calls, f"{self.name}.{name}", self._namespace, question)

    # --- writing ---------------------------------------------------------------------------------

    async def insert_one(self, document: Mapping[str, Any]) -> InsertOneResult:
        """Insert a document."""
        statement = Insert(carried(document))
        await self._one("insert_one", statement)
        return InsertOneResult(statement.document["_id"], acknowledged=True)

    async def insert_many(
        self, documents: Sequence[Mapping[str, Any]], *, ordered: bool = True
    ) -> InsertManyResult:
        """Insert documents."""
        statements = [Insert(carried(each)) for each in documents]
        await self._many("insert_many", statements, ordered=ordered)
        return InsertManyResult([each.document["_id"] for each in statements], acknowledged=True)

    async def bulk_write(self, given: Sequence[Any], *, ordered: bool = True) -> BulkWriteResult:
        """Carry out several writes."""
        statements = [requests.statement(each) for each in given]
        return await self._many("bulk_write", statements, ordered=ordered)

    async def update_one(
        self, query: Mapping[str, Any], update: Any, *, upsert: bool = False
    ) -> UpdateResult:
        """Change the first document that matches."""
        statement = Update(requests.query(query), requests.update(update), upsert)
        return replies.updated(await self._one("update_one", statement))

    async def update_many(self, query: Mapping[str, Any], update: Any) -> UpdateResult:
        """Change all documents that match."""
        statement = Update(requests.query(query), requests.update(update), many=True)
        return replies.updated(await self._one("update_many", statement, retryable=False))

    async def find_one_and_update(
        self,
        query: Mapping[str, Any],
        update: Any,
        *,
        sort: Sequence[tuple[str, int]] = (),
    ) -> Document | None:
        """Change the first document that matches; returns it as it was before."""
        statement = Update(
            requests.query(query), requests.update(update), order=sort, returned=True
        )
        return (await self._one("find_one_and_update", statement)).before

    async def replace_one(
        self, query: Mapping[str, Any], document: Mapping[str, Any], *, upsert: bool = False
    ) -> UpdateResult:
        """Replace the first document that matches."""
        statement = Replace(requests.query(query), carried(document), upsert)
        return replies.updated(await self._one("replace_one", statement))

    async def delete_one(self, query: Mapping[str, Any]) -> DeleteResult:
        """Delete the first document that matches."""
        outcome = await self._one("delete_one", Delete(requests.query(query)))
        return DeleteResult({"n": outcome.deleted}, acknowledged=True)

    async def create_indexes(self, indexes: Sequence[IndexModel]) -> list[str]:
        """Create indexes."""
        documents = [carried(each.document) for each in indexes]
        server = self._calls.server
        return await self._calls.ask(
            f"{self.name}.create_indexes",
            lambda: [server.create_index(self._namespace, each) for each in documents],
        )

    async def _one(self, name: str, statement: Statement, *, retryable: bool = True) -> Outcome:
        written = await self._calls.write(
            f"{self.name}.{name}", self._namespace, [statement], retryable=retryable
        )
        return replies.outcome(written)

    async def _many(
        self, name: str, statements: Sequence[Statement], *, ordered: bool
    ) -> BulkWriteResult:
        written = await self._calls.write(
            f"{self.name}.{name}", self._namespace, statements, ordered=ordered
        )
        return replies.bulk(written)
