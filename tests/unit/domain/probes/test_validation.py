"""Which probe is due, and what the last ones say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import EPOCH, KEY, snapshot
from worker.domain.detection.automatic_rollback import Action, judge
from worker.domain.detection.contrast import Contrast, Proofs
from worker.domain.detection.criteria import Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.tick import ProviderTick, Tick
from worker.domain.messages import masking
from worker.domain.messages.message import Attempt, Delivery, Lane, OnUnknown, Record, Result, State
from worker.domain.messages.segments import Encoding, count
from worker.domain.migration.flags import MigrationSettings
from worker.domain.migration.phases import Phase, Role
from worker.domain.probes import validation
from worker.domain.probes.settings import ValidationTraffic

T, L = Role.TARGET, Role.LEGACY
NUMBERS = ("+260971000001", "+260971000002", "+260971000003")
ASKED = ValidationTraffic(enabled=True, numbers=NUMBERS)
BAD = (((50.0,) * 5,) * 2, ((0.0,) * 5,), ((0.0,) * 5,))


def probing(phase: Phase = Phase.GRADUAL_MIGRATION, **changes: Any) -> Any:
    return snapshot(
        50,
        phase,
        migration=MigrationSettings(validation=replace(ASKED, **changes.pop("asked", {}))),
        **changes,
    )


# --- whom ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "roles"),
    [
        (snapshot(50), set()),
        (probing(asked={"enabled": False}), set()),
        (probing(), {T, L}),
        (probing(asked={"providers": (L,)}), {L}),
        (probing(legacy_enabled=False), {T}),
        (probing(target_enabled=False), {L}),
        (probing(Phase.NOT_STARTED), {L}),
        (probing(Phase.ROLLBACK), {L}),
        (probing(Phase.ROLLBACK, legacy_enabled=False), set()),
    ],
)
def test_only_who_is_in_service_is_probed(state: Any, roles: set[Role]) -> None:
    assert validation.probed(state) == roles


# --- which -----------------------------------------------------------------------------------


@given(st.floats(0, 59.99), st.floats(0, 59.99))
def test_every_replica_means_the_same_probe_in_a_slot(one: float, two: float) -> None:
    first, second = (
        validation.due(L, probing(), EPOCH + timedelta(seconds=s), 60) for s in (one, two)
    )
    assert (first, first.text) == (second, second.text)


def test_slots_providers_lineages_and_numbers_are_different_probes() -> None:
    state, later = probing(), EPOCH + timedelta(seconds=60)
    probes = [
        validation.due(L, state, EPOCH, 60),
        validation.due(L, state, later, 60),
        validation.due(T, state, EPOCH, 60),
        validation.due(L, replace(state, lineage="another"), EPOCH, 60),
        validation.due(L, probing(asked={"numbers": NUMBERS[:1]}), later, 60),
    ]
    assert len({probe.id for probe in probes}) == len(probes)


def test_numbers_are_taken_in_turn() -> None:
    found = [
        validation.due(L, probing(), EPOCH + timedelta(seconds=60 * n), 60).to for n in range(6)
    ]
    assert sorted(found[:3]) == sorted(NUMBERS)
    assert found[3:] == found[:3]


@pytest.mark.parametrize(("every_s", "life_s"), [(5, 60), (10, 60), (60, 120), (3_600, 7_200)])
def test_a_probe_lives_for_two_intervals_and_for_a_minute_at_least(
    every_s: float, life_s: float
) -> None:
    probe = validation.due(L, probing(), EPOCH, every_s)
    assert probe.expires_at == EPOCH + timedelta(seconds=life_s)


def test_a_probe_is_one_part_of_gsm_7() -> None:
    found = count(validation.due(T, probing(), EPOCH, 60).text)
    assert (found.encoding, found.parts) == (Encoding.GSM7, 1)


def test_the_probes_before_are_those_that_were_due() -> None:
    state, at = probing(), EPOCH + timedelta(seconds=200)
    due = [validation.due(L, state, at - timedelta(seconds=60 * n), 60) for n in (1, 2, 3)]
    assert validation.before(L, state, at, 60) == tuple(due)


# --- what they say ---------------------------------------------------------------------------


def record(state: State, delivery: Delivery = Delivery.NONE) -> Record:
    attempt = Attempt(1, "at", 1, "validation", result=Result.ACCEPTED, delivery=delivery)
    return Record(
        id="p",
        fingerprint="",
        recipient=masking.recipient(KEY, NUMBERS[0]),
        lane=Lane.TRANSACTIONAL,
        on_unknown=OnUnknown.HOLD,
        state=state,
        expires_at=EPOCH,
        attempts=(attempt,),
        probe=T,
    )


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        (State.ACCEPTED, True),
        (State.UNKNOWN, False),
        (State.FAILED, False),
        (State.REJECTED, False),
        (State.EXPIRED, None),
        (State.SUBMITTING, None),
        (State.WAITING, None),
    ],
)
def test_a_record_says_whether_the_probe_was_accepted(state: State, *, answer: bool | None) -> None:
    assert validation.accepted(record(state)) is answer
    assert validation.accepted(None) is None


@pytest.mark.parametrize(
    ("state", "delivery", "answer"),
    [
        (State.ACCEPTED, Delivery.DELIVERED, True),
        (State.ACCEPTED, Delivery.UNDELIVERED, False),
        (State.ACCEPTED, Delivery.SUBMITTED, False),
        (State.ACCEPTED, Delivery.NONE, False),
        (State.FAILED, Delivery.NONE, None),
        (State.EXPIRED, Delivery.NONE, None),
    ],
)
def test_only_an_accepted_probe_says_whether_it_arrived(
    state: State, delivery: Delivery, *, answer: bool | None
) -> None:
    assert validation.delivered(record(state, delivery)) is answer
    assert validation.delivered(None) is None


@pytest.mark.parametrize(
    ("answers", "works"),
    [
        ((False, False, False), False),
        ((False, None, False), None),
        ((None, None, None), None),
        ((), None),
        ((True, False, False), True),
        ((None, False, True), True),
    ],
)
def test_three_in_a_row_are_trouble_and_silence_is_nothing(
    answers: tuple[bool | None, ...], *, works: bool | None
) -> None:
    assert validation.works(answers) is works


# --- legacy, when only probes can speak for it -------------------------------------------------


@pytest.mark.parametrize(
    ("known", "every_s"),
    [
        (None, 60.0),
        (Evidence(), 60.0),
        (Evidence(absolute=BAD), validation.URGENT_S),
        (Evidence(absolute=BAD, apart=Contrast(shown=Proofs((5.0,) * 5, (5.0,) * 5))), 60.0),
        (Evidence(absolute=BAD, legacy_bad=(50.0,) * 5), 60.0),
    ],
)
def test_legacy_is_probed_often_where_only_that_can_decide(
    known: Evidence | None, every_s: float
) -> None:
    assert validation.interval_s(L, ASKED, known) == every_s
    assert validation.interval_s(T, ASKED, known) == 60.0


def judged_at_100(probes: EventCounts, ticks: int) -> tuple[Action, int]:
    """What is done, and probes of legacy until then, while the target fails half its messages."""
    state = snapshot(100, Phase.COMPLETE_MIGRATION)
    known, setting, sent = Evidence(), Criteria(100, None), 0
    for at in range(1, ticks + 1):
        tick = Tick(
            at * 10.0, ProviderTick(failed=EventCounts(10, 20)), ProviderTick(), legacy_all=probes
        )
        known = observe(known, tick, setting)
        sent += int(probes.total)
        if judge(known, state).action.down:
            break
    return judge(known, state).action, sent


def test_at_100_per_cent_probes_that_legacy_takes_bring_a_rollback_after_73() -> None:
    assert judged_at_100(EventCounts(0, 1), 100) == (Action.ROLL_BACK, 73)


def test_at_100_per_cent_without_probes_it_holds() -> None:
    assert judged_at_100(EventCounts(), 500) == (Action.HOLD, 0)


def test_at_100_per_cent_with_probes_that_fail_it_holds() -> None:
    assert judged_at_100(EventCounts(1, 2), 500)[0] is Action.HOLD
