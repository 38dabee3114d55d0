"""Calls by the slot in which they began.

Rules: an outage can show at once at one provider and after half a minute at the other, whose calls
end by a timeout. What became known in one tick is then about calls of different times. A cohort
holds calls of both providers that began at the same time, those under way among them. Nothing of a
call younger than `GRACE_S` is counted, neither its success nor its failure. A cohort older than
`SETTLED_AFTER_S` has no calls under way any more: whatever comes of them comes too late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.domain.detection.likelihood import EventCounts
from worker.domain.figures.periods import SLOT_S

if TYPE_CHECKING:
    from collections.abc import Iterable

GRACE_S: Final = 2.0
SETTLED_AFTER_S: Final = 45.0
"""Deadline, connecting, and a margin, from the start of the slot on."""
WRITTEN_AFTER_S: Final = 2.0
"""By when every replica has written what it knows of a moment."""
KEPT: Final = 6
"""Cohorts of a tick."""
WORST_S: Final = 60.0
"""A cohort in which legacy may have done badly taints what follows for so long."""
_FEW: Final = 2
"""So many of legacy's calls may fail in a cohort of any size."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to one provider that began in one slot, as far as they are known."""

    ok: int = 0
    failed: int = 0
    """By the provider's fault or without an answer; a recipient's counts once a day."""
    slow: int = 0
    """Of `ok`."""
    skipped: int = 0
    """Not begun, because the breaker was open."""
    open: int = 0
    """Under way for `GRACE_S` or longer."""
    refused: int = 0
    """By the fault of the recipient or the message."""


NONE: Final = Calls()


@dataclass(frozen=True, slots=True)
class ReplicaCalls:
    """Eligible calls of one replica that began in one slot."""

    replica: str
    """Id of its process start."""
    failed: int = 0
    """Of those to the target, passed over for an open breaker too; so are the two below."""
    ok: int = 0
    open: int = 0
    """Under way for `GRACE_S` or longer."""
    legacy_failed: int = 0
    """Of those to legacy, passed over for an open breaker too."""
    legacy_ok: int = 0


@dataclass(frozen=True, slots=True)
class Cohort:
    """Calls that began in one slot."""

    start: float
    """Seconds since the epoch."""
    target: Calls = NONE
    """Eligible ones; so are those of `legacy`."""
    legacy: Calls = NONE
    legacy_all: Calls = NONE
    """Every call to legacy, fallbacks and probes too."""
    replicas: tuple[ReplicaCalls, ...] = ()
    """The eligible ones by replica, in the order of their ids; empty: not recorded."""

    def began_before(self, moment: float | None) -> bool:
        """Whether it did; no where there is no such moment."""
        return moment is not None and self.start < moment

    def is_old(self, now: float) -> bool:
        """Whether nothing of it is waited for any more."""
        return now >= self.start + SETTLED_AFTER_S

    def is_settled(self, now: float) -> bool:
        """Whether all of it is known that will be counted."""
        over = now >= self.start + SLOT_S + GRACE_S + WRITTEN_AFTER_S
        return self.is_old(now) or (over and not self.target.open and not self.legacy.open)

    def legacy_may_be_bad(self, now: float, bound: float) -> bool:
        """Whether legacy, if all it has under way fails, failed or refused more than the bound.

        What it refuses by the fault of a number, the target may call a failure of its own.
        """
        bad = self.legacy.failed + self.legacy.skipped + self.legacy.refused
        bad += _open(self.legacy, self.is_old(now))
        return bad > _FEW and bad > bound * (self.legacy.ok + bad)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What of a cohort is compared: outcomes of target and legacy."""

    failed: tuple[EventCounts, EventCounts]
    refused: tuple[EventCounts, EventCounts]
    """Failed, or refused for whatever reason: what providers tell apart differently."""
    slow: tuple[EventCounts, EventCounts]


def outcomes(cohort: Cohort, now: float, slow_s: float, *, skips: bool) -> Outcomes:
    """What a cohort says now, with whatever is against blaming the target taken for granted.

    Legacy's calls under way count as its failures and, once they took that long, as slow; those of
    the target are left out. So no end of a call can take an alarm back.

    Args:
        cohort: calls.
        now: seconds since the epoch.
        slow_s: what is slow.
        skips: whether what the target's open breaker kept from it counts as its failures. A breaker
            turns "half fail" into "all fail", and opens at the target first.
    """
    old, ours, theirs = cohort.is_old(now), cohort.target, cohort.legacy
    under_way = _open(theirs, old)
    failed = ours.failed + (ours.skipped if skips else 0)
    failed_there = theirs.failed + theirs.skipped + under_way
    waiting = under_way if now >= cohort.start + SLOT_S + slow_s else 0
    refused, refused_there = failed + ours.refused, failed_there + theirs.refused
    return Outcomes(
        failed=(
            EventCounts(failed, ours.ok + failed),
            EventCounts(failed_there, theirs.ok + failed_there),
        ),
        refused=(
            EventCounts(refused, ours.ok + refused),
            EventCounts(refused_there, theirs.ok + refused_there),
        ),
        slow=(
            EventCounts(ours.slow, ours.ok),
            EventCounts(theirs.slow + waiting, theirs.ok + waiting),
        ),
    )


def ended(calls: Iterable[Calls]) -> tuple[EventCounts, EventCounts]:
    """What is known of calls: failed or passed over, of all; and slow, of the good ones."""
    failed = ok = slow = 0
    for each in calls:
        failed += each.failed + each.skipped
        ok += each.ok
        slow += each.slow
    return EventCounts(failed, failed + ok), EventCounts(slow, ok)


def all_of_legacy(cohort: Cohort, now: float) -> EventCounts:
    """Every call to legacy; those under way count as failed, and so do refusals of recipients."""
    calls = cohort.legacy_all
    failed = calls.failed + calls.skipped + calls.refused + _open(calls, cohort.is_old(now))
    return EventCounts(failed, calls.ok + failed)


def bad_starts(
    known: Iterable[float], cohorts: Iterable[Cohort], now: float, bound: float
) -> tuple[float, ...]:
    """Starts of the cohorts of late in which legacy may have done badly, as now known."""
    of_late = {start for start in known if start > now - WORST_S - SLOT_S}
    for cohort in cohorts:
        bad = cohort.legacy_may_be_bad(now, bound)
        of_late = of_late | {cohort.start} if bad else of_late - {cohort.start}
    return tuple(sorted(of_late))


def _open(calls: Calls, old: bool) -> int:  # noqa: FBT001 - private
    return 0 if old else calls.open
