"""What gates and queries measure: sums over the slots of all replicas, read as figures.

Rules: a sum over slots, so that its cost depends on the period and never on the traffic. Rates are
in per cent and absent where nothing was counted: silence is no figure. What counts as error is
decided in `domain.figures.tally`.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from contracts.answers import ProviderFigures
from contracts.health import ErrorsByClass
from worker.domain.detection import readings
from worker.domain.detection.cohorts import SETTLED_AFTER_S
from worker.domain.detection.threshold_policy import Window
from worker.domain.figures.figures import figures_of
from worker.domain.figures.tally import Tally
from worker.domain.migration.direction import share
from worker.domain.migration.gates import Measures
from worker.monitoring.shown import shown_percent, shown_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from typing import Protocol

    from worker.domain.detection.evidence import Evidence
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.clock import Clock
    from worker.ports.providers import Provider

    class Slots(Protocol):
        """Sums of every replica."""

        async def sum(
            self, since: datetime, until: datetime
        ) -> Mapping[str, Mapping[str, int | Decimal]]:
            """Sums by name, by provider, over slots in [since, until).

            Raises `StoreUnavailable`.
            """
            ...


CHECK_WITHIN_S: Final = 5.0
LATELY: Final = timedelta(minutes=10)
"""What "the present rate" is measured over."""
_ENOUGH: Final = 20
"""Outcomes in that time, fewer of which show no rate."""


class Measuring:
    """Reads the slots, and asks the target's account.

    Args:
        slots: sums of every replica.
        target: asked for its account where nothing can have been measured yet.
        legacy: what it is compared with.
        clock: time.
        evidence_of: evidence by lineage.
        delivery_age_s: when an accepted message is judged, seconds.
    """

    def __init__(
        self,
        slots: Slots,
        target: Provider,
        legacy: Provider,
        clock: Clock,
        evidence_of: Callable[[str], Awaitable[Evidence | None]],
        *,
        delivery_age_s: float = 600.0,
    ) -> None:
        self._age = timedelta(seconds=delivery_age_s)
        self._slots = slots
        self._evidence_of = evidence_of
        self._target = target
        self._legacy = legacy
        self._clock = clock

    async def since_change(self, state: Snapshot) -> Measures:
        """The target since the present percentage began. Raises `StoreUnavailable`."""
        if share(state) == 0:
            return await self._account()
        now = self._clock.now()
        since = state.since or now
        tally = await self._tally(self._target.id, since)
        # What is judged earlier than that was accepted at the percentage before.
        judged = await self._tally(self._target.id, min(since + self._age, now))
        of_late = max(since, now - LATELY)
        lately = await self._tally(self._target.id, of_late)
        seen = await self._evidence_of(state.lineage)
        return Measures(
            accepted=tally.accepted,
            errors=tally.errors,
            p95_ms=tally.p95_ms,
            delivered=judged.delivered,
            judged=judged.delivered + judged.undelivered,
            gives_reports=self._target.gives_reports,
            legacy_gives_reports=self._legacy.gives_reports,
            per_s=_pace((tally, now - since), (lately, now - of_late)),
            evidence=readings.about(seen, _seconds(state.since), now.timestamp(), state.anew),
        )

    async def window(self, state: Snapshot, counts_from: datetime | None) -> Window:
        """The target of late, for the policy `threshold`. Raises `StoreUnavailable`.

        Never further back than the present percentage: what was acted on is not acted on again. Nor
        is what came of calls that began before they count, which may take its time.

        Args:
            state: in force.
            counts_from: when a tick saw that outcomes count only from then on; None: all count.
        """
        now = self._clock.now()
        since = now - timedelta(minutes=state.flags.thresholds.window_min)
        settled = counts_from + timedelta(seconds=SETTLED_AFTER_S) if counts_from else since
        begins = min(max(since, state.since or since, settled), now)
        tally = await self._tally(self._target.id, begins)
        return Window(tally.accepted, tally.errors, tally.p95_ms, begins.timestamp())

    async def sums(
        self, providers: Sequence[str], since: datetime, until: datetime
    ) -> dict[str, Tally]:
        """What providers did in [since, until), by id. Raises `StoreUnavailable`."""
        found = await self._slots.sum(since, until)
        return {provider: Tally.of(found.get(provider, {})) for provider in providers}

    async def figures(self, providers: Sequence[str], hours: float) -> dict[str, ProviderFigures]:
        """Figures of providers over the last hours, by id. Raises `StoreUnavailable`."""
        now = self._clock.now()
        found = await self.sums(providers, now - timedelta(hours=hours), now)
        return {provider: figures(tally) for provider, tally in found.items()}

    async def _account(self) -> Measures:
        try:
            async with asyncio.timeout(CHECK_WITHIN_S):
                health = await self._target.check()
        except TimeoutError:
            reason = f"no answer within {CHECK_WITHIN_S:g} s"
            return Measures(account_ok=False, account_reason=reason)
        return Measures(account_ok=health.ok, account_reason=health.reason)

    async def _tally(self, provider: str, since: datetime) -> Tally:
        return (await self.sums([provider], since, self._clock.now()))[provider]


def figures(tally: Tally) -> ProviderFigures:
    """A tally as people read it; times in milliseconds, what cannot be said left out."""
    made = figures_of(tally)
    return ProviderFigures.known(
        accepted=tally.accepted,
        errors=tally.errors,
        errors_by_class=ErrorsByClass(**made.errors_by_class),
        refused=tally.refused,
        wrong_recipient=tally.not_sent_recipient,
        wrong_message=tally.not_sent_message,
        unknown=tally.unknown,
        skipped=tally.skipped,
        fallback=tally.fallback,
        success_rate=shown_percent(made.success),
        error_rate=shown_percent(made.error),
        p50_ms=shown_time(made.p50_ms),
        p95_ms=shown_time(made.p95_ms),
        mean_ms=shown_time(made.mean_ms),
        delivery_rate=shown_percent(made.delivery),
        judged=made.delivery.sample,
        segments=tally.segments,
        cost={currency: str(amount) for currency, amount in tally.cost.items()},
    )


def _pace(all_: tuple[Tally, timedelta], lately: tuple[Tally, timedelta]) -> float:
    """Outcomes a second of late; over all the time where so few come that of late says nothing."""
    whole, late = _per_s(*all_), _per_s(*lately)
    seconds = lately[1].total_seconds()
    return late if max(whole, late) * seconds >= _ENOUGH else whole


def _per_s(tally: Tally, time: timedelta) -> float:
    seconds = time.total_seconds()
    return (tally.accepted + tally.errors) / seconds if seconds > 0 else 0.0


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
