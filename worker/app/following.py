"""Builds what keeps this replica on the snapshot in force and reports it in a heartbeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.names import Exchange, Key
from worker.app.replica import process_of
from worker.broker.wakeups import Wakeups
from worker.control.snapshot_effects import SnapshotEffects
from worker.control.snapshot_follower import SnapshotFollower
from worker.domain.migration.replicas import Heartbeat

if TYPE_CHECKING:
    from worker.app.accounts import Accounts
    from worker.app.health import StoreHealth
    from worker.app.runtime import Runtime
    from worker.app.stores import Stores
    from worker.handlers.round import PendingIntents
    from worker.telemetry.metrics import AttemptMetrics


def snapshot_follower(
    runtime: Runtime,
    accounts: Accounts,
    stores: Stores,
    *,
    health: StoreHealth,
    metrics: AttemptMetrics,
    pending: PendingIntents,
) -> SnapshotFollower:
    """Build the follower of the control log; an account fault wakes it, to tell other replicas."""
    process = process_of(runtime.clock.now())

    def heartbeat(applied: int | None) -> Heartbeat:
        guards = accounts.guards.values()
        return Heartbeat(
            replica=runtime.replica,
            applied=applied,
            oldest_unsent=pending.oldest(),
            breakers={guard.provider_id: str(guard.state) for guard in guards},
            faults={guard.provider_id: guard.fault for guard in guards if guard.fault},
            in_hand=runtime.lanes.in_hand,
            consuming=runtime.lanes.consuming,
            process=process,
        )

    follower = SnapshotFollower(
        log=stores.log,
        replicas=stores.replicas,
        followed=(stores.suppressions,),
        guards=accounts.guards.values(),
        clock=runtime.clock,
        background=runtime.background,
        max_age_s=runtime.cfg.snapshot_max_age_s,
        heartbeat=heartbeat,
        stale=lambda stale: health.away("state not verified") if stale else health.recovered(),
        swapped=SnapshotEffects(accounts.guards, metrics, stores.slots, runtime.background),
    )
    for guard in accounts.guards.values():
        guard.on_fault(lambda *_: follower.wake())
    return follower


def wakeups(runtime: Runtime, follower: SnapshotFollower) -> Wakeups:
    """Build the listener that makes the follower read a newly announced state at once."""
    return Wakeups(runtime.consuming, runtime.background, Exchange.STATE, Key.STATE, follower.wake)
