"""Values with every field set, as they are kept in tests/contracts/stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.automation import Inputs
from worker.domain.detection.cohorts import Calls, Cohort, ReplicaCalls
from worker.domain.detection.criteria import Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.sick_replica import SickReplica
from worker.domain.detection.threshold_policy import Window
from worker.domain.detection.tick import ProviderTick, Tick
from worker.domain.migration.flags import Flags, MigrationSettings, RollbackPolicy, Thresholds
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role
from worker.domain.migration.snapshot import Lock, Proposal, Snapshot
from worker.domain.probes.settings import ValidationTraffic

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTING = Criteria(25, 1.0)
HELD = (HoldReason.ACCOUNT,)


def state() -> Snapshot:
    """A state with everything set."""
    return Snapshot(
        version=7,
        lineage="8c1f7e66-0f5b-4f0e-9a43-1d1f0d6d6f01",
        phase=Phase.GRADUAL_MIGRATION,
        percentage=25,
        flags=_flags(),
        legacy_retired=True,
        held=True,
        lock=Lock(AT + timedelta(hours=1), "rolled back by itself"),
        proposal=Proposal(6, "anna", Phase.LEGACY_DEPRECATION, 75, AT + timedelta(hours=2)),
        breaker_resets=MappingProxyType({Role.TARGET: 2}),
        last_percentages=MappingProxyType({Phase.PARALLEL_SETUP: 5}),
        backups=MappingProxyType({"before.friday": 3}),
        started_at=AT - timedelta(days=2),
        since=AT - timedelta(days=1),
        initiated_by="anna",
        previous_phase=Phase.PARALLEL_SETUP,
        notes="complaints are gone",
        proven=(1, 5),
        automatic_downs=(AT - timedelta(days=3),),
    )


def _flags() -> Flags:
    probes = ValidationTraffic(
        enabled=True, numbers=("+260971111111",), interval_s=30.0, providers=(Role.TARGET,)
    )
    return Flags(
        target_enabled=True,
        legacy_enabled=False,
        automatic_rollback=False,
        rollback_policy=RollbackPolicy.THRESHOLD,
        thresholds=Thresholds(4.0, 91.0, 4_000.0, 6.0, 90),
        user_overrides=MappingProxyType({"u.$7": Role.TARGET}),
        branch_overrides=MappingProxyType({-3: Role.LEGACY}),
        migration=MigrationSettings(
            auto_advance=True,
            health_interval_min=4.0,
            minimum_phase_min=31.0,
            soak_min=61.0,
            minimum_sample=99,
            require_approval=False,
            four_eyes=True,
            notify=("ops@example.org",),
            metrics_retention_days=29,
            validation=probes,
        ),
        phases=DEFAULT_RULES,
    )


def tick(number: int) -> Tick:
    """A tick with something of everything."""
    return Tick(
        at=AT.timestamp() + 10.0 * number,
        target=ProviderTick(EventCounts(7, 31), EventCounts(2, 24)),
        legacy=ProviderTick(EventCounts(1, 70), EventCounts(1, 69)),
        legacy_all=EventCounts(1, 70),
        breaker_open=True,
        account_fault="balance",
        cohorts=(
            Cohort(
                AT.timestamp() - 30.0,
                *(Calls(24, 7, 2, 3, 1), Calls(69, 1, 1), Calls(71, 1)),
                replicas=(ReplicaCalls("ours", 10, 0, 1, 1, 34), ReplicaCalls("theirs", ok=24)),
            ),
            Cohort(AT.timestamp() + 10.0 * number, Calls(5, open=2), Calls(9, open=1)),
        ),
    )


def evidence(ticks: int) -> Evidence:
    """The evidence after some ticks."""
    known = Evidence(since=1.0, sick_replica=SickReplica("ours", 9, 9, 0, 20))
    for number in range(ticks):
        known = observe(known, tick(number), SETTING)
    return known


def inputs() -> Inputs:
    """What an automatic decision is made on."""
    window, measures = Window(1, 2, 3.0, 4.0), Measures(4)
    return Inputs(AT, evidence(1), tick(1), SETTING, HELD, window, measures)
