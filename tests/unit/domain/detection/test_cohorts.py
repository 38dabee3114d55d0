"""Calls compared by when they began: what shows later at legacy blames nobody."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from tests.support.seeded import state_at
from worker.domain.detection.automatic_rollback import Action, judge
from worker.domain.detection.cohorts import (
    GRACE_S,
    SETTLED_AFTER_S,
    WRITTEN_AFTER_S,
    Calls,
    Cohort,
    all_of_legacy,
    bad_starts,
    outcomes,
)
from worker.domain.detection.criteria import Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import EventCounts, strength
from worker.domain.detection.margin import Block
from worker.domain.detection.observing import observe
from worker.domain.detection.signals import Signal
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick
from worker.domain.figures.periods import SLOT_S

NOW = 1_000.0
SLOTS_OF_A_TIMEOUT = 3


def cohort(age_s: float = 0.0, **calls: Calls) -> Cohort:
    return Cohort(NOW - age_s, **calls)


# --- one cohort --------------------------------------------------------------------------------


def test_legacys_calls_under_way_count_as_failed_and_the_targets_not_at_all() -> None:
    seen = outcomes(
        cohort(target=Calls(5, 2, open=4), legacy=Calls(50, 1, open=6)), NOW, 5.0, skips=True
    )
    assert seen.failed == (EventCounts(2, 7), EventCounts(7, 57))


@pytest.mark.parametrize(("age_s", "slow"), [(SLOT_S + 4.9, 1), (SLOT_S + 5.0, 7)])
def test_legacys_calls_under_way_are_slow_once_all_of_them_took_that_long(
    age_s: float, slow: int
) -> None:
    seen = outcomes(cohort(age_s, legacy=Calls(50, 0, 1, open=6)), NOW, 5.0, skips=True)
    assert seen.slow[1].events == slow


def test_nothing_is_under_way_any_more_in_an_old_cohort() -> None:
    old = cohort(SETTLED_AFTER_S, legacy=Calls(50, 1, open=6), legacy_all=Calls(60, 1, open=6))
    assert outcomes(old, NOW, 5.0, skips=True).failed[1] == EventCounts(1, 51)
    assert all_of_legacy(old, NOW) == EventCounts(1, 61)


def test_what_was_passed_over_is_the_targets_failure_only_where_it_is_asked_for() -> None:
    one = cohort(target=Calls(5, 2, skipped=9), legacy=Calls(50, 0, skipped=3))
    assert outcomes(one, NOW, 5.0, skips=True).failed == (EventCounts(11, 16), EventCounts(3, 53))
    assert outcomes(one, NOW, 5.0, skips=False).failed == (EventCounts(2, 7), EventCounts(3, 53))


@pytest.mark.parametrize(
    ("age_s", "calls", "settled"),
    [
        (SLOT_S + GRACE_S + WRITTEN_AFTER_S - 0.1, Calls(1), False),
        (SLOT_S + GRACE_S + WRITTEN_AFTER_S, Calls(1), True),
        (30.0, Calls(1, open=1), False),
        (SETTLED_AFTER_S, Calls(1, open=1), True),
    ],
)
def test_a_cohort_is_settled_when_all_of_it_has_ended_or_is_not_waited_for(
    age_s: float, calls: Calls, *, settled: bool
) -> None:
    assert cohort(age_s, target=calls).is_settled(NOW) is settled
    assert cohort(age_s, legacy=calls).is_settled(NOW) is settled


def test_bad_cohorts_of_legacy_are_remembered_for_a_minute_and_forgotten_when_they_end_well() -> (
    None
):
    waits = cohort(20.0, legacy=Calls(10, open=5))
    assert bad_starts((), (waits,), NOW, 0.1) == (NOW - 20.0,)
    ended = replace(waits, legacy=Calls(15))
    assert bad_starts((NOW - 20.0, NOW - 60.0, NOW - 70.0), (ended,), NOW, 0.1) == (NOW - 60.0,)


def test_two_failures_of_a_quiet_legacy_make_no_cohort_bad() -> None:
    assert not cohort(legacy=Calls(1, 1, open=1)).legacy_may_be_bad(NOW, 0.1)
    assert cohort(legacy=Calls(1, 1, open=2)).legacy_may_be_bad(NOW, 0.1)


def test_what_legacy_refuses_makes_a_cohort_bad_as_what_it_fails() -> None:
    assert cohort(legacy=Calls(50, refused=6)).legacy_may_be_bad(NOW, 0.1)
    assert not cohort(legacy=Calls(60, refused=6)).legacy_may_be_bad(NOW, 0.1)


# --- an outage ---------------------------------------------------------------------------------


@dataclass
class Traffic:
    """Twenty messages a second, half of them the target's, whose failures show after some slots."""

    shows_after: dict[str, int]
    began: list[dict[str, tuple[int, int]]] = field(default_factory=list)

    def slot(self, **failed: int) -> None:
        """Ten seconds more; so many of the hundred calls of each fail."""
        self.began.append({who: (100 - n, n) for who, n in failed.items()})

    def calls(self, who: str, number: int) -> Calls:
        good, bad = self.began[number][who]
        shown = len(self.began) - number > self.shows_after[who]
        return Calls(good, bad) if shown else Calls(good, open=bad)

    def tick(self, *, by_start: bool) -> Tick:
        last = len(self.began) - 1
        cohorts = tuple(self.cohort(number) for number in range(max(0, last - 5), last + 1))
        ended = {who: self.ended(who) for who in ("target", "legacy")}
        return Tick(
            at=len(self.began) * TICK_S,
            target=ProviderTick(ended["target"]),
            legacy=ProviderTick(ended["legacy"]),
            legacy_all=ended["legacy"],
            cohorts=cohorts if by_start else None,
        )

    def cohort(self, number: int) -> Cohort:
        theirs = self.calls("legacy", number)
        return Cohort(number * SLOT_S, self.calls("target", number), theirs, theirs)

    def ended(self, who: str) -> EventCounts:
        """What ended in the last slot: its own successes, and failures that began earlier."""
        late = len(self.began) - 1 - self.shows_after[who]
        bad = self.began[late][who][1] if late >= 0 else 0
        return EventCounts(bad, self.began[-1][who][0] + bad)


