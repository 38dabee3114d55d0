"""The fault points: every call by which a message, a command or a report leaves a process.

Rules:
- A life can be broken only where it leaves the process: at a call to the database, the broker or a
  provider. Each such call is an operation, and each operation has its points: `before` (nothing has
  left), `sent` (of a provider's call: the request has left, its answer has not come) and `applied`
  (the server did it, the process does not know).
- Operations are named `<server>.<what>.<operation>`. A publish is named by its exchange, because
  its meaning is where it goes.
- `awaited` names the `await` of the product that leads to the operation. A test reads all of them
  in the sources (`tests/torture/processes/test_every_await.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


class Life(StrEnum):
    """Whose life an operation belongs to."""

    MESSAGE = "message"
    COMMAND = "command"
    REPORT = "report"


BEFORE: Final = "before"
SENT: Final = "sent"
APPLIED: Final = "applied"


@dataclass(frozen=True, slots=True)
class Operation:
    """A call to a server.

    Args:
        name: such as `database.messages.insert_many`.
        lives: the lives that it belongs to.
        awaited: the awaits that lead to it, each as `<source below worker/>: <what is awaited>`.
        moments: those of its points, in order.
    """

    name: str
    lives: frozenset[Life]
    awaited: tuple[str, ...]
    moments: tuple[str, ...] = (BEFORE, APPLIED)

    def points(self) -> Iterator[str]:
        """The names of its points."""
        return (f"{self.name}.{moment}" for moment in self.moments)


MESSAGE: Final = frozenset({Life.MESSAGE})
COMMAND: Final = frozenset({Life.COMMAND})
REPORT: Final = frozenset({Life.REPORT})
RECORD: Final = MESSAGE | REPORT
"""What records go through."""
_DELIVERY: Final = MESSAGE | COMMAND | REPORT
_COLLECTION: Final = "self._collection"
_TO_LIST: Final = "cursor.to_list"


def _database(
    collection: str, operation: str, lives: frozenset[Life], *awaited: str, call: str = ""
) -> Operation:
    called = call or f"{_COLLECTION}.{operation}"
    sources = tuple(f"store/{source}.py: {called}" for source in awaited)
    return Operation(f"database.{collection}.{operation}", lives, sources)


def _publish(exchange: str, lives: frozenset[Life]) -> Operation:
    awaited = "broker/publisher.py: channel.basic_publish"
    return Operation(f"broker.publish.{exchange}", lives, (awaited,))


def _broker(operation: str, awaited: str, lives: frozenset[Life] = _DELIVERY) -> Operation:
    return Operation(f"broker.{operation}", lives, (f"broker/{awaited}",))


def _provider(name: str) -> Operation:
    awaited = ("handler", "session.request", "response.content.readany")
    sources = tuple(f"providers/transport.py: {each}" for each in awaited)
    return Operation(f"provider.{name}.send", MESSAGE, sources, (BEFORE, SENT, APPLIED))


OPERATIONS: Final = (
    _database("messages", "insert_many", MESSAGE, "committer"),
    _database("messages", "bulk_write", MESSAGE, "committer", "marks"),
    _database("messages", "aggregate", RECORD, "committer", "messages", "due", call=_TO_LIST),
    _database("messages", "update_one", RECORD, "due"),
    _database("messages", "update_many", MESSAGE, "due"),
    _database("reports", "insert_one", REPORT, "reports"),
    _database("reports", "find_one", REPORT, "reports"),
    _database("reports", "update_one", REPORT, "reports"),
    _database("reports", "bulk_write", REPORT, "reports"),
    _database("reports", "find", REPORT, "reports", call="cursor"),
    _database("suppressions", "update_one", _DELIVERY, "suppressions"),
    _database(
        "suppressions",
        "aggregate",
        _DELIVERY,
        "suppressions",
        call=f"{_COLLECTION}.aggregate(pipeline).to_list",
    ),
    _database("control_log", "find", COMMAND, "control_log", call=_TO_LIST),
    _database("control_log", "insert_one", COMMAND, "control_log"),
    _publish("events", RECORD),
    _publish("retry", RECORD),
    _publish("dead", RECORD),
    _publish("state", COMMAND),
    _publish("replies", COMMAND),
    Operation("broker.publish.reports", REPORT, ("web/outlet.py: exchange.publish",)),
    _broker("consume", "consumer.py: queue.consume"),
    _broker("cancel", "consumer.py: queue.cancel"),
    _broker("ack", "consumer.py: settle"),
    _broker("nack", "consumer.py: settle"),
    _broker("reject", "consumer.py: settle"),
    _provider("africastalking"),
    _provider("legacy"),
)
"""Every operation of these lives."""

BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}
POINTS: Final = tuple(point for operation in OPERATIONS for point in operation.points())
