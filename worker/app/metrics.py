"""How each metric of a replica is read from its parts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from worker.domain.figures.tally import BOUNDS_MS
from worker.domain.migration.phases import Phase
from worker.ports.providers import BreakerState
from worker.telemetry import instruments as show
from worker.telemetry.scrape import Durations, Scrape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.app.accounts import Accounts
    from worker.app.health import BrokerHealth, StoreHealth
    from worker.app.runtime import Runtime
    from worker.control.snapshot_follower import SnapshotFollower
    from worker.telemetry.instruments import Instrument, Reading, Sample
    from worker.telemetry.metrics import AttemptMetrics

_OUTCOMES = (
    "accepted", "refused", "not_sent_provider", "not_sent_account", "not_sent_recipient",
    "not_sent_message", "unknown", "skipped",
)  # fmt: skip
_VERDICTS = ("delivered", "undelivered")


def scrape_of(
    runtime: Runtime,
    accounts: Accounts,
    follower: SnapshotFollower,
    metrics: AttemptMetrics,
    *,
    store: StoreHealth,
    broker: BrokerHealth,
) -> Scrape:
    """Everything that a worker shows."""
    readings = {
        **_of_attempts(metrics),
        **_of_the_replica(runtime, accounts, store, broker),
        **_in_force(follower),
    }
    bounds_s = [bound / 1_000 for bound in BOUNDS_MS]
    return Scrape(readings, lambda: _durations(metrics), bounds_s, runtime.replica, os.environ)


def _of_attempts(metrics: AttemptMetrics) -> Mapping[Instrument, Reading]:
    def sums(*names: str, label: str | None = None) -> Reading:
        """Of every provider, and by name where there is a label for it."""

        def read() -> Iterator[Sample]:
            for provider in metrics.providers:
                tally = metrics.total(provider)
                for name in names:
                    labels = {show.PROVIDER: provider} | ({label: name} if label else {})
                    yield getattr(tally, name), labels

        return read

    def cost() -> Iterator[Sample]:
        for provider in metrics.providers:
            for currency, amount in metrics.total(provider).cost.items():
                yield float(amount), {show.PROVIDER: provider, show.CURRENCY: currency}

    return {
        show.ATTEMPTS: sums(*_OUTCOMES, label=show.OUTCOME),
        show.JUDGED: sums(*_VERDICTS, label=show.VERDICT),
        show.FALLBACKS: sums("fallback"),
        show.SEGMENTS: sums("segments"),
        show.COST: cost,
    }


def _durations(metrics: AttemptMetrics) -> Iterator[Durations]:
    for provider in metrics.providers:
        tally = metrics.total(provider)
        yield Durations(provider, tally.latency, tally.duration_us / 1_000_000)


def _of_the_replica(
    runtime: Runtime, accounts: Accounts, store: StoreHealth, broker: BrokerHealth
) -> Mapping[Instrument, Reading]:
    def breakers() -> Iterator[Sample]:
        for guard in accounts.guards.values():
            for state in BreakerState:
                labels = {show.PROVIDER: guard.provider_id, show.STATE: str(state)}
                yield float(guard.state is state), labels

    def alerts() -> Iterator[Sample]:
        for each in runtime.alerts.seen():
            labels = {show.CODE: each.code, show.SEVERITY: str(each.severity)}
            yield 1.0, labels | ({show.PROVIDER: each.provider} if each.provider else {})

    return {
        show.BREAKER: breakers,
        show.ALERTS: alerts,
        show.IN_HAND: lambda: [(runtime.lanes.in_hand, {})],
        show.CONSUMING: lambda: [(float(runtime.lanes.consuming), {})],
        show.STORE_UP: lambda: [(float(store.check()[0]), {})],
        show.BROKER_UP: lambda: [(float(broker.check()[0]), {})],
    }


def _in_force(follower: SnapshotFollower) -> Mapping[Instrument, Reading]:
    def percentage() -> Iterator[Sample]:
        if (state := follower.current) is not None:
            yield state.percentage, {}

    def phase() -> Iterator[Sample]:
        if (state := follower.current) is not None:
            for each in Phase:
                yield float(each is state.phase), {show.PHASE: str(each)}

    def version() -> Iterator[Sample]:
        if (state := follower.current) is not None:
            yield state.version, {}

    return {show.PERCENTAGE: percentage, show.PHASE_IN_FORCE: phase, show.VERSION: version}
