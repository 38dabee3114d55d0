"""Reads a tick: all that is new since the last tick in slots, heartbeats and accounts.

Rules:
- For `HORIZON` it is stored what was counted of each slot, so that slots written late count once.
- The horizon uses our clock or the store's, whichever is behind, and never goes back. So a wrong
  clock cannot make counts be forgotten and counted again.
- Counts from before the first tick do not count.
- Legacy's account is only checked while the target's breaker is open, when the answer matters.
- Cohorts are those of the last minute by the store's clock, so that every replica reads the same.
  Calls are summed over all replicas, and the calls of each are stored beside the sums. A cohort in
  the future comes from a replica with a clock ahead, and is read when its time has come.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.detection import criteria
from worker.domain.detection.cohorts import KEPT, Calls, Cohort, ReplicaCalls
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.silence import DeliveryCounts
from worker.domain.detection.tick import ProviderTick, Tick
from worker.domain.figures.periods import SLOT_S, start_of
from worker.domain.migration.phases import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.detection.criteria import Criteria
    from worker.domain.figures.periods import CohortSums, SlotSums
    from worker.domain.migration.replicas import LiveReplica
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.providers import Provider
    from worker.ports.steering import Replicas

    class Slots(Protocol):
        """Sums of every replica."""

        async def recent(self, since: datetime, names: Sequence[str]) -> list[SlotSums]:
            """Slots from then on. Raises `StoreUnavailable`."""
            ...

    class Cohorts(Protocol):
        """The calls of every replica by the slot in which they began."""

        async def recent(
            self, since: datetime, until: datetime, names: Sequence[str]
        ) -> list[CohortSums]:
            """Those that begin in [since, until]. Raises `StoreUnavailable`."""
            ...


HORIZON: Final = timedelta(minutes=10)
ANSWER_WITHIN_S: Final = 2.0
_NAMES: Final = (
    "eligible_ok",
    "eligible_failed",
    "eligible_slow",
    "eligible_refused",
    "eligible_delivered",
    "eligible_undelivered",
    "eligible_unreported",
    "accepted",
    "distinct_failed",
    "probe_accepted",
    "probe_errors",
)
_OF_CALLS: Final = ("ok", "failed", "slow", "skipped", "open", "refused")
_ELIGIBLE, _ANY = "eligible_", "any_"
_OF_COHORTS: Final = tuple(f"{whose}{name}" for whose in (_ELIGIBLE, _ANY) for name in _OF_CALLS)
Counts = dict[str, int]
_NO_CALLS: Final[Mapping[str, int]] = MappingProxyType(dict.fromkeys(_OF_COHORTS, 0))


@dataclass(frozen=True, slots=True)
class Ticks:
    """Reads ticks.

    Args:
        slots: outcomes of all replicas.
        cohorts: calls of all replicas.
        replicas: heartbeats, with breaker states and account faults.
        target: the provider that the evidence is about.
        legacy: the provider it is compared with.
        delivery_age_s: the delivery age of accepted messages, seconds.
        accounts: identify the accounts of target and legacy.
    """

    slots: Slots
    cohorts: Cohorts
    replicas: Replicas
    target: Provider
    legacy: Provider
    delivery_age_s: float
    accounts: tuple[str, str] = ("", "")

    async def read(
        self, before: Checkpoint | None, now: datetime
    ) -> tuple[Tick, Mapping[str, Counts]]:
        """Read the tick that ends now, with the counts of each slot up to it.

        Raises `StoreUnavailable`.
        """
        rows = await self.slots.recent(since(before, now), _NAMES)
        counted = {f"{provider} {at}": sums for provider, at, sums in rows}
        seen = counted if before is None else before.counted
        legacy = _beyond(counted, seen, self.legacy.id)
        live = await self.replicas.list()
        broken, legacy_broken = _most(live, self.target.id), _most(live, self.legacy.id)
        tick = Tick(
            at=now.timestamp(),
            target=_side(_beyond(counted, seen, self.target.id)),
            legacy=_side(legacy),
            legacy_all=_all(legacy),
            breaker_open=broken,
            legacy_open=legacy_broken,
            legacy_answers=broken and not legacy_broken and await self._legacy_answers(),
            account_fault=_fault(live, self.target.id),
            cohorts=await self._cohorts(before, now),
        )
        return tick, counted

    async def _cohorts(self, before: Checkpoint | None, now: datetime) -> tuple[Cohort, ...]:
        """The cohorts of the last minute, in the order of their start."""
        until = (before.read_at if before else None) or now
        first = start_of(int(until.timestamp()), SLOT_S) - (KEPT - 1) * SLOT_S
        rows = await self.cohorts.recent(datetime.fromtimestamp(first, UTC), until, _OF_COHORTS)
        by_start: dict[int, dict[tuple[str, str], Counts]] = {}
        for replica, provider, start, sums in rows:
            if provider in (self.target.id, self.legacy.id):
                by_start.setdefault(start, {})[replica, provider] = sums
        return tuple(self._cohort(start, by_start[start]) for start in sorted(by_start))

    def _cohort(self, start: int, by_caller: Mapping[tuple[str, str], Counts]) -> Cohort:
        """Make the cohort of one start from the sums of replicas and providers."""
        target_id, legacy_id = self.target.id, self.legacy.id
        target, legacy = (_added(by_caller, provider) for provider in (target_id, legacy_id))
        return Cohort(
            float(start),
            target=_calls(target, _ELIGIBLE),
            legacy=_calls(legacy, _ELIGIBLE),
            legacy_all=_calls(legacy, _ANY),
            replicas=tuple(
                _replica_calls(
                    each,
                    by_caller.get((each, target_id), _NO_CALLS),
                    by_caller.get((each, legacy_id), _NO_CALLS),
                )
                for each in sorted({replica for replica, _ in by_caller})
            ),
        )

    async def _legacy_answers(self) -> bool:
        """Whether legacy's account call succeeds. No answer in time counts as no."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return (await self.legacy.check()).ok
        except TimeoutError:
            return False

    def setting(self, state: Snapshot) -> Criteria:
        """The criteria for the outcomes under this state."""
        reports = {
            Role.TARGET: self.target.gives_reports,
            Role.LEGACY: self.legacy.gives_reports,
        }
        return criteria.criteria_of(state, reports, self.delivery_age_s, self.accounts)


