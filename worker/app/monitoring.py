"""Builds what watches both providers: measures, health reports, monitor, prober and watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.app.accounts import fingerprint
from worker.broker.unrouted import UnroutedWatch
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.figures.health import Subject
from worker.domain.migration import flags
from worker.domain.migration.phases import Role
from worker.monitoring.accounts import AccountWatch
from worker.monitoring.health_reports import Reporting
from worker.monitoring.measures import Measuring
from worker.monitoring.monitor import Monitor
from worker.monitoring.prober import Prober
from worker.monitoring.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.app.accounts import Accounts
    from worker.app.control import ControlStores
    from worker.app.runtime import Runtime
    from worker.app.stores import Stores
    from worker.control.snapshot_follower import SnapshotFollower
    from worker.domain.detection.checkpoint import Checkpoint


def measuring_of(runtime: Runtime, accounts: Accounts, stores: ControlStores) -> Measuring:
    """Build what measures the target for gates and queries."""
    return Measuring(
        stores.slots,
        accounts.providers[Role.TARGET],
        accounts.providers[Role.LEGACY],
        runtime.clock,
        stores.evidence.known,
        delivery_age_s=runtime.cfg.delivery_age_s,
    )


def health_reports(
    runtime: Runtime, accounts: Accounts, follower: SnapshotFollower, measuring: Measuring
) -> Reporting:
    """Build the health reports on both providers, published as metrics and given as answers."""
    subjects = {
        role: Subject(provider.id, role, provider.gives_reports)
        for role, provider in accounts.providers.items()
    }
    return Reporting(
        sums=measuring.sums,
        target=subjects[Role.TARGET],
        legacy=subjects[Role.LEGACY],
        snapshots=follower,
        broadcast=runtime.publisher,
        clock=runtime.clock,
    )


def monitor_of(
    runtime: Runtime,
    accounts: Accounts,
    stores: ControlStores,
    *,
    follower: SnapshotFollower,
    measuring: Measuring,
    reports: Reporting,
    seen: Callable[[Checkpoint | None], None],
) -> Monitor:
    """Build the monitor, which looks at the outcomes and acts on the evidence."""
    cfg = runtime.cfg
    return Monitor(
        log=stores.log,
        ticks=Ticks(
            slots=stores.slots,
            cohorts=stores.cohorts,
            replicas=stores.replicas,
            target=accounts.providers[Role.TARGET],
            legacy=accounts.providers[Role.LEGACY],
            delivery_age_s=cfg.delivery_age_s,
            accounts=(fingerprint(cfg.target), fingerprint(cfg.legacy)),
        ),
        checkpoints=stores.evidence,
        figures=measuring,
        publish=reports.publish,
        replier=runtime.publisher,
        alerts=runtime.alerts,
        wake=follower.wake,
        clock=runtime.clock,
        background=runtime.background,
        seen=seen,
    )


def account_watch(runtime: Runtime, accounts: Accounts, follower: SnapshotFollower) -> AccountWatch:
    """Build the watch on our accounts, which asks at the health interval in force."""

    def interval_s() -> float:
        state = follower.current
        settings = state.flags.migration if state else flags.MigrationSettings()
        return settings.health_interval_min * 60

    return AccountWatch(
        providers=tuple(accounts.providers.values()),
        low_balance={s.id: s.low_balance for s in accounts.settings.values() if s.low_balance},
        alerts=runtime.alerts,
        interval_s=interval_s,
        background=runtime.background,
    )


def prober_of(
    runtime: Runtime, accounts: Accounts, stores: Stores, follower: SnapshotFollower
) -> Prober:
    """Build the prober, which sends validation traffic."""
    return Prober(
        snapshots=follower,
        records=stores.due,
        evidence_of=stores.evidence.known,
        publisher=runtime.publisher,
        providers=accounts.providers,
        alerts=runtime.alerts,
        clock=runtime.clock,
        background=runtime.background,
        delivery_age_s=runtime.cfg.delivery_age_s,
        max_age_s=runtime.cfg.snapshot_max_age_s,
    )


def unrouted_watch(runtime: Runtime) -> UnroutedWatch:
    """Build the watch that counts events nobody receives, and alerts once while there are any."""
    alerts = runtime.alerts

    def counted(count: int) -> None:
        if count:
            alerts.raise_alert(
                AlertCode.EVENTS_UNROUTED,
                f"nobody received {count} events of the last hour: no queue is bound to them",
                suggested_command="sms-worker unrouted",
            )
        else:
            alerts.resolve(AlertCode.EVENTS_UNROUTED, "every event of the last hour was received")

    return UnroutedWatch(runtime.consuming, runtime.background, counted)
