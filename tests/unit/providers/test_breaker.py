"""When the breaker opens, who gets the probe, and what it must not listen to."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ports.providers import BreakerState
from worker.providers.breaker import Breaker, Call, Mark
from worker.settings.providers import BreakerSettings


class HandClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class Harness:
    """A breaker with its clock and the changes it told of."""

    def __init__(self, **settings: float) -> None:
        self.clock = HandClock()
        self.changes: list[tuple[BreakerState, BreakerState]] = []
        self.reasons: list[str] = []
        self.breaker = Breaker(
            "target", BreakerSettings.model_validate(settings), self.clock, self.changed
        )

    def changed(self, _id: str, old: BreakerState, new: BreakerState, reason: str) -> None:
        self.changes.append((old, new))
        self.reasons.append(reason)

    def admit(self) -> Call:
        call = self.breaker.admit()
        assert call is not None
        return call

    def calls(self, mark: Mark, count: int = 1, duration_s: float = 0.1) -> None:
        for _ in range(count):
            self.breaker.finish(self.admit(), mark, duration_s, "because")

    def open(self) -> None:
        self.breaker.trip(self.admit(), "test")
        assert self.breaker.state is BreakerState.OPEN


@pytest.fixture
def bench() -> Harness:
    return Harness()


def test_failures_in_a_row_open_it(bench: Harness) -> None:
    bench.calls(Mark.FAILURE, 4)
    assert bench.breaker.state is BreakerState.CLOSED
    bench.calls(Mark.FAILURE)
    assert bench.changes == [(BreakerState.CLOSED, BreakerState.OPEN)]
    assert bench.reasons == ["5 failures in a row, last: because"]


def test_a_success_resets_the_run(bench: Harness) -> None:
    bench.calls(Mark.FAILURE, 4)
    bench.calls(Mark.SUCCESS)
    bench.calls(Mark.FAILURE, 4)
    assert bench.breaker.state is BreakerState.CLOSED


def test_an_ignored_call_neither_counts_nor_resets(bench: Harness) -> None:
    bench.calls(Mark.FAILURE, 4)
    bench.calls(Mark.IGNORED, 100)
    assert bench.breaker.state is BreakerState.CLOSED
    bench.calls(Mark.FAILURE)
    assert bench.breaker.state is BreakerState.OPEN


def test_a_share_of_failures_opens_it_once_there_are_enough_calls(bench: Harness) -> None:
    for _ in range(9):
        bench.calls(Mark.SUCCESS)
        bench.calls(Mark.FAILURE)
    bench.calls(Mark.SUCCESS)
    assert bench.breaker.state is BreakerState.CLOSED
    bench.calls(Mark.FAILURE)
    assert bench.reasons == ["10 of the last 20 calls failed"]


def test_slow_calls_open_it(bench: Harness) -> None:
    bench.calls(Mark.SUCCESS, 4)
    bench.calls(Mark.SUCCESS, 15, duration_s=5.0)
    assert bench.breaker.state is BreakerState.CLOSED
    bench.calls(Mark.SUCCESS, 1, duration_s=5.0)
    assert bench.reasons == ["16 of the last 20 calls were slow"]


def test_old_failures_leave_the_window() -> None:
    bench = Harness(window=20, minimum_calls=20, consecutive_failures=10)
    bench.calls(Mark.SUCCESS, 11)
    bench.calls(Mark.FAILURE, 9)
    bench.calls(Mark.SUCCESS, 20)
    bench.calls(Mark.FAILURE, 9)
    assert bench.breaker.state is BreakerState.CLOSED


def test_open_lets_nobody_through_until_a_probe_is_due(bench: Harness) -> None:
    bench.open()
    assert bench.breaker.probe_due_in() == 15.0
    bench.clock.seconds += 14.9
    assert (bench.breaker.passable(), bench.breaker.admit()) == (False, None)
    bench.clock.seconds += 0.1
    assert (bench.breaker.passable(), bench.breaker.probe_due_in()) == (True, 0.0)


def test_half_open_lets_exactly_one_call_through(bench: Harness) -> None:
    bench.open()
    bench.clock.seconds += 15
    admitted = [bench.breaker.admit() for _ in range(50)]
    assert len([call for call in admitted if call]) == 1
    assert bench.breaker.state is BreakerState.HALF_OPEN
    assert not bench.breaker.passable()


def test_a_probe_that_succeeds_closes_it(bench: Harness) -> None:
    bench.open()
    bench.clock.seconds += 15
    bench.calls(Mark.SUCCESS)
    assert bench.changes[-2:] == [
        (BreakerState.OPEN, BreakerState.HALF_OPEN),
        (BreakerState.HALF_OPEN, BreakerState.CLOSED),
    ]


def test_each_probe_that_fails_doubles_the_wait_up_to_four_times(bench: Harness) -> None:
    bench.open()
    waits = []
    for _ in range(4):
        bench.clock.seconds += bench.breaker.probe_due_in()
        bench.calls(Mark.FAILURE)
        waits.append(bench.breaker.probe_due_in())
    assert waits == [30, 60, 60, 60]


def test_a_probe_that_decides_nothing_is_free_again(bench: Harness) -> None:
    bench.open()
    bench.clock.seconds += 15
    bench.calls(Mark.IGNORED)
    assert bench.breaker.state is BreakerState.HALF_OPEN
    bench.calls(Mark.SUCCESS)
    assert bench.breaker.state is BreakerState.CLOSED


def test_a_probe_given_back_is_free_again(bench: Harness) -> None:
    bench.open()
    bench.clock.seconds += 15
    bench.breaker.give_back(bench.admit())
    assert bench.breaker.passable()


def test_late_failures_do_not_extend_the_wait(bench: Harness) -> None:
    late = [bench.admit() for _ in range(10)]
    bench.open()
    bench.clock.seconds += 10
    for call in late:
        bench.breaker.finish(call, Mark.FAILURE, 0.1)
    assert bench.breaker.probe_due_in() == 5.0


def test_late_successes_do_not_close_it(bench: Harness) -> None:
    late = bench.admit()
    bench.open()
    bench.clock.seconds += 15
    probe = bench.admit()
    bench.breaker.finish(late, Mark.SUCCESS, 0.1)
    assert bench.breaker.state is BreakerState.HALF_OPEN
    assert not bench.breaker.passable()
    bench.breaker.finish(probe, Mark.FAILURE, 0.1)
    assert bench.breaker.state is BreakerState.OPEN


def test_late_failures_do_not_open_it_again(bench: Harness) -> None:
    late = [bench.admit() for _ in range(10)]
    bench.open()
    bench.clock.seconds += 15
    bench.calls(Mark.SUCCESS)
    for call in late:
        bench.breaker.finish(call, Mark.FAILURE, 0.1)
        bench.breaker.trip(call, "late")
    assert bench.breaker.state is BreakerState.CLOSED


def test_a_second_result_of_a_call_is_ignored(bench: Harness) -> None:
    call = bench.admit()
    for _ in range(10):
        bench.breaker.finish(call, Mark.FAILURE, 0.1)
    assert bench.breaker.state is BreakerState.CLOSED


def test_an_administrator_closes_it(bench: Harness) -> None:
    bench.open()
    bench.breaker.reset("asked for")
    assert bench.breaker.state is BreakerState.CLOSED
    assert bench.reasons[-1] == "asked for"


def test_a_listener_that_raises_harms_nobody() -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("listener")

    breaker = Breaker("target", BreakerSettings(), HandClock(), broken)
    call = breaker.admit()
    assert call is not None
    breaker.trip(call, "test")
    assert breaker.state is BreakerState.OPEN


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
def test_the_time_zone_does_not_matter(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        bench = Harness()
        bench.open()
        assert bench.breaker.probe_due_in() == 15.0
        bench.clock.seconds += 15
        bench.calls(Mark.SUCCESS)
        assert bench.breaker.state is BreakerState.CLOSED
    finally:
        monkeypatch.undo()
        time.tzset()


steps = st.lists(
    st.tuples(
        st.sampled_from(["admit", "finish", "give_back", "wait"]),
        st.integers(0, 5),
        st.sampled_from(Mark),
    ),
    max_size=80,
)


@given(steps)
def test_never_more_than_one_call_is_out_in_half_open(plan: list[tuple[str, int, Mark]]) -> None:
    bench = Harness(consecutive_failures=2, minimum_calls=3, window=5)
    out: list[Call] = []
    for what, number, mark in plan:
        if what == "wait":
            bench.clock.seconds += number * 10
        elif what == "admit":
            if call := bench.breaker.admit():
                out.append(call)
        elif out:
            call = out.pop(number % len(out))
            if what == "finish":
                bench.breaker.finish(call, mark, 0.1)
            else:
                bench.breaker.give_back(call)
        probes = [call for call in out if call.probe and not call.done]
        assert len(probes) <= 1
        if bench.breaker.state is BreakerState.HALF_OPEN:
            assert bench.breaker.passable() == (not probes)
