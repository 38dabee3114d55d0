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
"""What goes through the records."""
EVERY: Final = MESSAGE | COMMAND | REPORT


def _database(name: str, lives: frozenset[Life], *sources: str, awaited: str = "") -> Operation:
    """A call to a collection, `<collection>.<operation>`, from these stores."""
    called = awaited or f"self._collection.{name.partition('.')[2]}"
    return Operation(
        f"database.{name}", lives, tuple(f"store/{each}.py: {called}" for each in sources)
    )


def _broker(name: str, lives: frozenset[Life], *awaited: str) -> Operation:
    return Operation(f"broker.{name}", lives, awaited)


def _publish(exchange: str, lives: frozenset[Life]) -> Operation:
    return _broker(f"publish.{exchange}", lives, "broker/publisher.py: channel.basic_publish")


def _provider(name: str, lives: frozenset[Life], *further: str) -> Operation:
    awaited = ("handler", "session.request", "response.content.readany")
    sources = tuple(f"providers/transport.py: {each}" for each in awaited)
    return Operation(f"provider.{name}", lives, sources, (BEFORE, *further, APPLIED))


_SETTLED: Final = "broker/consumer.py: settle"
_CURSOR: Final = "cursor.to_list"
_PIPELINE: Final = "self._collection.aggregate(pipeline).to_list"

OPERATIONS: Final = (
    # The record of a message.
    _database("messages.insert_many", MESSAGE, "committer"),
    _database("messages.bulk_write", MESSAGE, "committer", "marks"),
    _database("messages.aggregate", RECORD, "committer", "messages", "due", awaited=_CURSOR),
    _database("messages.update_one", RECORD, "due"),
    _database("messages.update_many", MESSAGE, "due"),
    # A delivery report that waits for its message.
    _database("reports.insert_one", REPORT, "reports"),
    _database("reports.find_one", REPORT, "reports"),
    _database("reports.update_one", REPORT, "reports"),
    _database("reports.bulk_write", REPORT, "reports"),
    _database("reports.find", REPORT, "reports", awaited="cursor"),
    # Who wants no messages.
    _database("suppressions.update_one", EVERY, "suppressions"),
    _database("suppressions.aggregate", EVERY, "suppressions", awaited=_PIPELINE),
    # Steering, and the figures that its gates read.
    _database("control_log.find", COMMAND, "control_log", awaited=_CURSOR),
    _database("control_log.insert_one", COMMAND, "control_log"),
    _database("alerts.update_one", COMMAND, "alerts"),
    _database("alerts.aggregate", COMMAND, "alerts", awaited=_PIPELINE),
    _database("evidence.aggregate", COMMAND, "evidence", awaited=_PIPELINE),
    _database(
        "slots.aggregate", COMMAND, "slots", awaited="self._slots.aggregate(pipeline).to_list"
    ),
    # What is published, by exchange.
    _publish("events", RECORD),
    _publish("retry", RECORD),
    _publish("dead", RECORD),
    _publish("state", COMMAND),
    _publish("replies", COMMAND),
    _broker("publish.reports", REPORT, "web/outlet.py: exchange.publish"),
    # How deliveries come, and how they are settled.
    _broker("connect", EVERY, "broker/connection.py: self._opening"),
    _broker("channel", EVERY, "broker/connection.py: connection.channel"),
    _broker("qos", EVERY, "broker/consumer.py: channel.set_qos"),
    _broker("consume", EVERY, "broker/consumer.py: queue.consume"),
    _broker("cancel", EVERY, "broker/consumer.py: queue.cancel"),
    _broker("ack", EVERY, _SETTLED),
    _broker("nack", EVERY, _SETTLED),
    _broker("reject", EVERY, _SETTLED),
    # The providers: what sends, and the look at the account that a gate may ask for.
    _provider("africastalking.send", MESSAGE, SENT),
    _provider("legacy.send", MESSAGE, SENT),
    _provider("africastalking.check", COMMAND),
    _provider("legacy.check", COMMAND),
)
"""Every operation of these lives."""

BY_NAME: Final = {operation.name: operation for operation in OPERATIONS}
POINTS: Final = tuple(point for operation in OPERATIONS for point in operation.points())
