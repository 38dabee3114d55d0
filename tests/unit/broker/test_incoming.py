"""Deliveries as the handlers see them, and how they are given back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from contracts.names import Exchange, Header, Queue
from worker.broker import consumer
from worker.broker.consumer import Consumer, to_incoming
from worker.ports.broker import Settlement
from worker.service import Background

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from worker.broker.connection import BrokerConnection
    from worker.ports.broker import Incoming

OURS = {Header.FIRST_AT: "2026-01-01T00:00:00+00:00", Header.ROUND: 2, Header.NAMELESS: True}
THEIRS = {"traceparent": "00-aa", "x-death": [{"queue": "q"}], "other": 1}


def delivery(exchange: str | None, **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "exchange": exchange, "headers": {**OURS, **THEIRS}, "body": b"{}", "redelivered": False,
        "message_id": "m-1", "type": None, "content_type": None, "correlation_id": None,
        "user_id": None, "timestamp": None, "routing_key": "send",
    }  # fmt: skip
    return SimpleNamespace(**(fields | changes))


@pytest.mark.parametrize("exchange", [Exchange.REQUEUE, Exchange.LOST, Exchange.DEAD])
def test_our_headers_count_on_what_we_published(exchange: Exchange) -> None:
    found = to_incoming(delivery(exchange.value), Queue.BULK)
    assert found.headers == {**OURS, **THEIRS}
    assert found.message_id is None


@pytest.mark.parametrize("exchange", [Exchange.COMMANDS, Exchange.REPORTS, "", None])
def test_our_headers_mean_nothing_on_what_others_published(exchange: str | None) -> None:
    found = to_incoming(delivery(exchange), Queue.BULK)
    assert found.headers == THEIRS
    assert found.message_id == "m-1"


class Given:
    """A delivery that notes how it was settled."""

    def __init__(self) -> None:
        self.settled: list[str] = []
        vars(self).update(vars(delivery("sms.commands")))

    async def ack(self) -> None:
        self.settled.append("ack")

    async def nack(self) -> None:
        self.settled.append("nack")

    async def reject(self, *, requeue: bool) -> None:
        self.settled.append("requeued by reject" if requeue else "rejected")


async def broken(_: Incoming) -> Settlement:
    raise RuntimeError("a bug")


def settles(settlement: Settlement) -> Callable[[Incoming], Awaitable[Settlement]]:
    async def handler(_: Incoming) -> Settlement:
        return settlement

    return handler


@pytest.mark.parametrize(
    ("handler", "settled"),
    [
        (settles(Settlement.ACK), "ack"),
        (settles(Settlement.REQUEUE), "nack"),
        (broken, "requeued by reject"),
    ],
    ids=["settled", "handed back", "failed"],
)
async def test_the_broker_counts_what_our_code_fails_on_and_not_what_is_handed_back(
    handler: Callable[[Incoming], Awaitable[Settlement]],
    settled: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "RETRY_S", 0)
    no_link = cast("BrokerConnection", None)
    made = Consumer(no_link, Background(), "q", prefetch=1, handler=handler, grace_s=1)
    given = Given()
    await made._handle(set(), cast("Any", given))
    assert given.settled == [settled]
