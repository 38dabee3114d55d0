"""Who gets a message, and why.

The golden vectors were computed from the definition by another hand:
    printf '%s' NUMBER | openssl sha1 -binary | od -An -tdI -N4      (little-endian machine)
then the absolute value modulo 100.
"""

from __future__ import annotations

import hashlib
import struct
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import NUMBER, snapshot
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.routing import bucket, bucket_of_digest, decide

if TYPE_CHECKING:
    from worker.domain.migration.snapshot import Snapshot

T, L = Role.TARGET, Role.LEGACY
NUMBERS = st.integers(950_000_000, 979_999_999).map(lambda n: f"+260{n}")
GOLDEN = {
    "+260977123456": 24,  # -1329825724
    "+260966000001": 74,  # 1867926674
    "+260955123123": 53,  # -1984594153
    "+260777000000": 54,  # 1828629054
    "+260761234567": 40,  # -1955664840
    "+254711123456": 52,  # -1080952252
}


@pytest.mark.parametrize(("number", "place"), GOLDEN.items())
def test_the_bucket_of_a_number_is_the_golden_one(number: str, place: int) -> None:
    assert bucket(number) == place


@given(st.text())
def test_the_bucket_is_the_first_four_bytes_of_sha1_read_as_the_old_system_did(text: str) -> None:
    (number,) = struct.unpack("<i", hashlib.sha1(text.encode()).digest()[:4])  # noqa: S324 - the definition
    assert bucket(text) == abs(number) % 100


def test_the_smallest_integer_has_a_bucket() -> None:
    assert bucket_of_digest(struct.pack("<i", -(2**31)) + bytes(16)) == 48


@pytest.mark.parametrize(
    ("value", "place"), [(0, 0), (-1, 1), (99, 99), (-250, 50), (2**31 - 1, 47)]
)
def test_a_digest_counts_by_its_absolute_value(value: int, place: int) -> None:
    assert bucket_of_digest(struct.pack("<i", value)) == place


@given(NUMBERS, st.integers(0, 100), st.integers(0, 100))
def test_raising_the_percentage_never_moves_a_number_back(number: str, one: int, two: int) -> None:
    low, high = sorted((one, two))
    before = decide(number, None, None, snapshot(low)).preferred
    after = decide(number, None, None, snapshot(high)).preferred
    assert (before, after) != (T, L)


@given(NUMBERS)
def test_nobody_at_0_and_everybody_at_100_goes_to_the_target(number: str) -> None:
    assert decide(number, None, None, snapshot(0)).candidates == (L, T)
    assert decide(number, None, None, snapshot(100)).candidates == (T, L)


PLACE = bucket(NUMBER)


@pytest.mark.parametrize(
    ("percentage", "first", "reason"),
    [
        (PLACE, L, f"percentage: bucket {PLACE} >= {PLACE}"),
        (PLACE + 1, T, f"percentage: bucket {PLACE} < {PLACE + 1}"),
    ],
)
def test_the_percentage_is_an_open_bound(percentage: int, first: Role, reason: str) -> None:
    decision = decide(NUMBER, None, None, snapshot(percentage))
    assert decision.candidates == (first, first.other)
    assert decision.reason == reason
    assert decision.assigned


USERS = MappingProxyType({"ann": T, "bob": L})
BRANCHES = MappingProxyType({7: T, 8: L})


@pytest.mark.parametrize(
    ("percentage", "user", "branch", "first", "reason"),
    [
        (0, "ann", None, T, "user override"),
        (100, "bob", None, L, "user override"),
        (100, "ann", 8, T, "user override"),
        (0, "carol", 7, T, "branch override"),
        (100, None, 8, L, "branch override"),
        (100, "carol", 9, T, f"percentage: bucket {PLACE} < 100"),
    ],
)
def test_user_before_branch_before_percentage(
    percentage: int, user: str | None, branch: int | None, first: Role, reason: str
) -> None:
    state = snapshot(percentage, user_overrides=USERS, branch_overrides=BRANCHES)
    decision = decide(NUMBER, user, branch, state)
    assert (decision.candidates, decision.reason) == ((first, first.other), reason)
    assert decision.assigned is reason.startswith("percentage")


@pytest.mark.parametrize("phase", [Phase.NOT_STARTED, Phase.ROLLBACK])
@pytest.mark.parametrize(
    ("user", "branch", "ignored"),
    [
        (None, None, ""),
        ("bob", None, ""),
        ("ann", None, "; user override to target ignored"),
        (None, 7, "; branch override to target ignored"),
    ],
)
def test_legacy_is_alone_before_the_start_and_after_a_rollback(
    phase: Phase, user: str | None, branch: int | None, ignored: str
) -> None:
    state = snapshot(100, phase, user_overrides=USERS, branch_overrides=BRANCHES)
    decision = decide(NUMBER, user, branch, state)
    assert decision.candidates == (L,)
    assert decision.reason == f"phase {phase}: legacy alone{ignored}"
    assert not decision.assigned


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.NOT_STARTED, Phase.ROLLBACK}))
def test_every_other_phase_has_both_providers(phase: Phase) -> None:
    assert set(decide(NUMBER, None, None, snapshot(50, phase)).candidates) == {T, L}


