"""Makes the answer to the query `series`: both providers over time, and the changes of the share.

Rules: the cost depends on the period and never on the traffic. Only what changed the share or the
phase is listed: neither dry runs nor refusals. Of very many changes the newest are kept, and a long
reason is cut, because a chart has no room for more and an answer is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from contracts.answers import ProviderSeries, SeriesAnswer, ShareChange
from worker.domain.figures import series
from worker.domain.migration.direction import share
from worker.monitoring.shown import shown_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from worker.domain.figures.periods import SlotSums
    from worker.domain.figures.series import Period, SlotFigures
    from worker.domain.migration.control_log import LogEntry
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.clock import Clock
    from worker.ports.steering import ControlLog

    class Slots(Protocol):
        """Sums of every replica."""

        async def series(self, shown: Period, names: Sequence[str]) -> list[SlotSums]:
            """The slots of a chart. Raises `StoreUnavailable`."""
            ...


MOST_CHANGES: Final = 60
LONGEST_REASON: Final = 100
_CUT: Final = "…"


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Both providers over time.

    Args:
        slots: sums of every replica.
        log: the control log.
        target: provider id.
        legacy: provider id.
        clock: time.
    """

    slots: Slots
    log: ControlLog
    target: str
    legacy: str
    clock: Clock

    async def last_hours(self, hours: float) -> SeriesAnswer:
        """What the query asks for. Raises `StoreUnavailable`."""
        shown = series.period(hours, self.clock.now().timestamp())
        since, until = (datetime.fromtimestamp(at, UTC) for at in (shown.since, shown.until))
        rows = await self.slots.series(shown, series.COUNTED)
        found = series.laid_out(rows, shown, (self.target, self.legacy))
        moves = (await self.log.moves(since, MOST_CHANGES))[::-1]
        at_start = await self.log.state_on(since) or _first(moves)
        return SeriesAnswer(
            since=since,
            until=until,
            slot_s=shown.scale.slot_s,
            providers={provider: _columns(slots) for provider, slots in found.items()},
            target=self.target,
            legacy=self.legacy,
            share=share(at_start) if at_start else 0,
            changes=[*_changes(moves)],
        )


def _columns(slots: Sequence[SlotFigures]) -> ProviderSeries:
    return ProviderSeries(
        attempts=[each.attempts for each in slots],
        accepted=[each.accepted for each in slots],
        errors=[each.errors for each in slots],
        delivered=[each.delivered for each in slots],
        judged=[each.judged for each in slots],
        assigned=[each.assigned for each in slots],
        p50_ms=[shown_time(each.p50_ms) for each in slots],
        p95_ms=[shown_time(each.p95_ms) for each in slots],
    )


def _first(moves: Sequence[LogEntry]) -> Snapshot | None:
    """The state before the oldest move, or after it where it begins the log."""
    return (moves[0].before or moves[0].after) if moves else None


def _changes(entries: Sequence[LogEntry]) -> Iterator[ShareChange]:
    for entry in entries:
        before = entry.before
        if before is None or entry.at is None:
            continue
        if (before.phase, share(before)) == (entry.after.phase, share(entry.after)):
            continue
        yield ShareChange(
            at=entry.at,
            number=entry.number,
            user=entry.user,
            command=str(entry.command.get("name", "")),
            share_before=share(before),
            share_after=share(entry.after),
            phase=str(entry.after.phase),
            reason=_shortened(entry.command.get("reason")),
        )


def _shortened(reason: object) -> str | None:
    if not isinstance(reason, str):
        return None
    if len(reason) <= LONGEST_REASON:
        return reason
    return reason[: LONGEST_REASON - len(_CUT)].rstrip() + _CUT
