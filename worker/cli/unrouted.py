"""`sms-worker unrouted`: counts the messages that the broker could route to no queue.

Rules: looking removes nothing. The count is the length of a queue whose policy keeps one hour and
10,000 events. So it is the number of events of the last hour that nobody took; at 10,000 it means
"at least".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated, Final

import typer
from aio_pika.exceptions import AMQPError

from contracts.names import Queue
from worker.broker.dead import dead_queue, ready
from worker.broker.unrouted import sample
from worker.cli.addresses import amqp_url
from worker.telemetry.logs import scrub

_KEPT: Final = 10_000


def unrouted(
    most: Annotated[
        int, typer.Option("--sample", min=1, max=_KEPT, help="How many events to look at.")
    ] = 500,
) -> None:
    """Count the events of the last hour that no consumer was bound to take."""
    try:
        asyncio.run(_count(most))
    except (AMQPError, OSError, TimeoutError) as error:
        typer.echo(f"the broker: {scrub(str(error)) or type(error).__name__}", err=True)
        raise typer.Exit(1) from None


async def _count(most: int) -> None:
    async with dead_queue(amqp_url("worker")) as broker:
        events = await ready(broker.channel, Queue.UNROUTED_EVENTS)
        commands = await ready(broker.channel, Queue.UNROUTED_COMMANDS)
        names: Counter[str] = Counter(await sample(broker.channel, most))
    at_least = "at least " if events >= _KEPT else ""
    typer.echo(f"events of the last hour that nobody took: {at_least}{events}")
    seen = sum(names.values())
    note = "" if seen >= events else f"  (of the oldest {seen})"
    for name, count in names.most_common():
        typer.echo(f"  {name:<16} {count}{note}")
    if commands:
        typer.echo(f"commands with an unknown key, not processed yet: {commands}")
