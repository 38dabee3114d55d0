"""The life of a message, cell by cell: record state x delivery -> action, as the design says."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from worker.domain.messages.delivery_action import (
    ACTIONS,
    DeliveryAction,
    Situation,
    action,
    may_resend,
    situation,
)
from worker.domain.messages.message import Lane, OnUnknown, Recipient, Record, State

ALIVE, DEAD = Situation.LEASE_ALIVE, Situation.LEASE_DEAD
MATCHES, DIFFERS = Situation.ROUND_MATCHES, Situation.ROUND_DIFFERS
LEFT, SETTLED, NEW = Situation.RESEND_LEFT, Situation.SETTLED, Situation.NEW

# The table of the design, written down once more: everything else cannot be.
EXPECTED = {
    (None, NEW): DeliveryAction.BEGIN,
    (State.SUBMITTING, ALIVE): DeliveryAction.PARK,
    (State.SUBMITTING, DEAD): DeliveryAction.DECLARE_UNKNOWN,
    (State.WAITING, MATCHES): DeliveryAction.CONTINUE,
    (State.WAITING, DIFFERS): DeliveryAction.COPY_AGAIN,
    (State.ACCEPTED, SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
    (State.UNKNOWN, LEFT): DeliveryAction.RESEND,
    (State.UNKNOWN, SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
    (State.FAILED, SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
    (State.REJECTED, SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
    (State.EXPIRED, SETTLED): DeliveryAction.ANNOUNCE_AGAIN,
}
CELLS = list(product((None, *State), Situation))


def record(state: State, **changes: object) -> Record:
    fields: dict[str, object] = {
        "id": "m-1",
        "fingerprint": "f",
        "recipient": Recipient("h", "m"),
        "lane": Lane.TRANSACTIONAL,
        "on_unknown": OnUnknown.RESEND,
        "expires_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Record(**(fields | changes), state=state)


@pytest.mark.parametrize(("state", "where"), CELLS)
def test_each_cell_has_its_action_or_is_an_error(state: State | None, where: Situation) -> None:
    found = record(state) if state else None
    if (state, where) in EXPECTED:
        assert action(found, where) is EXPECTED[state, where]
    else:
        with pytest.raises(KeyError):
            action(found, where)


def test_the_table_has_no_other_cell() -> None:
    assert set(ACTIONS) == set(EXPECTED)


def test_every_action_is_reached() -> None:
    assert set(ACTIONS.values()) == set(DeliveryAction)


def where(found: Record | None, carried: int = 0, *, expired: bool = False) -> Situation:
    return situation(found, round_carried=carried, expired=expired)


def test_no_record_is_new() -> None:
    assert where(None, 3) is NEW


@pytest.mark.parametrize(("alive", "expected"), [(True, ALIVE), (False, DEAD)])
def test_submitting_goes_by_the_lease(alive: bool, expected: Situation) -> None:  # noqa: FBT001 - a parameter
    assert where(record(State.SUBMITTING, lease_alive=alive)) is expected


@pytest.mark.parametrize(
    ("carried", "expected"), [(0, DIFFERS), (1, DIFFERS), (2, MATCHES), (3, DIFFERS)]
)
def test_waiting_goes_by_the_round(carried: int, expected: Situation) -> None:
    assert where(record(State.WAITING, round=2), carried) is expected


@pytest.mark.parametrize(
    ("policy", "used", "expired", "left"),
    [
        (OnUnknown.RESEND, False, False, True),
        (OnUnknown.RESEND, True, False, False),
        (OnUnknown.RESEND, False, True, False),
        (OnUnknown.HOLD, False, False, False),
        (OnUnknown.HOLD, True, True, False),
    ],
)
def test_unknown_is_sent_once_more_where_policy_and_life_allow(
    policy: OnUnknown,
    used: bool,  # noqa: FBT001 - a parameter
    expired: bool,  # noqa: FBT001 - a parameter
    left: bool,  # noqa: FBT001 - a parameter
) -> None:
    found = record(State.UNKNOWN, on_unknown=policy, resend_used=used)
    assert may_resend(found, expired=expired) is left
    assert where(found, expired=expired) is (LEFT if left else SETTLED)


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("policy", OnUnknown)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("carried", [0, 1])
@pytest.mark.parametrize("flags", list(product([False, True], repeat=3)))
def test_whatever_a_delivery_finds_the_table_has_a_cell_for_it(
    lane: Lane, policy: OnUnknown, state: State, carried: int, flags: tuple[bool, bool, bool]
) -> None:
    alive, used, expired = flags
    found = record(
        state, lane=lane, on_unknown=policy, round=1, lease_alive=alive, resend_used=used
    )
    assert action(found, where(found, carried, expired=expired)) is not DeliveryAction.BEGIN
