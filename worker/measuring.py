"""What gates and queries measure: sums over the slots of all replicas, read as figures.

Rules: a sum over slots, so that its cost depends on the period and never on the traffic. Rates are
in per cent and absent where nothing was counted: silence is no figure. What counts as error is
DESIGN's table, in `telemetry.tally`.
"""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from worker.domain import evidence
from worker.domain.gates import Measures
from worker.domain.judgement import Window
from worker.domain.steering import share
from worker.telemetry.tally import Tally, percentile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from worker.domain.evidence import Evidence
    from worker.domain.flags import Snapshot
    from worker.ports import Clock, Provider
    from worker.store.slots import SlotStore

CHECK_WITHIN_S: Final = 5.0
LATELY: Final = timedelta(minutes=10)
"""What "the present rate" is measured over."""


class Measuring:
    """Reads the slots, and asks the target's account.

    Args:
        slots: sums of every replica.
        target: asked for its account where nothing can have been measured yet.
        legacy: what it is compared with.
        clock: time.
        known: evidence by lineage.
    """

    def __init__(
        self,
        slots: SlotStore,
        target: Provider,
        legacy: Provider,
        clock: Clock,
        known: Callable[[str], Awaitable[Evidence | None]],
    ) -> None:
        self._slots = slots
        self._known = known
        self._target = target
        self._legacy = legacy
        self._clock = clock

    async def since_change(self, state: Snapshot) -> Measures:
        """The target since the present percentage began. Raises `StoreAway`."""
        if share(state) == 0:
            return await self._account()
        now = self._clock.now()
        since = state.since or now
        tally = await self._tally(self._target.id, since)
        of_late = max(since, now - LATELY)
        lately = await self._tally(self._target.id, of_late)
        known = await self._known(state.lineage)
        return Measures(
            accepted=tally.accepted,
            errors=tally.errors,
            p95_ms=tally.p95_ms,
            delivered=tally.delivered,
            judged=tally.delivered + tally.undelivered,
            gives_reports=self._target.gives_reports,
            legacy_gives_reports=self._legacy.gives_reports,
            per_s=_per_s(lately, (now - of_late).total_seconds()),
            evidence=evidence.about(known, _seconds(state.since), now.timestamp()),
        )

    async def window(self, state: Snapshot) -> Window:
        """The target of late, for the policy `threshold`. Raises `StoreAway`.

        Never further back than the present percentage: what was acted on is not acted on again.
        """
        since = self._clock.now() - timedelta(minutes=state.flags.thresholds.window_min)
        tally = await self._tally(self._target.id, max(since, state.since or since))
        return Window(tally.accepted, tally.errors, tally.p95_ms)

    async def sums(
        self, providers: Sequence[str], since: datetime, until: datetime
    ) -> dict[str, Tally]:
        """What providers did in [since, until), by id. Raises `StoreAway`."""
        found = await self._slots.sum(since, until)
        return {provider: Tally.of(found.get(provider, {})) for provider in providers}

    async def figures(self, providers: Sequence[str], hours: float) -> dict[str, dict[str, Any]]:
        """Figures of providers over the last hours, by id and name. Raises `StoreAway`."""
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


def figures(tally: Tally) -> dict[str, Any]:
    """A tally as people read it; times in milliseconds, what cannot be said left out."""
    outcomes, judged = tally.accepted + tally.errors, tally.delivered + tally.undelivered
    found: dict[str, Any] = {
        "accepted": tally.accepted,
        "errors": tally.errors,
        "errorsByClass": {
            "provider": tally.not_sent_provider,
            "account": tally.not_sent_account,
            "unknown": tally.unknown,
            "skipped": tally.skipped,
        },
        "refused": tally.refused,
        "wrongRecipient": tally.not_sent_recipient,
        "unknown": tally.unknown,
        "skipped": tally.skipped,
        "fallback": tally.fallback,
        "successRate": _rate(tally.accepted, outcomes),
        "errorRate": _rate(tally.errors, outcomes),
        "p50Ms": _time(percentile(tally.latency, 0.5)),
        "p95Ms": _time(tally.p95_ms),
        "meanMs": _time(tally.mean_ms),
        "deliveryRate": _rate(tally.delivered, judged),
        "judged": judged,
        "segments": tally.segments,
        "cost": {currency: str(amount) for currency, amount in tally.cost.items()},
    }
    return {name: value for name, value in found.items() if value is not None}


def _per_s(tally: Tally, seconds: float) -> float:
    return (tally.accepted + tally.errors) / seconds if seconds > 0 else 0.0


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def _rate(part: int, whole: int) -> float | None:
    return round(100.0 * part / whole, 3) if whole else None


def _time(value: float | None) -> float | None:
    return round(value, 1) if value is not None and math.isfinite(value) else None
