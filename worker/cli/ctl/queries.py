"""`sms-worker ctl`: commands that only ask.

Rules: a query never changes anything and has its own queue, so it never delays a command.
`history --json` prints the entries of the control log as JSON lines, newest first.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.control import Comparison, Explain, Health, History, Status
from worker.broker.control_client import ControlClient, NotAllowed
from worker.cli.addresses import amqp_url
from worker.cli.ctl.ask import REFUSED, fail, query
from worker.cli.ctl.reports import comparison_parts, health_parts
from worker.cli.ctl.screen import answer_parts, history_parts, status_parts
from worker.cli.ctl.views import print_json, show
from worker.cli.ctl.watch import watch
from worker.cli.options import Asking, options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import RenderableType

    from contracts.control import ControlReply

    Parts = Callable[[ControlReply], Iterable[RenderableType]]

Hours = Annotated[
    float, typer.Option(min=0.01, max=24 * 366, help="Length of the period, which ends now.")
]
_PAGE = 200


@options(Asking)
def status(
    given: Asking,
    *,
    follow: Annotated[
        bool, typer.Option("--watch", "-w", help="Renew the screen until Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between updates with --watch.")
    ] = 1.0,
) -> None:
    """Show phase, percentage, providers, replicas, and the gates of `step` and `advance`."""
    if follow:
        _watch(given, every)
        return
    reply = query(given, Status)
    if given.as_json:
        print_json(reply)
    else:
        show(*status_parts(reply))


def _watch(given: Asking, every: float) -> None:
    async def run() -> None:
        async with ControlClient(amqp_url(given.login)) as client:
            await watch(client, every, given.timeout, as_json=given.as_json)

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return
    except NotAllowed as error:
        fail(str(error), REFUSED)


@options(Asking)
def health(given: Asking, *, hours: Hours = 1.0) -> None:
    """Show figures of both providers over a period, what is out of bounds and what is unknown."""
    _print(given, query(given, Health, hours=hours), health_parts)


@options(Asking)
def comparison(given: Asking, *, hours: Hours = 1.0) -> None:
    """Compare target and legacy over a period: differences, cost and savings."""
    _print(given, query(given, Comparison, hours=hours), comparison_parts)


@options(Asking)
def explain(
    given: Asking,
    *,
    to: Annotated[str, typer.Argument(metavar="NUMBER", help="Recipient, as people write it.")],
    user: Annotated[str | None, typer.Option(help="userId of the message.")] = None,
    branch: Annotated[int | None, typer.Option(help="branchId of the message.")] = None,
) -> None:
    """Show which provider a message would go to now, and why."""
    _print(given, query(given, Explain, to=to, user_id=user, branch_id=branch), answer_parts)


@options(Asking)
def history(
    given: Asking,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many entries, newest first.")] = 20,
    everything: Annotated[
        bool, typer.Option("--all", help="All entries, back to the first.")
    ] = False,
) -> None:
    """Show who changed what and why; with --json, one entry per line."""
    entries = _entries(given, sys.maxsize if everything else limit)
    if given.as_json:
        for entry in entries:
            typer.echo(json.dumps(entry, ensure_ascii=False))
    else:
        for entry in entries:
            show(*history_parts(entry))


def _entries(given: Asking, wanted: int) -> Iterator[dict[str, Any]]:
    before: int | None = None
    while wanted > 0:
        reply = query(given, History, limit=min(wanted, _PAGE), before=before)
        page = (reply.data or {}).get("entries", [])
        yield from page
        wanted -= len(page)
        if not page or page[-1]["number"] <= 1:
            return
        before = page[-1]["number"]


def _print(given: Asking, reply: ControlReply, parts: Parts) -> None:
    if given.as_json:
        print_json(reply)
    else:
        show(*parts(reply))


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (status, health, comparison, history, explain):
        app.command(command.__name__)(command)