def actions(traffic: Traffic, slots: list[tuple[int, int]], *, by_start: bool) -> list[Action]:
    known, setting, state = Evidence(), Criteria(50, 0.0, reports=(False, False)), state_at(50)
    found = []
    for ours, theirs in slots:
        traffic.slot(target=ours, legacy=theirs)
        known = observe(known, traffic.tick(by_start=by_start), setting)
        found.append(judge(known, state).action)
    return found


WELL, OUTAGE, TARGET_DEAD = (2, 2), (50, 50), (100, 2)
LATE = {"target": 0, "legacy": SLOTS_OF_A_TIMEOUT}
OUTAGE_OF_BOTH = [WELL] * 60 + [OUTAGE] * 30 + [WELL] * 60


@pytest.mark.parametrize("by_start", [True, False])
def test_an_outage_of_both_that_shows_later_at_legacy_moves_nothing_by_start_of_the_call(
    *,
    by_start: bool,
) -> None:
    found = actions(Traffic(LATE), OUTAGE_OF_BOTH, by_start=by_start)
    assert any(action.down for action in found) is not by_start
    assert Action.HOLD in found


def test_a_target_that_is_dead_is_found_as_soon_as_by_what_ended() -> None:
    slots = [WELL] * 60 + [TARGET_DEAD] * 6
    found = [
        actions(Traffic(LATE), slots, by_start=each).index(Action.ROLL_BACK)
        for each in (True, False)
    ]
    assert found[0] == found[1] <= 61


def test_a_target_whose_calls_hang_is_found_when_they_time_out() -> None:
    late = {"target": SLOTS_OF_A_TIMEOUT, "legacy": 0}
    found = actions(Traffic(late), [WELL] * 60 + [TARGET_DEAD] * 12, by_start=True)
    assert found.index(Action.ROLL_BACK) <= 60 + SLOTS_OF_A_TIMEOUT + 1


def test_the_detector_shown_counts_calls_that_have_not_all_ended() -> None:
    traffic, setting, known = Traffic(LATE), Criteria(50, 0.0), Evidence()
    for ours, theirs in [WELL] * 20 + [TARGET_DEAD]:
        traffic.slot(target=ours, legacy=theirs)
        known = observe(known, traffic.tick(by_start=True), setting)
    shown, settled = (strength(logs[Signal.FAILED]) for logs in (known.relative, known.settled))
    assert shown > settled


# --- what is passed over, and the minute of an open breaker --------------------------------------


def breaker(known: Evidence, at: float, *cohorts: Cohort) -> Evidence:
    tick = Tick(
        at,
        ProviderTick(EventCounts(5, 5)),
        ProviderTick(EventCounts(0, 50)),
        EventCounts(0, 50),
        breaker_open=True,
        cohorts=cohorts,
    )
    return observe(known, tick, Criteria(50, 0.0))


def test_the_minute_of_an_open_breaker_begins_with_a_failed_call_not_one_passed_over() -> None:
    passed_over = Cohort(0.0, Calls(skipped=5), Calls(50), Calls(50))
    known = breaker(Evidence(), 10.0, passed_over)
    assert known.breaker_since is None
    known = breaker(known, 20.0, passed_over, Cohort(10.0, Calls(failed=1, skipped=5), Calls(50)))
    assert known.breaker_since == 20.0


def test_the_minute_of_an_open_breaker_starts_anew_where_legacy_may_do_badly_too() -> None:
    failed = Calls(failed=5)
    known = breaker(Evidence(), 10.0, Cohort(0.0, failed, Calls(50)))
    known = breaker(known, 20.0, Cohort(10.0, failed, Calls(40, open=10)))
    assert known.breaker_since is None
    known = breaker(known, 30.0, Cohort(20.0, failed, Calls(50)))
    assert known.breaker_since is None
    known = breaker(known, 100.0, Cohort(90.0, failed, Calls(50)))
    assert known.breaker_since == 100.0


