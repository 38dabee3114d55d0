"""How each metric of a worker is read from its parts."""

from __future__ import annotations

import asyncio
import os
from itertools import product
from typing import TYPE_CHECKING

from contracts.names import Queue
from worker.domain.figures.tally import OUTCOMES
from worker.domain.messages.message import Lane
from worker.domain.migration.phases import Phase
from worker.handlers.dead_letters import CAUSES
from worker.ports.providers import BreakerState
from worker.telemetry import instruments as show
from worker.telemetry import names
from worker.telemetry.instrument import Distribution
from worker.telemetry.scrape import Scrape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.app.accounts import Accounts
    from worker.app.runtime import Runtime
    from worker.app.services import Worker
    from worker.control.snapshot_follower import SnapshotFollower
    from worker.store.messages import MessageStore
    from worker.telemetry.instrument import Instrument, Reading, Sample
    from worker.telemetry.metrics import AttemptMetrics

_VERDICTS = ("delivered", "undelivered")
_DIE_IN = (Queue.TRANSACTIONAL, Queue.BULK, Queue.REPORTS, Queue.UNROUTED_COMMANDS)
"""Queues whose messages can become dead letters."""


def scrape_of(worker: Worker) -> Scrape:
    """Everything that a worker shows."""
    runtime, deliveries = worker.runtime, worker.runtime.deliveries
    readings = {
        **_of_attempts(worker.metrics),
        **_of_providers(worker.accounts),
        **_of_messages(runtime, worker.stores.records),
        **_of_the_replica(runtime),
        **_in_force(worker.follower),
        show.OLDEST_IN_HAND: deliveries.oldest,
        show.OPEN_RECORDS: worker.backlog.counts,
        show.OLDEST_RECORD: worker.backlog.ages,
        show.EVIDENCE: worker.evidence.strengths,
        show.EVIDENCE_LEVEL: worker.evidence.levels,
        show.STORE_UP: lambda: [(float(worker.store_health.check()[0]), {})],
        show.BROKER_UP: lambda: [(float(worker.broker_health.check()[0]), {})],
    }
    distributions = {
        show.DURATION: lambda: _durations(worker.metrics),
        show.QUEUE_WAIT: deliveries.waits,
        show.PROCESSED: deliveries.handled,
    }
    return Scrape(readings, distributions, runtime.replica, os.environ)


def _of_attempts(metrics: AttemptMetrics) -> Mapping[Instrument, Reading]:
    def attempts() -> Iterator[Sample]:
        for provider, outcome, lane in product(metrics.providers, OUTCOMES, Lane):
            labels = {show.PROVIDER: provider, show.OUTCOME: outcome, show.LANE: str(lane)}
            yield metrics.by_lane[provider, outcome, lane], labels

    def judged() -> Iterator[Sample]:
        for provider, verdict in product(metrics.providers, _VERDICTS):
            labels = {show.PROVIDER: provider, show.VERDICT: verdict}
            yield getattr(metrics.total(provider), verdict), labels

    def sums(name: str) -> Reading:
        return lambda: [
            (getattr(metrics.total(provider), name), {show.PROVIDER: provider})
            for provider in metrics.providers
        ]

    def cost() -> Iterator[Sample]:
        for provider in metrics.providers:
            for currency, amount in metrics.total(provider).cost.items():
                yield float(amount), {show.PROVIDER: provider, show.CURRENCY: currency}

    return {
        show.ATTEMPTS: attempts,
        show.JUDGED: judged,
        show.FALLBACKS: sums("fallback"),
        show.SEGMENTS: sums("segments"),
        show.COST: cost,
        show.ASSIGNED: lambda: [
            (metrics.assigned[each], {show.PROVIDER: each}) for each in metrics.providers
        ],
    }


def _durations(metrics: AttemptMetrics) -> Iterator[Distribution]:
    for provider in metrics.providers:
        tally = metrics.total(provider)
        labels = {show.PROVIDER: provider}
        yield Distribution(labels, tally.latency, tally.duration_us / 1_000_000)


def _of_providers(accounts: Accounts) -> Mapping[Instrument, Reading]:
    guards = accounts.guards.values()

    def breakers() -> Iterator[Sample]:
        for guard in guards:
            for state in BreakerState:
                labels = {show.PROVIDER: guard.provider_id, show.STATE: str(state)}
                yield float(guard.state is state), labels

    return {
        show.BREAKER: breakers,
        show.CALLS: lambda: [
            (len(guard.calls), {show.PROVIDER: guard.provider_id}) for guard in guards
        ],
        show.CALLS_WAITING: lambda: [
            (guard.limiter.waiting, {show.PROVIDER: guard.provider_id}) for guard in guards
        ],
    }


def _of_messages(runtime: Runtime, records: MessageStore) -> Mapping[Instrument, Reading]:
    def dead_letters() -> Iterator[Sample]:
        for queue, cause in product(_DIE_IN, CAUSES):
            labels = {names.DESTINATION: str(queue), show.CAUSE: cause}
            yield runtime.publisher.dead_letters[queue, cause], labels

    return {
        show.DEAD_LETTERS: dead_letters,
        show.TAKEOVERS: lambda: [
            (records.taken_over[lane], {show.LANE: str(lane)}) for lane in Lane
        ],
    }


def _of_the_replica(runtime: Runtime) -> Mapping[Instrument, Reading]:
    def alerts() -> Iterator[Sample]:
        for each in runtime.alerts.seen():
            labels = {show.CODE: each.code, show.SEVERITY: str(each.severity)}
            yield 1.0, labels | ({show.PROVIDER: each.provider} if each.provider else {})

    return {
        show.ALERTS: alerts,
        show.IN_HAND: lambda: [(runtime.lanes.in_hand, {})],
        show.TASKS: tasks,
        show.CONSUMING: lambda: [(float(runtime.lanes.consuming), {})],
        show.DROPPED_METRICS: lambda: [(runtime.publisher.dropped_metrics, {})],
    }


def tasks() -> list[Sample]:
    """How many tasks of the running loop have not ended."""
    return [(len(asyncio.all_tasks()), {})]


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
