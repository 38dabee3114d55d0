"""`sms-worker ctl suppressions`: lists, adds and removes recipients who want no messages.

Rules: numbers are given as people write them and shown masked. A provider keeps its own list. If a
recipient is removed from our list only, the provider's next refusal adds the recipient again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.control import AddSuppression, RemoveSuppression, Suppressions
from worker.cli.ctl.ask import carry_out, query
from worker.cli.ctl.views import line, print_json, show, table
from worker.cli.options import Asking, Changing, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from contracts.control import ControlReply

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="Recipient, as people write it.")]
Sender = Annotated[
    str | None, typer.Option("--sender", help="Only for this sender id; default: for every sender.")
]

suppressions = typer.Typer(help="Recipients who want no messages.", no_args_is_help=True)


@suppressions.command("list")
@options(Asking)
def list_(
    given: Asking,
    *,
    number: Annotated[
        str | None, typer.Argument(metavar="[NUMBER]", help="One recipient; default: the newest.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Recipients, newest first.")] = 50,
) -> None:
    """Show who wants no messages; for one number, show all that is recorded."""
    reply = query(given, Suppressions, number=number, limit=limit)
    if given.as_json:
        print_json(reply)
    else:
        show(*suppressions_parts(reply))


@suppressions.command("add")
@options(Changing)
def add(given: Changing, *, number: Number, sender: Sender = None) -> None:
    """Stop messages to a recipient through every provider."""
    carry_out(given, AddSuppression, "", number=number, sender_id=sender)


@suppressions.command("remove")
@options(Changing)
def remove(given: Changing, *, number: Number, sender: Sender = None) -> None:
    """Allow messages to a recipient again."""
    carry_out(given, RemoveSuppression, "", number=number, sender_id=sender)


def suppressions_parts(reply: ControlReply) -> Iterator[RenderableType]:
    """Yield a table with one line for each wish."""
    wishes = (reply.data or {}).get("suppressions", [])
    if not wishes:
        yield line("nobody is on the list")
        return
    shown = table("recipient", "sender", "messages", "since (UTC)", "by")
    for each in wishes:
        shown.add_row(*map(line, _cells(each)))
    yield shown


def _cells(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(each.get("recipient")),
        str(each.get("sender") or "every sender"),
        "stopped" if each.get("stopped") else "wanted again",
        str(each.get("at", ""))[:19].replace("T", " "),
        str(each.get("source", "")),
    )


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(suppressions, name="suppressions")
