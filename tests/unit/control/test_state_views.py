"""The state in force as it crosses the wire: what holds now, as fields and in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from contracts.control_views import LockView, ProposalView
from tests.support.fakes import EPOCH, snapshot
from worker.control import state_views, status_views
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.margin import Block
from worker.domain.detection.rerun import shown
from worker.domain.migration import missing
from worker.domain.migration.access import AccessRole
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.gates import Gate, GateVerdict
from worker.domain.migration.phases import Phase
from worker.domain.migration.snapshot import Lock, Proposal

LATER = EPOCH + timedelta(hours=1)
FULL = replace(
    snapshot(25, Phase.GRADUAL_MIGRATION, 8),
    since=EPOCH - timedelta(hours=3),
    notes="all is well",
    lock=Lock(LATER, "failed: worse than legacy"),
    proposal=Proposal(7, "ann", Phase.GRADUAL_MIGRATION, 50, LATER),
    backups=MappingProxyType({"friday": 3}),
    proven=(1, 5),
    last_percentages=MappingProxyType({Phase.PARALLEL_SETUP: 5}),
    automatic_downs=(EPOCH - timedelta(days=1),),
)


def test_a_lock_and_a_proposal_are_there_as_fields_and_in_words() -> None:
    view = state_views.state(FULL, EPOCH)
    assert view.lock == LockView(reason="failed: worse than legacy", until=LATER)
    assert view.locked == view.lock.reason
    assert view.proposed == ProposalView(
        number=7, by="ann", phase="GradualMigration", percentage=50, expires_at=LATER
    )
    assert view.proposal == "7: GradualMigration at 50 % by ann"


def test_a_lock_that_ended_and_a_proposal_that_expired_are_not_shown() -> None:
    view = state_views.state(FULL, LATER)
    assert (view.lock, view.locked, view.proposed, view.proposal) == (None,) * 4


def test_a_lock_that_a_person_must_lift_has_no_end() -> None:
    view = state_views.state(replace(FULL, lock=Lock(None, "third time")), LATER)
    assert view.lock == LockView(reason="third time", until=None)


def test_what_a_person_asks_about_a_state_is_there() -> None:
    view = state_views.state(FULL, EPOCH)
    assert (view.since, view.reason) == (FULL.since, "all is well")
    assert (view.backups, view.proven) == ({"friday": 3}, (1, 5))
    assert view.last_percentages == {"ParallelSetup": 5}
    assert view.automatic_downs == FULL.automatic_downs


@pytest.mark.parametrize(
    ("flags", "share"),
    [({}, 25), ({"target_enabled": False}, 0), ({"legacy_enabled": False}, 100)],
)
def test_the_share_is_what_goes_to_the_target_in_fact(flags: dict[str, bool], share: int) -> None:
    view = state_views.state(snapshot(25, Phase.GRADUAL_MIGRATION, 8, **flags), EPOCH)
    assert (view.percentage, view.share) == (25, share)


def test_a_gate_says_what_is_missing_as_numbers_and_in_words() -> None:
    left = missing.counted(50, 0.3)
    view = state_views.gate(Gate(GateName.SUCCESS, ">", "<", GateVerdict.NOT_ENOUGH, 1, left))
    assert (view.missing, view.missing_outcomes, view.missing_s) == (left.words, 50, 166.7)


def test_an_open_gate_misses_nothing() -> None:
    view = state_views.gate(Gate(GateName.SUCCESS, ">", "<", GateVerdict.PASS))
    assert (view.missing, view.missing_outcomes, view.missing_s) == (None, None, None)


@pytest.mark.parametrize(("role", "count"), list(zip(AccessRole, (0, 6, 24), strict=True)))
def test_who_asks_is_told_the_role_and_its_commands(role: AccessRole, count: int) -> None:
    asker = state_views.asker("oda", role)
    assert (asker.user, asker.role, len(asker.commands)) == ("oda", role, count)


def test_the_evidence_is_there_as_numbers_and_in_words() -> None:
    known = Evidence(
        counted=(Block(7, 31, 1, 70), Block(), Block()),
        relative=((9.0,) * 6, (0.0,) * 6, (1.0,) * 6),
    )
    view = status_views.monitor(Checkpoint(1, EPOCH, known, {}, age_s=4.06))
    assert view.signals is not None
    failed = view.signals["failed"]
    assert (failed.target_events, failed.target_total) == (7, 31)
    assert (failed.legacy_events, failed.legacy_total) == (1, 70)
    assert (failed.relative.value, failed.absolute.value) == (9.0, 0.0)
    assert view.age_s == 4.1
    assert (
        f"worse than legacy {failed.relative.value:.1f} (alarm at 13.2)" in shown(known)["failed"]
    )
    assert (failed.relative.alarm, failed.absolute.alarm) == (13.16, 13.85)
