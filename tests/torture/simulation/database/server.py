"""A simulated MongoDB server: a replica set seen from outside, as a synchronous state machine.

    server = Server(clock)
    server.replication.holds_commits = True             # a majority has writes only when told
    written = server.write(namespace, statements)       # applied on the primary
    server.acknowledge(written)                         # a majority has it, and all before it
    server.fail_over()                                  # what no majority has is gone

Rules:
- Each method takes effect at once and as a whole. Nothing happens between calls: documents expire
  and secondaries catch up when `tick` is called.
- The server's clock is handed in. `$$NOW` is one time for a whole operation. Timestamps never go
  back, even if that clock does.
- What is not implemented raises `NotImplementedError` with its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bson import Timestamp

from tests.torture.simulation.database import stages, writes
from tests.torture.simulation.database.errors import ServerError
from tests.torture.simulation.database.replication import Collection, Replication, view
from tests.torture.simulation.database.sessions import Sessions, Transaction
from tests.torture.simulation.database.statements import (
    Aggregate,
    Find,
    Outcome,
    Refusal,
    Written,
)
from tests.torture.simulation.database.values import copied, date

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from tests.torture.simulation.database.values import Document
    from tests.torture.simulation.database.writes import Statement

VERSION: Final = "6.0.5"


class _Moment:
    """The server's time during one operation."""

    __slots__ = ("_server", "now")

    def __init__(self, server: Server, now: datetime) -> None:
        self._server = server
        self.now = now

    def timestamp(self) -> Timestamp:
        """See `updates.Moment`."""
        return self._server.next_timestamp(self.now)


class Server:
    """The state of a replica set.

    Args:
        clock: the server's time, UTC.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.replication = Replication()
        self._clock = clock
        self._sessions = Sessions()
        self._collections: dict[str, Collection] = {}
        self._last = Timestamp(0, 0)
        self._clients = 0

    def connect(self) -> int:
        """The number of a new client."""
        self._clients += 1
        return self._clients

    def next_timestamp(self, now: datetime) -> Timestamp:
        """A timestamp greater than all before."""
        seconds = int(now.timestamp())
        last = self._last
        self._last = (
            Timestamp(seconds, 1) if seconds > last.time else Timestamp(last.time, last.inc + 1)
        )
        return self._last

    # --- reading ---------------------------------------------------------------------------------

    def read(
        self, namespace: str, question: Find | Aggregate, *, concern: str, secondary: bool
    ) -> list[Document]:
        """Documents that answer a question, as copies."""
        documents = view(self._collection(namespace), concern=concern, secondary=secondary)
        now = self._now()
        if isinstance(question, Find):
            answer = _found(question, documents, now)
        else:
            answer = _aggregated(question, documents, now)
        return [copied(each) for each in answer]

    def command(self, name: str) -> Document:
        """Answer a command."""
        match name:
            case "ping":
                return {"ok": 1.0}
            case "buildInfo":
                return {"ok": 1.0, "version": VERSION}
            case "hello":
                primary = {"setName": "sms", "isWritablePrimary": True}
                return {"ok": 1.0, "localTime": self._now(), **primary}
        raise NotImplementedError(f"the command {name}")

    # --- writing ---------------------------------------------------------------------------------

    def write(
        self,
        namespace: str,
        statements: Sequence[Statement],
        *,
        ordered: bool = True,
        transaction: Transaction | None = None,
    ) -> Written:
        """Carry out statements on the primary; see `acknowledge`."""
        if transaction is not None:
            self._sessions.begin(transaction)
        collection, moment = self._collection(namespace), _Moment(self, self._now())
        answers: list[Outcome | Refusal] = []
        for index, statement in enumerate(statements):
            try:
                answers.append(self._carry_out(collection, statement, moment, transaction, index))
            except ServerError as error:
                answers.append(Refusal(error.details()))
                if ordered:
                    break
        return Written(answers, self.replication.term, self.replication.position)

    def _carry_out(
        self,
        collection: Collection,
        statement: Statement,
        moment: _Moment,
        transaction: Transaction | None,
        index: int,
    ) -> Outcome:
        if transaction is None:
            return writes.carry_out(statement, collection, self.replication, moment)
        done = self._sessions.outcome(transaction, index)
        if done is not None:
            return done
        before = self.replication.position
        outcome = writes.carry_out(statement, collection, self.replication, moment)
        if self.replication.position > before:
            self._sessions.note(transaction, index, self.replication.position, outcome)
        return outcome

    def acknowledge(self, written: Written) -> None:
        """See `Replication.acknowledge`."""
        self.replication.acknowledge(written.term, written.position)

    def is_acknowledged(self, written: Written) -> bool:
        """Whether a majority has the writes, and the primary is the same."""
        same = written.term == self.replication.term
        return same and self.replication.is_committed(written.position)

    # --- the replica set -------------------------------------------------------------------------

    def commit(self) -> None:
        """A majority gets all writes so far."""
        self.replication.commit()

    def fail_over(self, keeping: int = 0) -> None:
        """See `Replication.fail_over`."""
        self._sessions.undo(self.replication.fail_over(keeping))

    def tick(self) -> None:
        """Remove expired documents; the secondaries catch up."""
        now = self._now()
        for collection in self._collections.values():
            gone = [
                i for i, each in collection.newest.items() if collection.indexes.expired(each, now)
            ]
            for ident in gone:
                self.replication.write(collection, ident, None)
        self.replication.catch_up()

    # --- collections -----------------------------------------------------------------------------

    def create_index(self, namespace: str, index: Mapping[str, Any]) -> str:
        """Create an index; returns its name."""
        collection = self._collection(namespace)
        return collection.indexes.create(index, collection.newest.values())

    def collections(self, database: str) -> list[str]:
        """Names of the collections of a database."""
        prefix = f"{database}."
        return [name.removeprefix(prefix) for name in self._collections if name.startswith(prefix)]

    def drop(self, database: str) -> None:
        """Remove a database with all its collections."""
        for name in self.collections(database):
            del self._collections[f"{database}.{name}"]

    def newest(self, namespace: str) -> list[Document]:
        """The newest documents of a collection, for whoever judges, to be read alone."""
        return [*self._collection(namespace).newest.values()]

    def _collection(self, namespace: str) -> Collection:
        collection = self._collections.get(namespace)
        if collection is None:
            collection = self._collections[namespace] = Collection(namespace)
        return collection

    def _now(self) -> datetime:
        return date(self._clock())


def _found(find: Find, documents: Mapping[Any, Document], now: datetime) -> Iterable[Document]:
    matched: Iterable[Document] = writes.matches(find.query, documents, now)
    if find.order:
        matched = stages.ordered(matched, find.order)
    if find.skip or find.limit:
        end = find.skip + find.limit if find.limit else None
        matched = list(matched)[find.skip : end]
    return stages.projected(matched, find.projection, now) if find.projection else matched


def _aggregated(
    question: Aggregate, documents: Mapping[Any, Document], now: datetime
) -> list[Document]:
    """Run a pipeline; a first `$match` finds documents by their ids."""
    pipeline = question.pipeline
    if pipeline and "$match" in pipeline[0]:
        matched = writes.matches(pipeline[0]["$match"], documents, now)
        return stages.run(pipeline[1:], matched, now)
    return stages.run(pipeline, documents.values(), now)
