"""`sms-worker ctl alerts` and `ack`: show alerts, and acknowledge one.

Rules: open alerts stand above those that are over. The beginning of an id, as shown, is enough to
name an alert.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from contracts.control import Ack, Alerts
from worker.cli.ctl.ask import carry_out, query
from worker.cli.ctl.views import line, plain, print_json, show
from worker.cli.options import Asking, Changing, options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from contracts.control import ControlReply

_STYLE: Final = {"critical": "bold red", "warning": "yellow"}


@options(Asking)
def alerts(given: Asking) -> None:
    """Show open alerts of all replicas, and those of the last day."""
    reply = query(given, Alerts)
    if given.as_json:
        print_json(reply)
    else:
        show(*alerts_parts(reply))


@options(Changing)
def ack(
    given: Changing,
    *,
    alert: Annotated[
        str,
        typer.Argument(
            metavar="ALERT", help="Its code, or the beginning of its id that `alerts` shows."
        ),
    ],
    provider: Annotated[
        str | None, typer.Option(help="Its provider, if several alerts of that code are open.")
    ] = None,
) -> None:
    """Acknowledge an alert: people are not notified of it again until it is over."""
    carry_out(given, Ack, "", alert=alert, provider=provider)


def alerts_parts(reply: ControlReply) -> Iterator[RenderableType]:
    """Yield open troubles first, then troubles that are over and events, newest first."""
    listed = (reply.data or {}).get("alerts", [])
    still = [each for each in listed if each.get("open")]
    past = [each for each in listed if not each.get("open")]
    yield line(f"open: {len(still)}" if still else "nothing is open", "bold")
    for each in still:
        yield from _alert(each, reply.at)
    if past:
        yield Text()
        yield line("within the last day", "bold")
    for each in past:
        yield from _alert(each, reply.at)


def _alert(each: Mapping[str, Any], now: datetime) -> Iterator[RenderableType]:
    about = f" ({each['provider']})" if each.get("provider") else ""
    style = _STYLE.get(each.get("severity", ""), "") if each.get("open") else ""
    head = f"{str(each.get('id', ''))[:8]}  {each.get('severity')}  {each.get('code')}{about}"
    yield line(f"{head}  {_when(each, now)}", style)
    yield line(f"    {each.get('reason')}")
    evidence = each.get("evidence") or {}
    if evidence:
        yield line(f"    {plain(evidence)}")
    if taken := each.get("acknowledged"):
        yield line(f"    acknowledged by {taken['by']} at {_at(taken['at'])}: {taken['reason']}")
    if each.get("open") and each.get("suggestedCommand"):
        yield line(f"    what may help: {each['suggestedCommand']}")


def _when(each: Mapping[str, Any], now: datetime) -> str:
    since = each.get("since")
    parts = [f"since {_at(since, now)}" if each.get("open") else _at(since, now)]
    if over := each.get("overAt"):
        parts[0] += f" to {_at(over, now)}"
    if each.get("count", 1) > 1:
        parts.append(f"{each['count']} times")
    if replicas := len(each.get("seenBy") or ()):
        parts.append(f"{replicas} replicas" if replicas > 1 else "1 replica")
    return ", ".join(parts)


def _at(moment: str | None, now: datetime | None = None) -> str:
    """Format a time in UTC, without the date if it is today."""
    if moment is None:
        return "-"
    time = datetime.fromisoformat(moment)
    today = now is not None and time.date() == now.date()
    return f"{time:%H:%M:%S}" if today else f"{time:%Y-%m-%d %H:%M:%S}"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("alerts")(alerts)
    app.command("ack")(ack)
