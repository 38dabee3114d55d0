"""`sms-worker dead`: lists, shows, replays or drops dead letters.

Rules: looking removes nothing; only `replay` (after the copy is confirmed) and `drop` (after a yes)
acknowledge a letter. Text and number are shown only with `--with-body`. `replay` needs the settings
with which a worker decodes commands: run it in a worker's environment, or beside a local stack.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer
from aio_pika.exceptions import AMQPError

from worker.app.sending import command_decoder
from worker.broker.dead import Ack, DeadQueue, dead_queue
from worker.cli.addresses import amqp_url, message_settings, mongo_url
from worker.cli.letters import COLUMNS, print_rows, row, whole
from worker.clock import SystemClock
from worker.domain.messages.message import Lane  # noqa: TC001 - typer reads annotations at run time
from worker.handlers.dead_letters import DeadLetter, Selection
from worker.handlers.replay import Replay, Replayed, Wish
from worker.ports.store import StoreUnavailable
from worker.store import messages
from worker.store.client import Database
from worker.store.replay import ReplayStore
from worker.telemetry.logs import scrub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

app = typer.Typer(
    help="Dead letters: messages that nobody will process any more.", no_args_is_help=True
)

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids that `list` shows.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters in the queue now.")]
Reason = Annotated[
    str | None,
    typer.Option(metavar="PATTERN", help="Reason: a part of it, or a pattern with * and ?."),
]
_SPAN: Final = re.compile(r"\+(\d{1,6})([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@app.command("list")
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, oldest first.")] = 200,
) -> None:
    """List dead letters, oldest first; numbers are masked."""
    with _failures():
        asyncio.run(_list(as_json=as_json, limit=limit))


@app.command()
def show(
    ident: Annotated[str, typer.Argument(metavar="ID", help="An id that `list` shows.")],
    with_body: Annotated[
        bool, typer.Option("--with-body", help="Show text and number in full.")
    ] = False,
) -> None:
    """Print everything about one dead letter."""
    with _failures():
        exists = asyncio.run(_show(Selection(frozenset({ident})), with_body=with_body))
    if not exists:
        raise _refused(f"no dead letter is called {ident}")


@app.command()
def drop(
    ids: Ids = None,
    everything: All = False,
    reason: Reason = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove dead letters for good."""
    with _failures():
        asyncio.run(_drop(_selection(ids, everything, reason), yes=yes))


@app.command()
def replay(
    ids: Ids = None,
    everything: All = False,
    reason: Reason = None,
    expires_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When the new life ends: ISO 8601 with offset, or +15m."),
    ] = None,
    lane: Annotated[
        Lane | None, typer.Option(help="Lane of letters that came through none.")
    ] = None,
    accept_duplicate: Annotated[
        bool, typer.Option("--accept-duplicate", help="Also messages a provider may have taken.")
    ] = False,
) -> None:
    """Send dead letters to their lanes again, each with a new budget of attempts.

    Exit code 1: at least one letter stays in the queue; the reason is printed.
    """
    selection = _selection(ids, everything, reason)
    wish = Wish(_moment(expires_at), lane, accept_duplicate)
    with _failures():
        left = asyncio.run(_replay(selection, wish))
    if left:
        raise typer.Exit(1)


# --- what they do ----------------------------------------------------------------------------


async def _list(*, as_json: bool, limit: int) -> None:
    rows: list[Sequence[str]] = [COLUMNS]
    async with dead_queue(amqp_url("worker")) as dead:
        total = await dead.count()
        async for letter, _ in dead.letters(limit):
            if as_json:
                typer.echo(json.dumps(letter.summary()))
            rows.append(row(letter))
    if not as_json:
        print_rows(rows)
        shown = len(rows) - 1
        typer.echo(f"{shown} dead letters" + (f", {total - shown} more" if total > shown else ""))


async def _show(selection: Selection, *, with_body: bool) -> bool:
    exists = False
    async with dead_queue(amqp_url("worker")) as dead:
        async for letter, _ in _wanted(dead, selection):
            exists = True
            typer.echo(json.dumps(whole(letter, with_body=with_body), indent=2, default=str))
    return exists


async def _drop(selection: Selection, *, yes: bool) -> None:
    async with dead_queue(amqp_url("worker")) as dead:
        meant = [(letter, ack) async for letter, ack in _wanted(dead, selection)]
        if not meant:
            raise _refused("no dead letter matches")
        for letter, _ in meant:
            typer.echo(f"{letter.name}  {letter.source}  {letter.reason}")
        # In a thread, so that the connection's heartbeats go on while the person decides.
        question = f"drop {len(meant)} for good?"
        if not yes and not await asyncio.to_thread(typer.confirm, question):
            typer.echo("nothing dropped")
            return
        for _, ack in meant:
            await ack()
    typer.echo(f"dropped {len(meant)}")


async def _replay(selection: Selection, wish: Wish) -> int:
    url, settings, clock = amqp_url("worker"), message_settings(), SystemClock()
    database = Database(mongo_url(), settings.mongo_database, timeout_s=5.0)
    done = left = 0
    try:
        async with dead_queue(url) as dead:
            again = Replay(
                decoder=command_decoder(settings),
                records=ReplayStore(database[messages.COLLECTION], clock),
                outlet=dead,
                clock=clock,
                who=urlsplit(url).username or "worker",
            )
            async for letter, ack in _wanted(dead, selection):
                result = await again(letter, wish)
                if isinstance(result, Replayed):
                    await ack()
                    done += 1
                    typer.echo(f"{letter.name}: replayed to {result.queue} ({result.note})")
                else:
                    left += 1
                    typer.echo(f"{letter.name}: not replayed: {result.why}", err=True)
    finally:
        await database.close()
    if not done + left:
        raise _refused("no dead letter matches")
    typer.echo(f"replayed {done}, left {left}")
    return left


async def _wanted(dead: DeadQueue, selection: Selection) -> AsyncIterator[tuple[DeadLetter, Ack]]:
    async for letter, ack in dead.letters():
        if selection.wants(letter):
            yield letter, ack


# --- usage -----------------------------------------------------------------------------------


def _selection(ids: list[str] | None, everything: bool, reason: str | None) -> Selection:
    if sum(map(bool, (ids, everything, reason))) != 1:
        raise typer.BadParameter("expected IDs, --all or --reason: exactly one of them")
    return Selection(frozenset(ids or ()), everything, reason)


def _moment(given: str | None) -> datetime | None:
    if given is None:
        return None
    now = datetime.now(UTC)
    if span := _SPAN.fullmatch(given):
        return now + timedelta(seconds=int(span[1]) * _UNIT_S[span[2]])
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = now.replace(tzinfo=None)
    if moment.tzinfo is None:
        raise typer.BadParameter(
            f"--expires-at: expected ISO 8601 with an offset or +15m, got {given!r}"
        )
    if moment <= now:
        raise typer.BadParameter(f"--expires-at: expected a time in the future, got {given}")
    return moment.astimezone(UTC)


@contextmanager
def _failures() -> Iterator[None]:
    """Report an error of the broker or the store in one line; unacknowledged letters go back."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output ended, such as `| head`
    except StoreUnavailable as error:
        raise _refused(f"the store is unavailable ({error})") from None
    except (AMQPError, OSError, TimeoutError) as error:
        raise _refused(f"the broker: {scrub(str(error)) or type(error).__name__}") from None


def _refused(why: str) -> typer.Exit:
    typer.echo(why, err=True)
    return typer.Exit(1)
