"""Lays out the answers to queries.

Rules: figures that a worker adds later are shown without a change here.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from contracts.control_views import GateView
from worker.cli.ctl.views import (
    facts,
    gate_table,
    line,
    plain,
    side_by_side,
    table,
    words,
)
from worker.domain.migration.replicas import short_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from contracts.control import ControlReply
    from contracts.control_views import StateView

_SHOWN_ELSEWHERE: Final = ("replicas", "providers", "next", "advance", "monitor")


def status_parts(reply: ControlReply) -> Iterator[RenderableType]:
    """Yield state, providers, replicas, and the moves upwards with their gates."""
    data = reply.data or {}
    if reply.state is None:
        yield Text("nothing is in force yet: start a worker first")
    else:
        yield from _state(reply.state)
    rest = {name: value for name, value in data.items() if name not in _SHOWN_ELSEWHERE}
    if rest:
        yield facts((words(name), value) for name, value in rest.items())
    if providers := data.get("providers"):
        yield Text()
        shown = side_by_side(providers, "providers in the last hour", only_some=True)
        yield shown if shown.row_count else Text("no traffic in the last hour")
    yield from _monitor(data.get("monitor"))
    yield Text()
    yield _replicas(data.get("replicas") or [], reply.version)
    yield from _move("next", data.get("next"), reply.gates)
    yield from _advance(data.get("advance"), reply.gates)


def _state(state: StateView) -> Iterator[RenderableType]:
    other = state.share is not None and state.share != state.percentage
    sent = f"  (sent to the target: {state.share} %)" if other else ""
    yield line(f"{state.phase}  {state.percentage} %{sent}", "bold")
    pairs = [
        ("version", state.version),
        ("phase since", state.started_at),
        ("share since", state.since),
        ("by", state.initiated_by),
        ("phase before", state.previous_phase),
        ("way back", "legacy is enabled" if state.is_rollback_available else "none"),
        ("automation", _automation(state)),
        ("locked", state.locked),
        ("proposal", state.proposal),
    ]
    yield facts((name, value) for name, value in pairs if value is not None)


def _automation(state: StateView) -> str:
    if not state.held:
        return "not held"
    why = f" by {state.held_reason}" if state.held_reason else ""
    return f"held until resume{why}"


def _replicas(replicas: Sequence[Mapping[str, Any]], version: int | None) -> RenderableType:
    shown = table(
        "replica", "applied", "oldest unsent", "in hand", "consuming", "breakers", "seen",
        title=f"replicas: {len(replicas)} live{_software(replicas)}",
    )  # fmt: skip
    for each in replicas:
        applied = each.get("applied")
        late = version is not None and (applied is None or applied < version)
        cells = (each.get("oldestUnsent"), each.get("inHand"), each.get("consuming"))
        age = each.get("ageS")
        shown.add_row(
            short_id(str(each.get("replica", ""))),
            line(plain(applied) + (" (behind)" if late else ""), "yellow" if late else ""),
            *map(plain, cells),
            _breakers(each.get("breakers") or {}, each.get("faults") or {}),
            "-" if age is None else f"{age:.1f} s ago",
        )
    return shown


def _software(replicas: Sequence[Mapping[str, Any]]) -> str:
    """Return the versions of the program that run; how many of each, if there are several."""
    versions = Counter(str(each["software"]) for each in replicas if each.get("software"))
    if not versions:
        return ""
    if len(versions) == 1 and versions.total() == len(replicas):
        return f", version {next(iter(versions))}"
    counted = (f"{count} of version {version}" for version, count in sorted(versions.items()))
    return f", {', '.join(counted)}"


def _monitor(seen: Mapping[str, Any] | None) -> Iterator[RenderableType]:
    """Yield the monitor's last look, why it holds (if it does), and how near the alarms are."""
    if not seen:
        return
    yield Text()
    looked_at = datetime.fromisoformat(str(seen["lookedAt"]))
    yield line(f"monitor, looked at {looked_at:%Y-%m-%d %H:%M:%S} UTC", "bold")
    if holding := seen.get("holding"):
        yield line(str(holding), "yellow")
    for signal, figures in (seen.get("evidence") or {}).items():
        yield line(f"{signal}: {plain(figures)}")


def _breakers(states: Mapping[str, str], faults: Mapping[str, str]) -> str:
    """Return the breakers that are not closed, each with the fault of our account, if any."""
    other = [
        f"{name} {state}" + (f" ({faults[name]})" if name in faults else "")
        for name, state in states.items()
        if state != "closed"
    ]
    return ", ".join(other) or "all closed"


def _move(
    title: str, move: Mapping[str, Any] | None, gates: Sequence[GateView], which: str = ""
) -> Iterator[RenderableType]:
    """Yield a move upwards, what it still misses, and the gates its command asks."""
    if not move:
        return
    shut = plain(move.get("shut") or "nothing; the move is allowed")
    yield Text()
    yield line(f"{title}: {move.get('command')} to {move.get('to')}", "bold")
    yield line(f"missing: {shut}")
    if gates:
        yield line(f"gates that `ctl {move.get('command')}` asks{which}:", "dim")
        yield gate_table(gates)


def _advance(move: Mapping[str, Any] | None, known: Sequence[GateView]) -> Iterator[RenderableType]:
    """Yield the move of `advance` where it is not the next one, with what it asks otherwise."""
    gates = [GateView.model_validate(each) for each in (move or {}).get("gates", ())]
    others = [each for each in gates if each not in known]
    which = ", where they differ from those above" if len(others) < len(gates) else ""
    yield from _move("further", move, others, which)


def answer_parts(reply: ControlReply) -> Iterator[RenderableType]:
    """Yield any answer: providers side by side, the rest line by line."""
    data = reply.data or {}
    if reply.text:
        yield line(reply.text)
    flat = {name: value for name, value in data.items() if not _is_columns(value)}
    if flat:
        yield facts((words(name), value) for name, value in flat.items())
    for name, value in data.items():
        if _is_columns(value):
            yield side_by_side(value, words(name))


def _is_columns(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(each, dict) for each in value.values())
    )


def history_parts(entry: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield the lines of one entry of the control log."""
    command = entry.get("command") or {}
    time = str(entry.get("at") or "")[:19].replace("T", " ")
    verdict = entry.get("verdict")
    number, user, name, to, version = map(
        plain, (entry.get("number"), entry.get("user"), command.get("name"), entry.get("to"),
                entry.get("version")),
    )  # fmt: skip
    dry = "  (dry run: nothing was changed)" if command.get("dryRun") else ""
    head = f"{number}  {time}  {user}  {name}  {plain(verdict)}{dry}"
    yield line(head, "" if verdict == "accepted" else "yellow")
    yield line(f"    {entry.get('from') or 'nothing'} -> {to}, version {version}")
    shares = entry.get("shareBefore"), entry.get("shareAfter")
    if None not in shares and shares[0] != shares[1]:
        yield line(f"    sent to the target: {shares[0]} % -> {shares[1]} %")
    if who := command.get("recipient"):
        yield line(f"    {who}, sender {command.get('senderId') or 'every one'}")
    if reason := command.get("reason"):
        yield line(f"    reason: {reason}")
    if override := command.get("overrideGates"):
        yield line(f"    gates overridden: {override}")
    if (dry or verdict != "accepted") and entry.get("text"):
        yield line(f"    {entry['text']}")
