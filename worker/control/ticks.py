"""What became known since the tick before: slots of all replicas, heartbeats, accounts.

Rules: what of each slot was counted is remembered for `HORIZON`, so that slots written late count
once. What was there before the first tick is not counted: nobody looked then. Legacy's account is
asked only while the target's breaker is open, which is when its answer matters.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from worker.domain import judgement
from worker.domain.evidence import Judged, Side, Tick
from worker.domain.likelihood import Seen
from worker.domain.phases import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Protocol

    from worker.domain.evidence import Setting
    from worker.domain.flags import Snapshot
    from worker.ports import Beat, Checkpoint, Provider, Replicas

    class Slots(Protocol):
        """Sums of every replica."""

        async def recent(
            self, since: datetime, names: Sequence[str]
        ) -> list[tuple[str, int, dict[str, int]]]:
            """Slots from then on: provider, start, sums. Raises `StoreAway`."""
            ...


HORIZON: Final = timedelta(minutes=10)
ANSWER_WITHIN_S: Final = 2.0
_NAMES: Final = (
    "eligible_ok",
    "eligible_failed",
    "eligible_slow",
    "eligible_delivered",
    "eligible_undelivered",
    "eligible_unreported",
    "accepted",
    "distinct_failed",
    "probe_accepted",
    "probe_errors",
)
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Ticks:
    """Reads ticks.

    Args:
        slots: outcomes of all replicas.
        replicas: their breakers, and what they were told of our accounts.
        target: whom the evidence is about.
        legacy: what it is compared with.
        delivery_age_s: when an accepted message is judged, seconds.
    """

    slots: Slots
    replicas: Replicas
    target: Provider
    legacy: Provider
    delivery_age_s: float

    async def read(
        self, before: Checkpoint | None, now: datetime
    ) -> tuple[Tick, Mapping[str, Counts]]:
        """The tick that ends now, and what of the slots is counted with it. Raises `StoreAway`."""
        rows = await self.slots.recent(now - HORIZON, _NAMES)
        counted = {f"{provider} {at}": sums for provider, at, sums in rows}
        seen = counted if before is None else before.counted
        legacy = _since(counted, seen, self.legacy.id)
        beats = await self.replicas.list()
        broken, legacy_broken = _most(beats, self.target.id), _most(beats, self.legacy.id)
        tick = Tick(
            at=now.timestamp(),
            target=_side(_since(counted, seen, self.target.id)),
            legacy=_side(legacy),
            legacy_all=_all(legacy),
            breaker_open=broken,
            legacy_open=legacy_broken,
            legacy_answers=broken and not legacy_broken and await self._legacy_answers(),
            account_fault=_fault(beats, self.target.id),
        )
        return tick, counted

    async def _legacy_answers(self) -> bool:
        """A tick waits for nobody: who does not answer in time does not answer."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return (await self.legacy.check()).ok
        except TimeoutError:
            return False

    def setting(self, state: Snapshot) -> Setting:
        """What the outcomes are held against."""
        reports = {
            Role.TARGET: self.target.gives_reports,
            Role.LEGACY: self.legacy.gives_reports,
        }
        return judgement.setting_of(state, reports, self.delivery_age_s)


def _since(
    counted: Mapping[str, Counts], seen: Mapping[str, Mapping[str, int]], provider: str
) -> Counts:
    """What a provider's slots hold beyond what was counted."""
    sums = dict.fromkeys(_NAMES, 0)
    for key, counts in counted.items():
        if key.rpartition(" ")[0] == provider:
            before = seen.get(key, {})
            for name in _NAMES:
                sums[name] += max(0, counts[name] - before.get(name, 0))
    return sums


def _side(new: Counts) -> Side:
    delivered, undelivered = new["eligible_delivered"], new["eligible_undelivered"]
    return Side(
        failed=Seen(new["eligible_failed"], new["eligible_ok"] + new["eligible_failed"]),
        slow=Seen(new["eligible_slow"], new["eligible_ok"]),
        judged=Judged(
            undelivered,
            delivered + undelivered,
            delivered + undelivered - new["eligible_unreported"],
        ),
    )


def _all(new: Counts) -> Seen:
    errors = new["distinct_failed"] + new["probe_errors"]
    return Seen(errors, errors + new["accepted"] + new["probe_accepted"])


def _most(beats: Sequence[Beat], provider: str) -> bool:
    """Whether a provider's breaker is not closed on more than half of the replicas."""
    states = [beat.heartbeat.breakers.get(provider, "closed") for beat in beats]
    return 2 * sum(state != "closed" for state in states) > len(states)


def _fault(beats: Sequence[Beat], provider: str) -> str:
    """What the provider told any replica of our account."""
    found = (beat.heartbeat.faults.get(provider, "") for beat in beats)
    return next((fault for fault in found if fault), "")
