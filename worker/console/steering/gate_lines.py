"""The gates of a command as a dialog shows them.

Rules: pure. Too little data is never shown as open. Shut gates stand first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.console import wording

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contracts.control_views import GateView

_MARKS: Final[Mapping[str, str]] = {
    "pass": "✓",
    "fail": "✕",
    "not enough data": "…",
    "not applicable": "–",
}
_OPEN: Final = frozenset({"pass", "not applicable"})


@dataclass(frozen=True, slots=True)
class GateLine:
    """One gate."""

    name: str
    required: str
    measured: str
    mark: str
    verdict: str
    """In words, because a mark alone is not read aloud."""
    missing: str
    """What is missing and how long that takes; empty: nothing, or not known."""
    open: bool


def gate_lines(gates: Sequence[GateView]) -> tuple[GateLine, ...]:
    """One line for each gate, the shut ones first."""
    return tuple(sorted(map(_line, gates), key=lambda line: line.open))


def shut_in_words(lines: Sequence[GateLine]) -> str:
    """How many gates are shut, and which: `2 of 13 gates are shut: Success, Lock.`."""
    shut = [line.name for line in lines if not line.open]
    if not shut:
        return ""
    verb = "is" if len(shut) == 1 else "are"
    return f"{len(shut)} of {len(lines)} gates {verb} shut: {', '.join(shut)}."


def _line(gate: GateView) -> GateLine:
    return GateLine(
        name=wording.gate(gate.gate),
        required=wording.measure(gate.required),
        measured=wording.measure(gate.measured),
        mark=_MARKS[gate.verdict],
        verdict=wording.VERDICTS[gate.verdict],
        missing=gate.missing or "",
        open=gate.verdict in _OPEN,
    )
