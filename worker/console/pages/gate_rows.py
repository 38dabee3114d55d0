"""The section "Gates to the next step": the shut ones first, with what is missing and how long.

Rules: at most `MOST` rows; the rest is named in one line. A shut gate always has a row before an
open one. Too little data is a verdict of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console import wording
from worker.console.pages.parts import Tone, When
from worker.console.pages.upcoming import missing, shut
from worker.domain.migration.gate_names import GateName

if TYPE_CHECKING:
    from datetime import datetime

    from contracts.control_views import GateView
    from worker.console.pages.facts import Facts
    from worker.console.pages.parts import Line

MOST: Final = 9
_ICONS: Final = {
    "pass": ("✓", Tone.OK),
    "fail": ("✕", Tone.BAD),
    "not enough data": ("…", Tone.WARN),
    "not applicable": ("–", Tone.UNKNOWN),
}


@dataclass(frozen=True, slots=True)
class GateRow:
    """A gate."""

    id: str
    name: str
    icon: str
    tone: Tone
    verdict: str
    is_open: bool
    required: str
    measured: Line
    missing: str
    full: str
    """Required and measured as the worker words them."""


@dataclass(frozen=True, slots=True)
class Gates:
    """The section."""

    title: str
    open: int
    rows: tuple[GateRow, ...]
    rest: str
    """Names of the gates without a row; empty: every gate has one."""
    total: int
    nothing: str
    """Why there are none; empty: there are."""


def gates(facts: Facts) -> Gates:
    """The gates of the next move."""
    closed = shut(facts)
    ordered = (*closed, *(gate for gate in facts.gates if gate not in closed))
    most = MOST if len(ordered) <= MOST else MOST - 1
    rest = [wording.gate(gate.gate, facts.legacy) for gate in ordered[most:]]
    state = "open" if len(closed) <= most else "shut or open"
    move = facts.next
    return Gates(
        title="Gates to the next phase" if move and move.command == "advance" else _TITLE,
        open=len(facts.gates) - len(closed),
        rows=tuple(_row(gate, facts) for gate in ordered[:most]),
        rest=f"and {len(rest)} more that are {state}: {', '.join(rest)}" if rest else "",
        total=len(facts.gates),
        nothing="" if ordered else _nothing(facts),
    )


_TITLE: Final = "Gates to the next step"


def _nothing(facts: Facts) -> str:
    return "There is no move upwards from here." if facts.status else "Not known yet."


def _row(gate: GateView, facts: Facts) -> GateRow:
    icon, tone = _ICONS[gate.verdict]
    is_open = gate.verdict in {"pass", "not applicable"}
    return GateRow(
        id=gate.gate.replace(" ", "-"),
        name=wording.gate(gate.gate, facts.legacy),
        icon=icon,
        tone=tone,
        verdict=wording.VERDICTS[gate.verdict],
        is_open=is_open,
        required=wording.measure(gate.required),
        measured=_measured(gate, facts),
        missing="" if is_open else _missing(gate, facts),
        full=f"Required: {gate.required}. Measured: {gate.measured}.",
    )


def _measured(gate: GateView, facts: Facts) -> Line:
    if gate.gate == GateName.LOCK and gate.verdict == "fail":
        until = _end_of_lock(gate, facts)
        return ("until ", When(until)) if until else ("locked",)
    return (wording.measure(gate.measured),)


def _missing(gate: GateView, facts: Facts) -> str:
    if gate.gate != GateName.LOCK:
        return missing(gate)
    return "ends by itself, or unlock" if _end_of_lock(gate, facts) else "a person must unlock"


def _end_of_lock(gate: GateView, facts: Facts) -> datetime | None:
    """The end of the lock that this gate is shut for; None: it is not, or a person must lift it."""
    lock = facts.state.lock if facts.state else None
    return lock.until if lock and gate.gate == GateName.LOCK and gate.verdict == "fail" else None