def test_a_disabled_provider_is_not_even_the_fallback() -> None:
    decision = decide(NUMBER, None, None, snapshot(100, legacy_enabled=False))
    assert decision.candidates == (T,)
    assert decision.assigned


def test_the_other_takes_the_share_of_a_disabled_provider_and_it_is_no_evidence() -> None:
    decision = decide(NUMBER, None, None, snapshot(100, target_enabled=False))
    assert (decision.candidates, decision.preferred) == ((L,), L)
    assert decision.reason == f"percentage: bucket {PLACE} < 100; target disabled"
    assert not decision.assigned


def test_an_override_to_a_disabled_provider_goes_to_the_other() -> None:
    state = snapshot(0, target_enabled=False, user_overrides=USERS)
    decision = decide(NUMBER, "ann", None, state)
    assert (decision.candidates, decision.reason) == ((L,), "user override; target disabled")


def test_legacy_alone_and_disabled_leaves_nobody() -> None:
    decision = decide(NUMBER, None, None, snapshot(0, Phase.ROLLBACK, legacy_enabled=False))
    assert (decision.candidates, decision.preferred) == ((), None)
    assert decision.reason == "phase Rollback: legacy alone; no enabled provider has a role"


@pytest.mark.parametrize(
    ("blocked", "candidates", "skipped"),
    [((), (T, L), ()), ((T,), (L,), (T,)), ((L,), (T,), (L,)), ((T, L), (), (T, L))],
)
def test_who_is_blocked_is_skipped_and_the_preference_stays(
    blocked: tuple[Role, ...], candidates: tuple[Role, ...], skipped: tuple[Role, ...]
) -> None:
    decision = decide(NUMBER, None, None, snapshot(100), frozenset(blocked))
    assert (decision.candidates, decision.skipped) == (candidates, skipped)
    assert (decision.preferred, decision.assigned) == (T, True)


def test_a_provider_without_a_role_is_not_skipped_but_absent() -> None:
    decision = decide(NUMBER, None, None, snapshot(0, Phase.ROLLBACK), frozenset({T}))
    assert (decision.candidates, decision.skipped) == ((L,), ())


@pytest.mark.parametrize("percentage", [0, 100])
@pytest.mark.parametrize("role", Role)
def test_a_probe_goes_to_its_provider_alone_whatever_the_percentage(
    role: Role, percentage: int
) -> None:
    state = snapshot(percentage, user_overrides=MappingProxyType({"ann": role.other}))
    decision = decide(NUMBER, "ann", None, state, probe=role)
    assert (decision.candidates, decision.preferred) == ((role,), role)
    assert (decision.reason, decision.assigned) == (f"validation: {role}", False)


@pytest.mark.parametrize(
    ("state", "role"),
    [
        (snapshot(0, Phase.NOT_STARTED), T),
        (snapshot(0, Phase.ROLLBACK), T),
        (snapshot(50, target_enabled=False), T),
        (snapshot(50, legacy_enabled=False), L),
    ],
)
def test_a_probe_of_who_is_not_in_service_goes_to_nobody(state: Snapshot, role: Role) -> None:
    decision = decide(NUMBER, None, None, state, probe=role)
    assert (decision.candidates, decision.skipped) == ((), ())
    assert decision.reason == f"validation: {role} is not in service"


def test_a_probe_waits_for_no_breaker() -> None:
    decision = decide(NUMBER, None, None, snapshot(50), frozenset({L}), probe=L)
    assert (decision.candidates, decision.skipped) == ((), (L,))
    assert decision.reason == "validation: the breaker of legacy is open"


# --- busy -------------------------------------------------------------------------------------


def test_a_busy_provider_is_passed_over_and_the_reason_says_so() -> None:
    decision = decide(NUMBER, None, None, snapshot(100), busy=frozenset({T}))
    assert (decision.candidates, decision.busy, decision.skipped) == ((L,), (T,), ())
    assert decision.reason == "percentage: bucket 24 < 100; target takes no more now"
    assert (decision.preferred, decision.assigned) == (T, True)


def test_a_busy_fallback_changes_no_reason() -> None:
    decision = decide(NUMBER, None, None, snapshot(100), busy=frozenset({L}))
    assert (decision.candidates, decision.busy) == ((T,), (L,))
    assert decision.reason == "percentage: bucket 24 < 100"


def test_an_open_breaker_counts_before_being_busy() -> None:
    both = frozenset({T, L})
    decision = decide(NUMBER, None, None, snapshot(100), frozenset({T}), busy=both)
    assert (decision.candidates, decision.skipped, decision.busy) == ((), (T,), (L,))
    assert decision.reason == "percentage: bucket 24 < 100"


def test_who_is_not_in_service_is_not_called_busy() -> None:
    decision = decide(NUMBER, None, None, snapshot(100, Phase.ROLLBACK), busy=frozenset({T, L}))
    assert (decision.candidates, decision.busy) == ((), (L,))


def test_a_probe_of_a_busy_provider_goes_to_nobody_else() -> None:
    decision = decide(NUMBER, None, None, snapshot(100), busy=frozenset({T}), probe=T)
    assert (decision.candidates, decision.busy, decision.skipped) == ((), (T,), ())
    assert decision.reason == "validation: target takes no more now"