def test_calls_that_began_before_another_state_are_not_counted_in_it() -> None:
    known = observe(Evidence(), Tick(10.0, ProviderTick(), ProviderTick()), Criteria(50, 0.0))
    changed = Criteria(50, 0.0, anew=1)
    dead = Cohort(15.0, Calls(failed=50), Calls(50), Calls(50))
    known = observe(known, Tick(20.0, ProviderTick(), ProviderTick(), cohorts=(dead,)), changed)
    known = observe(known, Tick(30.0, ProviderTick(), ProviderTick(), cohorts=(dead,)), changed)
    assert known.relative == Evidence().relative
    later = replace(dead, start=20.0)
    known = observe(
        known, Tick(40.0, ProviderTick(), ProviderTick(), cohorts=(dead, later)), changed
    )
    assert known.relative != Evidence().relative


def test_what_is_written_late_of_another_state_is_not_counted_in_this_one() -> None:
    known = observe(Evidence(), Tick(10.0, ProviderTick(), ProviderTick()), Criteria(50, 0.0))
    known = observe(
        known, Tick(23.0, ProviderTick(), ProviderTick(), cohorts=()), Criteria(5, 0.0, anew=1)
    )
    before = Cohort(20.0, Calls(failed=50), Calls(50), Calls(50))
    begun = Cohort(30.0, Calls(ok=4, failed=1, slow=1), Calls(95), Calls(95))
    ended = (
        ProviderTick(EventCounts(51, 55), EventCounts(9, 9)),
        ProviderTick(EventCounts(0, 145)),
        EventCounts(0, 145),
    )
    known = observe(known, Tick(33.0, *ended, cohorts=(before, begun)), Criteria(5, 0.0, anew=1))
    counted = [known.counted[signal] for signal in (Signal.FAILED, Signal.SLOW)]
    assert counted == [Block(1, 5, 0, 95), Block(1, 4, 0, 95)]
    known = observe(known, Tick(43.0, *ended, cohorts=(begun,)), Criteria(5, 0.0, anew=1))
    assert known.counted[Signal.FAILED].target_events == 52


@pytest.mark.parametrize(("failed", "action"), [(0, Action.GO_ON), (1, Action.ROLL_BACK)])
def test_what_a_breaker_open_from_before_keeps_from_the_target_counts_once_a_call_failed(
    failed: int, action: Action
) -> None:
    known = observe(Evidence(), Tick(10.0, ProviderTick(), ProviderTick()), Criteria(50, 0.0))
    known = observe(
        known, Tick(20.0, ProviderTick(), ProviderTick(), cohorts=()), Criteria(50, 0.0, anew=1)
    )
    for at in (30.0, 40.0):
        ended = (
            ProviderTick(EventCounts(50, 50)),
            ProviderTick(EventCounts(0, 50)),
            EventCounts(0, 50),
        )
        passed_over = Cohort(20.0, Calls(0, failed, 0, 50 - failed), Calls(50), Calls(50))
        tick = Tick(at, *ended, breaker_open=True, cohorts=(passed_over,))
        known = observe(known, tick, Criteria(50, 0.0, anew=1))
    assert judge(known, state_at(50)).action is action
    assert known.counted[Signal.FAILED].target == (100 if failed else 0)


def test_the_minute_of_an_open_breaker_begins_with_a_call_of_the_state_in_force() -> None:
    known = observe(
        Evidence(), Tick(10.0, ProviderTick(), ProviderTick()), Criteria(50, 0.0, anew=1)
    )
    before = Cohort(0.0, Calls(failed=5), Calls(50), Calls(50))
    for at in (20.0, 30.0):
        tick = Tick(at, ProviderTick(), ProviderTick(), breaker_open=True, cohorts=(before,))
        known = observe(known, tick, Criteria(50, 0.0, anew=2))
        assert known.breaker_since is None
    later = Cohort(20.0, Calls(failed=1), Calls(50), Calls(50))
    tick = Tick(40.0, ProviderTick(), ProviderTick(), breaker_open=True, cohorts=(before, later))
    assert observe(known, tick, Criteria(50, 0.0, anew=2)).breaker_since == 40.0


def test_until_a_call_of_the_new_state_is_known_nothing_is_held_against_the_target() -> None:
    changed, ended = Criteria(50, 0.0, anew=1), ProviderTick(EventCounts(50, 50))
    known = observe(Evidence(), Tick(10.0, ProviderTick(), ProviderTick()), Criteria(50, 0.0))
    before = Cohort(13.0, Calls(failed=50), Calls(50), Calls(50))
    for at in (20.0, 30.0):
        tick = Tick(
            at, ended, ProviderTick(EventCounts(0, 50)), EventCounts(0, 50), cohorts=(before,)
        )
        known = observe(known, tick, changed)
    assert known.absolute == Evidence().absolute
    later = replace(before, start=23.0)
    tick = Tick(
        40.0, ended, ProviderTick(EventCounts(0, 50)), EventCounts(0, 50), cohorts=(before, later)
    )
    known = observe(known, tick, changed)
    assert judge(known, state_at(50)).action is Action.ROLL_BACK
