"""Renews the screen of `ctl status --watch`.

Rules: a screen that could not be renewed says since when, so that nobody takes old figures for
present ones.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from contracts.control import Status
from worker.broker.control_client import NoAnswer
from worker.cli.ctl.screen import status_parts
from worker.cli.ctl.views import console, line, print_json, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from contracts.control import ControlReply
    from worker.broker.control_client import ControlClient


async def watch(client: ControlClient, every_s: float, within_s: float, *, as_json: bool) -> None:
    """Show the status again and again, until cancelled.

    A terminal shows one screen that is renewed; any other output gets one block after another.
    """
    if as_json or not sys.stdout.isatty():
        await _watch_plain(client, every_s, within_s, as_json=as_json)
        return
    last: ControlReply | None = None
    with Live(console=console(), screen=True, auto_refresh=False) as live:
        while True:
            trouble = None
            try:
                last = await client.ask(Status(command_id=str(uuid4())), within_s)
            except NoAnswer as error:
                trouble = str(error)
            live.update(Group(*_screen(last, trouble)), refresh=True)
            await asyncio.sleep(every_s)


def _screen(last: ControlReply | None, trouble: str | None) -> Iterator[RenderableType]:
    now = datetime.now(UTC)
    if last is None:
        yield line(trouble or "asking")
        return
    if trouble is not None:
        yield line(f"NOT RENEWED since {last.at:%H:%M:%S} UTC: {trouble}", "bold red")
    else:
        yield line(f"{now:%H:%M:%S} UTC", "dim")
    if last.verdict == "refused":
        yield line(f"{last.code}: {last.text}", "bold red")
        return
    yield from status_parts(last)


async def _watch_plain(
    client: ControlClient, every_s: float, within_s: float, *, as_json: bool
) -> None:
    while True:
        try:
            reply = await client.ask(Status(command_id=str(uuid4())), within_s)
        except NoAnswer as error:
            typer.echo(str(error), err=True)
        else:
            if as_json:
                print_json(reply)
            else:
                show(*_screen(reply, None), Text())
        sys.stdout.flush()
        await asyncio.sleep(every_s)