def since(before: Checkpoint | None, now: datetime) -> datetime:
    """The moment from which on slots count in the tick that ends now."""
    if before is None:
        return now - HORIZON
    start = min(now, before.read_at or now) - HORIZON
    return max(start, before.since or start)


def _beyond(
    counted: Mapping[str, Counts], seen: Mapping[str, Mapping[str, int]], provider: str
) -> Counts:
    """The counts in a provider's slots that are not counted yet."""
    sums = dict.fromkeys(_NAMES, 0)
    for key, counts in counted.items():
        if key.rpartition(" ")[0] == provider:
            before = seen.get(key, {})
            for name in _NAMES:
                sums[name] += max(0, counts[name] - before.get(name, 0))
    return sums


def _side(new: Counts) -> ProviderTick:
    delivered, undelivered = new["eligible_delivered"], new["eligible_undelivered"]
    return ProviderTick(
        failed=EventCounts(new["eligible_failed"], new["eligible_ok"] + new["eligible_failed"]),
        slow=EventCounts(new["eligible_slow"], new["eligible_ok"]),
        judged=DeliveryCounts(
            undelivered,
            delivered + undelivered,
            delivered + undelivered - new["eligible_unreported"],
        ),
        refused=new["eligible_refused"],
    )


def _added(by_caller: Mapping[tuple[str, str], Mapping[str, int]], provider: str) -> Counts:
    """The sums of all replicas at a provider."""
    rows = [sums for (_, name), sums in by_caller.items() if name == provider]
    return {name: sum(sums[name] for sums in rows) for name in _OF_COHORTS}


def _calls(sums: Mapping[str, int], whose: str) -> Calls:
    return Calls(**{name: sums[f"{whose}{name}"] for name in _OF_CALLS})


def _replica_calls(
    replica: str, target: Mapping[str, int], legacy: Mapping[str, int]
) -> ReplicaCalls:
    return ReplicaCalls(
        replica,
        failed=target["eligible_failed"] + target["eligible_skipped"],
        ok=target["eligible_ok"],
        open=target["eligible_open"],
        legacy_failed=legacy["eligible_failed"] + legacy["eligible_skipped"],
        legacy_ok=legacy["eligible_ok"],
    )


def _all(new: Counts) -> EventCounts:
    errors = new["distinct_failed"] + new["probe_errors"]
    return EventCounts(errors, errors + new["accepted"] + new["probe_accepted"])


def _most(replicas: Sequence[LiveReplica], provider: str) -> bool:
    """Whether a provider's breaker is not closed on more than half of the replicas."""
    states = [each.heartbeat.breakers.get(provider, "closed") for each in replicas]
    return 2 * sum(state != "closed" for state in states) > len(states)


def _fault(replicas: Sequence[LiveReplica], provider: str) -> str:
    """The account fault that any replica got from the provider; empty: none."""
    told = (each.heartbeat.faults.get(provider, "") for each in replicas)
    return next((fault for fault in told if fault), "")
