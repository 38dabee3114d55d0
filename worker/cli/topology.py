"""`sms-worker topology`: shows and declares what must exist on the broker.

Rules: it reads `AMQP_URL`. It declares what AMQP can declare, and says what it cannot.
"""

from __future__ import annotations

import asyncio

import typer
from aio_pika.exceptions import AMQPError

from worker.broker.connection import connect
from worker.broker.topology import DEFINITIONS_FILE, TOPOLOGY, apply
from worker.cli import configuration

app = typer.Typer(help="Exchanges, queues and bindings on the broker.", no_args_is_help=True)

_POLICIES = f"""\
AMQP can neither set nor read users, permissions and policies. Unless they are there already, import
them as the broker's administrator:
    rabbitmqctl import_definitions {DEFINITIONS_FILE}
Without these policies the broker silently drops commands with an unknown key and events that no
queue takes, and a lane has the broker's default delivery limit (4.x: 20 deliveries, then the
message is lost)."""


@app.command()
def show() -> None:
    """Print the topology; needs no broker."""
    typer.echo(TOPOLOGY.describe())


@app.command(name="apply")
def apply_command() -> None:
    """Declare the topology on the broker at AMQP_URL; twice changes nothing."""
    url = configuration.variables().get("AMQP_URL")
    if not url:
        raise typer.BadParameter("AMQP_URL: expected the broker's address, got nothing")
    try:
        asyncio.run(_apply(url))
    except (AMQPError, OSError) as error:
        typer.echo(f"topology not applied: {error}", err=True)
        raise typer.Exit(1) from error
    count = f"{len(TOPOLOGY.exchanges)} exchanges, {len(TOPOLOGY.queues)} queues"
    typer.echo(f"applied: {count}, {len(TOPOLOGY.bindings)} bindings")
    typer.echo(_POLICIES)


async def _apply(url: str) -> None:
    connection = await connect(url)
    async with connection, connection.channel() as channel:
        await apply(channel)
