"""Measures figures for gates and queries, from sums over the slots of all replicas.

Rules: the cost of a sum over slots depends on the period and never on the traffic. Rates are in per
cent. Without any counts a rate is absent, because silence is no figure. `domain.figures.tally`
decides what counts as an error.
"""

from __future__ import annotations

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
from worker.monitoring.account_answer import AccountAnswer
from worker.monitoring.shown import shown_percent, shown_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from typing import Protocol

    from worker.domain.detection.evidence import Evidence
    from worker.domain.messages.account import AccountHealth
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


LATELY: Final = timedelta(minutes=10)
"""The period over which "the present rate" is measured."""
_ENOUGH: Final = 20
"""The least outcomes in that period for a present rate."""


class Measuring:
    """Reads the slots, and asks the target's account.

    Args:
        slots: sums of every replica.
        target: the target; its account is checked if nothing can have been measured yet.
        legacy: the provider it is compared with.
        clock: time.
        evidence_of: returns the evidence of a lineage.
        delivery_age_s: the delivery age of accepted messages, seconds.
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
        self._account = AccountAnswer(target, clock)
        self._legacy = legacy
        self._clock = clock

    async def since_change(self, state: Snapshot) -> Measures:
        """Figures of the target since the present percentage began. Raises `StoreUnavailable`."""
        if share(state) == 0:
            return _of_account(await self._account.now())
        return await self._since_change(state)

    async def for_a_look(self, state: Snapshot, within_s: float) -> Measures:
        """The same figures for who only looks and waits for the account at most that long.

        Raises `StoreUnavailable`.
        """
        if share(state) == 0:
            return _of_account(await self._account.lately(within_s))
        return await self._since_change(state)

    async def _since_change(self, state: Snapshot) -> Measures:
        now = self._clock.now()
        since = state.since or now
        tally = await self._tally(self._target.id, since)
        # Messages judged before that were accepted at the previous percentage.
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
        """Recent figures of the target, for the policy `threshold`. Raises `StoreUnavailable`.

        They never reach back before the present percentage, because outcomes from before a rollback
        must not cause a second one. Late outcomes of calls that began before `counts_from` do not
        count either.

        Args:
            state: the state in force.
            counts_from: the tick from which on outcomes count; None: all count.
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
        """The sums of providers in [since, until), by id. Raises `StoreUnavailable`."""
        sums = await self._slots.sum(since, until)
        return {provider: Tally.of(sums.get(provider, {})) for provider in providers}

    async def figures(self, providers: Sequence[str], hours: float) -> dict[str, ProviderFigures]:
        """Figures of providers over the last hours, by id. Raises `StoreUnavailable`."""
        now = self._clock.now()
        tallies = await self.sums(providers, now - timedelta(hours=hours), now)
        return {provider: figures(tally) for provider, tally in tallies.items()}

    async def _tally(self, provider: str, since: datetime) -> Tally:
        return (await self.sums([provider], since, self._clock.now()))[provider]


def _of_account(health: AccountHealth) -> Measures:
    return Measures(account_ok=health.ok, account_reason=health.reason)


def figures(tally: Tally) -> ProviderFigures:
    """A tally in words for people; times in milliseconds, without unknown figures."""
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
    """Recent outcomes per second. If there are too few, the rate over the whole time."""
    whole, late = _per_s(*all_), _per_s(*lately)
    seconds = lately[1].total_seconds()
    return late if max(whole, late) * seconds >= _ENOUGH else whole


def _per_s(tally: Tally, time: timedelta) -> float:
    seconds = time.total_seconds()
    return (tally.accepted + tally.errors) / seconds if seconds > 0 else 0.0


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
