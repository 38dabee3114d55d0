"""The view "History": every entry of the control log, with who, what and why.

Rules: pure. Dry runs are hidden unless they are asked for. Gates that were passed all the same are
said in words. Texts are those of the worker and of people, and are escaped where they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from contracts.control_views import GateView
from worker.console import wording
from worker.console.steering.conflicts import what, who
from worker.console.steering.gate_lines import GateLine, gate_lines
from worker.domain.migration.reply_codes import ReplyCode
from worker.domain.migration.snapshot import AUTOMATIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from contracts.answers import LogEntryView

PAGE: Final = 50
"""Entries on one page."""
_SHARED: Final = frozenset(
    {"name", "commandId", "issuedAt", "reason", "expectedVersion", "dryRun", "overrideGates"}
)
_LONGEST_VALUE: Final = 300


class Show(StrEnum):
    """Which entries are shown."""

    ALL = "all"
    PERSON = "person"
    AUTOMATIC = "automatic"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are shown."""

    show: Show = Show.ALL
    dry_runs: bool = False

    def takes(self, entry: LogEntryView) -> bool:
        """Whether an entry is shown."""
        if is_dry(entry) and not self.dry_runs:
            return False
        match self.show:
            case Show.ALL:
                return True
            case Show.PERSON:
                return entry.user != AUTOMATIC
            case Show.AUTOMATIC:
                return entry.user == AUTOMATIC
            case Show.REFUSED:
                return entry.verdict == "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry."""

    number: int
    at: datetime | None
    who: str
    is_automatic: bool
    what: str
    change: str
    """From where to where; empty: nothing moved."""
    reason: str
    verdict: str
    is_refused: bool
    text: str
    """The worker's text of a refusal, else empty."""
    overridden: str
    """Why gates were passed all the same; empty: none were."""
    shut: tuple[str, ...]
    """The gates that were passed all the same, by name."""
    gates: tuple[GateLine, ...]
    evidence: tuple[tuple[str, str], ...]
    """Evidence behind a decision of automation, by name."""
    fields: tuple[tuple[str, str], ...]
    """What else the command said, by name."""
    version: int
    command_id: str


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """The view."""

    rows: tuple[Row, ...]
    filter: Filter
    older: int | None
    """Entries before this one come next; None: there are none."""
    trouble: str = ""
    """Why the entries are not known, or not all; empty: they are."""


def filter_of(query: Mapping[str, str]) -> Filter:
    """Read the filter from an address; what is unknown shows everything."""
    shown = query.get("show", "")
    return Filter(Show(shown) if shown in set(Show) else Show.ALL, dry_runs=query.get("dry") == "1")


def before_of(query: Mapping[str, str]) -> int | None:
    """The entry before which the page begins; None: at the newest."""
    text = query.get("before", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None  # noqa: PLR2004 - 64 bit


def is_dry(entry: LogEntryView) -> bool:
    """Whether it changed nothing because nothing was asked for."""
    return entry.code == ReplyCode.DRY_RUN or entry.command.get("dryRun") is True


def rows(entries: Iterable[LogEntryView]) -> tuple[Row, ...]:
    """The rows of entries."""
    return tuple(map(_row, entries))


def _row(entry: LogEntryView) -> Row:
    command, refused = entry.command, entry.verdict == "refused"
    gates = gate_lines(tuple(_gates(entry.gates)))
    overridden = str(command.get("overrideGates") or "")
    return Row(
        number=entry.number,
        at=entry.at,
        who=who(entry.user),
        is_automatic=entry.user == AUTOMATIC,
        what=_asked(entry) if refused or is_dry(entry) else what(entry),
        change=_change(entry),
        reason=str(command.get("reason") or ""),
        verdict=_verdict(entry),
        is_refused=refused,
        text=entry.text or "" if refused or is_dry(entry) else "",
        overridden=overridden,
        shut=tuple(line.name for line in gates if not line.open) if overridden else (),
        gates=gates,
        evidence=tuple(_pairs(entry.evidence)),
        fields=tuple(_pairs({k: v for k, v in command.items() if k not in _SHARED})),
        version=entry.version,
        command_id=str(command.get("commandId") or ""),
    )


def _asked(entry: LogEntryView) -> str:
    """What was asked for and not done: the name of the command in words."""
    return str(entry.command.get("name", "")).replace("-", " ")


def _change(entry: LogEntryView) -> str:
    if entry.share_before is not None and entry.share_after is not None:
        before, after = f"{entry.share_before} %", f"{entry.share_after} %"
        if before != after:
            return f"{before} → {after}"
    if entry.from_ is None:
        return f"begins: {_described(entry.to)}"
    if entry.from_ != entry.to:
        return f"{_described(entry.from_)} → {_described(entry.to)}"
    return ""


def _described(place: str) -> str:
    """`GradualMigration 25 %` in words."""
    phase, _, share = place.partition(" ")
    return f"{wording.phase(phase)} {share}"


_VERDICTS: Final[Mapping[str, str]] = {
    str(ReplyCode.OK): "done",
    str(ReplyCode.UNCHANGED): "nothing to do",
    str(ReplyCode.PROPOSED): "proposed",
    str(ReplyCode.DRY_RUN): "dry run",
    str(ReplyCode.HELD): "holds",
    str(ReplyCode.STEPPED_BACK): "done",
    str(ReplyCode.ROLLED_BACK): "done",
}


def _verdict(entry: LogEntryView) -> str:
    if entry.verdict == "refused":
        return f"refused: {entry.code}" if entry.code else "refused"
    return _VERDICTS.get(entry.code or "", "done")


def _gates(gates: Iterable[Mapping[str, Any]]) -> Iterator[GateView]:
    """The gates of an entry; one that an older or newer version wrote otherwise is left out."""
    for each in gates:
        try:
            yield GateView.model_validate(each)
        except ValidationError:
            continue


def _pairs(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        yield str(name), str(value)[:_LONGEST_VALUE]
