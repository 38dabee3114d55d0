"""Reads in the sources what the lives of messages, commands and reports wait for.

Rules: every `await`, `async with` and `async for` of these sources leads to an operation of the
registry (`tests.torture.points`), or to a coroutine of one of these sources, or stands in `WAITS`
with its reason. A name alone says that something is a coroutine of ours, unless it is called on
something of a library: that must be in a table.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from tests.torture.points import OPERATIONS
from worker.lab.local.parts import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER: Final = ROOT / "worker"
SOURCES: Final = (
    # handlers
    *(f"handlers/{name}.py" for name in (
        "choose", "consent", "delivery_report_matcher", "delivery_reports", "intents", "lost",
        "message_events", "middleware", "provider_call", "round_end", "running", "send", "settle",
        "sweep", "unrouted",
    )),
    # a command, and what its gates ask for
    *(f"control/{name}.py" for name in (
        "authenticate", "commands", "consents", "deciding", "translate",
    )),
    "monitoring/measures.py", "monitoring/account_answer.py",
    # edges
    *(f"store/{name}.py" for name in (
        "alerts", "committer", "control_log", "due", "evidence", "marks", "messages", "reports",
        "slots", "suppressions", "writer",
    )),
    "broker/connection.py", "broker/consumer.py", "broker/publisher.py", "broker/suspects.py",
    *(f"providers/{name}.py" for name in (
        "africastalking", "answer", "guard", "http_gateway", "limiter", "transport",
    )),
    "telemetry/traced_provider.py",
    # a callback, as far as its publish
    "web/bodies.py", "web/outlet.py", "web/reports.py",
    "service.py",
)  # fmt: skip
"""The sources through which these lives lead, below `worker/`."""

_INSIDE: Final = "a coroutine of these sources that was handed in"
_TASK: Final = "another task of ours, whose own awaits are read here"
_LOCAL: Final = "a lock, queue or event of this process"
_LOCALLY: Final = "the library answers from memory"
_FIGURES: Final = "figures and notices: no life waits for them"
WAITS: Final = {
    "asyncio.sleep": "a pause",
    "asyncio.timeout": "bounds what is inside",
    "asyncio.wait": _TASK,
    "asyncio.gather": _TASK,
    "asyncio.shield": _TASK,
    "handlers/choose.py: self.snapshots.fresh": "the state in force, which a task of its own reads",
    "handlers/middleware.py: handler": _INSIDE,
    "handlers/sweep.py: work": _INSIDE,
    "control/authenticate.py: handler": _INSIDE,
    "control/deciding.py: self.measures": _INSIDE,
    "monitoring/measures.py: self._evidence_of": _INSIDE,
    "monitoring/measures.py: self._slots.sum": "a coroutine of store/slots.py",
    "store/writer.py: self._commit": _INSIDE,
    "store/writer.py: waiting.done": _TASK,
    "store/marks.py: self._runner": _TASK,
    "store/slots.py: summed": "a chart of the console",
    "store/slots.py: self._slots.bulk_write": _FIGURES,
    "store/slots.py: self._slots.create_indexes": "the start",
    "store/slots.py: self._daily.create_indexes": "the start",
    "store/slots.py: self._daily.bulk_write": _FIGURES,
    "store/slots.py: collection.update_many": _FIGURES,
    "store/evidence.py: self._collection.update_one": _FIGURES,
    "store/alerts.py: self._collection.find_one_and_update": _FIGURES,
    "broker/connection.py: used.close": "the end of a connection, after all lives",
    "broker/connection.py: self._up.wait": _LOCAL,
    "broker/connection.py: self._closed.wait": _LOCAL,
    "broker/connection.py: self._unblocked.wait": _LOCAL,
    "broker/connection.py: connection.connect": "inside `self._opening`",
    "broker/connection.py: connection.close": "what could not be opened",
    "broker/consumer.py: self._handler": _INSIDE,
    "broker/consumer.py: self._changed.wait": _LOCAL,
    "broker/consumer.py: self._consuming.wait": _LOCAL,
    "broker/consumer.py: channel.get_underlay_channel": _LOCALLY,
    "broker/consumer.py: channel.get_queue": _LOCALLY,
    "broker/consumer.py: channel.close": "a channel that failed",
    "broker/publisher.py: attempt": _INSIDE,
    "broker/publisher.py: other.wait": _LOCAL,
    "broker/publisher.py: self._opening": _LOCAL,
    "broker/publisher.py: self._turns.alone() if trial.accused else self._turns.shared()": _LOCAL,
    "broker/publisher.py: self._channel.get_underlay_channel": _LOCALLY,
    "broker/suspects.py: self._one": _LOCAL,
    "broker/suspects.py: self._all": _LOCAL,
    "broker/suspects.py: self._all.wait_for": _LOCAL,
    "providers/limiter.py: waiter": _LOCAL,
    "providers/transport.py: request.aread": _LOCALLY,
    "providers/transport.py: session.close": "the end of an account's connections",
    "web/outlet.py: self._opening": _LOCAL,
    "web/outlet.py: self._channel.get_exchange": _LOCALLY,
    "web/bodies.py: request.stream": "a callback that is not taken yet: its provider repeats it",
    "service.py: step": _INSIDE,
    "service.py: tick": _INSIDE,
    "service.py: stopping.wait": _LOCAL,
}
"""What is waited for without a fault point, by source and text, and why."""

_LIBRARY: Final = frozenset(
    {"asyncio", "channel", "collection", "connection", "cursor", "exchange", "message", "queue"}
    | {"request", "response", "session", "_channel", "_collection", "_daily", "_real", "_slots"}
)
"""Names of things that belong to a library, or may."""


def in_source(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of everything that is awaited in a source."""
    for node in ast.walk(ast.parse(text)):
        for awaited in _awaited(node):
            called = awaited.func if isinstance(awaited, ast.Call) else awaited
            yield awaited.lineno, ast.unparse(called)


def _awaited(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Await(value=value):
            return [value]
        case ast.AsyncFor(iter=value):
            return [value]
        case ast.comprehension(iter=value, is_async=1):
            return [value]
        case ast.AsyncWith(items=items):
            return [item.context_expr for item in items]
    return []


def coroutines(text: str) -> set[str]:
    """Names of the coroutines that a source defines."""
    tree = ast.walk(ast.parse(text))
    return {node.name for node in tree if isinstance(node, ast.AsyncFunctionDef)}


def ours() -> set[str]:
    """Names of all coroutines of the sources."""
    return set().union(*(coroutines((WORKER / source).read_text()) for source in SOURCES))


def explained_by(source: str, awaited: str, names: set[str]) -> str | None:
    """Why an await is in order: a key of a table, or the name of a coroutine; None: it is not."""
    for key in (f"{source}: {awaited}", awaited):
        if key in KNOWN:
            return key
    *receivers, name = awaited.split(".")
    foreign = bool(receivers) and receivers[-1].split("(")[0] in _LIBRARY
    return name if name in names and not foreign else None


KNOWN: Final = frozenset(WAITS) | {
    awaited for operation in OPERATIONS for awaited in operation.awaited
}
"""All that the two tables explain."""
