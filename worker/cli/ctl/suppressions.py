"""`sms-worker ctl suppressions`: who wants no messages, and the way back.

Rules: numbers are given as people write them and shown masked. A provider keeps a list of its own:
who is taken off ours alone is put on it again by the provider's next refusal.
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
    str | None, typer.Option("--sender", help="Of this sender id alone; default: of every one.")
]

suppressions = typer.Typer(help="Who wants no messages.", no_args_is_help=True)


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
    """Show who wants no messages; of one number everything on record."""
    reply = query(given, Suppressions, number=number, limit=limit)
    if given.as_json:
        print_json(reply)
    else:
        show(*suppressions_parts(reply))


@suppressions.command("add")
@options(Changing)
def add(given: Changing, *, number: Number, sender: Sender = None) -> None:
    """Stop messages to a recipient, by whichever provider."""
    carry_out(given, AddSuppression, "", number=number, sender_id=sender)


@suppressions.command("remove")
@options(Changing)
def remove(given: Changing, *, number: Number, sender: Sender = None) -> None:
    """Let a recipient have messages again."""
    carry_out(given, RemoveSuppression, "", number=number, sender_id=sender)


def suppressions_parts(reply: ControlReply) -> Iterator[RenderableType]:
    """One line a wish."""
    found = (reply.data or {}).get("suppressions", [])
    if not found:
        yield line("nobody is on the list")
        return
    shown = table("recipient", "sender", "messages", "told at (UTC)", "by")
    for each in found:
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
