"""What each share of a ladder takes, and what refuses it."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest

from worker.domain.detection import planning
from worker.domain.detection.forecast import (
    MINIMUM_SAMPLE,
    MINIMUM_TIME,
    Rung,
    Unproved,
    forecast,
    quantile,
    total,
)
from worker.domain.detection.obstacles import obstacles
from worker.domain.detection.phase_ladder import ladder_of, phase_at, with_ladder
from worker.domain.detection.planning import Traffic
from worker.domain.detection.signals import Signal
from worker.domain.migration.flags import Flags, MigrationSettings, Thresholds
from worker.domain.migration.phases import WAY_UP, Phase

FAILED, SLOW, UNDELIVERED = Signal
A_DAY = 2_000
PARALLEL, GRADUAL, LATE, FULL = WAY_UP


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on how exact the medians are."""
    monkeypatch.setattr(planning, "RUNS", 21)


def one(share: int, rates: dict[Signal, float], per_day: float = A_DAY, **more: object) -> Rung:
    flags = more.pop("flags", None)
    (rung,) = forecast([share], Traffic(per_day, rates, **more), flags)
    return rung


@pytest.mark.parametrize(("share", "signal"), [(25, FAILED), (25, SLOW), (100, UNDELIVERED)])
def test_what_goes_wrong_more_often_than_its_bound_cannot_be_proved(
    share: int, signal: Signal
) -> None:
    rung = one(share, {FAILED: 0.01, signal: 0.06})
    assert (rung.messages, rung.days) == ((), ())
    (missing,) = rung.unproved
    assert (missing.signal, missing.rate) == (signal, 0.06)


@pytest.mark.parametrize("share", [1, 25, 98])
def test_delivery_above_its_bound_is_proved_to_be_hardly_worse_than_legacys(share: int) -> None:
    rung = one(share, {FAILED: 0.0, UNDELIVERED: 0.04})
    assert rung.waits_for == "undelivered"
    assert not rung.unproved


@pytest.mark.parametrize(("share", "reports"), [(100, True), (25, False)])
def test_where_legacy_shows_nothing_delivery_keeps_the_bound_of_the_phase(
    share: int, *, reports: bool
) -> None:
    bound = 0.005 if share == 100 else 0.02
    rung = one(share, {FAILED: 0.0, UNDELIVERED: 0.04}, legacy_reports=reports)
    assert rung.unproved == (Unproved(UNDELIVERED, 0.04, pytest.approx(bound)),)


def test_what_takes_too_long_is_named_as_what_cannot_be_proved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planning, "ENDLESS", 300)
    rung = one(75, {FAILED: 0.02, SLOW: 0.0})
    assert (rung.messages, [each.signal for each in rung.unproved]) == ((), [FAILED])


def test_failures_are_held_to_the_bound_of_the_flags() -> None:
    strict = Flags(thresholds=Thresholds(max_error_rate=1.0))
    rung = one(1, {FAILED: 0.02}, flags=strict)
    assert rung.unproved == (Unproved(FAILED, 0.02, 0.01),)


def test_a_share_takes_what_its_longest_proof_takes() -> None:
    without = one(1, {FAILED: 0.01})
    rung = one(1, {FAILED: 0.01, UNDELIVERED: 0.008})
    assert (without.waits_for, rung.waits_for) == ("failed", "undelivered")
    assert median(rung.messages) > 2.0 * median(without.messages)


def test_delivery_is_known_at_the_delivery_age() -> None:
    rung = one(98, {FAILED: 0.0, UNDELIVERED: 0.001}, 10_000)
    ten_minutes = 10 / 1_440
    assert rung.days == pytest.approx([n / 9_800 + ten_minutes for n in rung.messages])


@pytest.mark.parametrize(("share", "minutes"), [(1, 30), (90, 60)])
def test_no_share_takes_less_than_the_minimum_time(share: int, minutes: int) -> None:
    rung = one(share, {FAILED: 0.0}, 10_000_000)
    assert (median(rung.days), rung.waits_for) == (pytest.approx(minutes / 1_440), MINIMUM_TIME)


def test_a_share_takes_the_sample_that_the_next_phase_asks_for() -> None:
    flags = Flags(migration=MigrationSettings(minimum_sample=50_000))
    low, high = forecast([50, 90], Traffic(A_DAY, {FAILED: 0.0}), flags)
    assert (median(low.messages), low.waits_for) == (50_000, MINIMUM_SAMPLE)
    assert median(high.messages) < 50_000


def test_half_the_runs_take_at_most_the_median_and_nine_of_ten_the_longer_time() -> None:
    rung = one(25, {FAILED: 0.02})
    assert sum(days <= quantile(rung.days, 0.9) for days in rung.days) >= 0.9 * len(rung.days)
    assert quantile(rung.days, 0.5) == median(rung.days) < quantile(rung.days, 0.9)


def test_a_ladder_takes_the_sum_of_its_steps_run_by_run() -> None:
    rungs = forecast([1, 25], Traffic(A_DAY, {FAILED: 0.02}))
    low, high = (rung.days for rung in rungs)
    assert total(rungs) == pytest.approx([a + b for a, b in zip(low, high, strict=True)])


def test_a_ladder_with_a_step_that_is_never_proved_has_no_time() -> None:
    assert total(forecast([1, 100], Traffic(A_DAY, {FAILED: 0.0, UNDELIVERED: 0.04}))) == ()


# --- the phases of a ladder ------------------------------------------------------------------


def test_the_default_ladder_is_that_of_the_default_phases() -> None:
    assert ladder_of() == (1, 5, 10, 25, 50, 75, 90, 95, 98, 100)


@pytest.mark.parametrize(
    ("share", "phase"),
    [(1, PARALLEL), (5, PARALLEL), (10, GRADUAL), (75, LATE), (98, LATE), (100, FULL)],
)
def test_a_share_of_two_phases_is_proved_in_the_later_one_that_is_entered_there(
    share: int, phase: Phase
) -> None:
    assert phase_at(share, Flags().phases) is phase


@pytest.mark.parametrize(
    ("shares", "led"),
    [
        ((1, 25, 50, 80, 90, 100), ([1], [25, 50], [80, 90], [100])),
        ((3, 25, 75, 100), ([3], [25], [75], [100])),
        ((10, 50, 100), ([], [10], [50], [100])),
        ((3, 50, 100), ([], [3], [50], [100])),
        ((50, 100), ([], [], [50], [100])),
        ((1, 100), ([], [], [1], [100])),
    ],
)
def test_a_ladder_leads_through_the_phases_without_proving_a_share_twice(
    shares: tuple[int, ...], led: tuple[list[int], ...]
) -> None:
    phases = with_ladder(Flags(), shares).phases
    assert tuple(list(phases[phase].steps) for phase in WAY_UP) == led
    assert [phases[p].entry for p in WAY_UP] == [steps[0] if steps else 0 for steps in led]
    assert ladder_of(phases) == shares


# --- what refuses it -------------------------------------------------------------------------


def refused(
    ladder: list[int], traffic: Traffic, flags: Flags | None = None
) -> list[tuple[int, str]]:
    flags = flags or Flags()
    rungs = forecast(ladder, traffic, flags)
    return [(each.share, each.flag) for each in obstacles(rungs, traffic, flags)]


@pytest.mark.parametrize(
    ("rates", "flags"),
    [
        ({FAILED: 0.004, UNDELIVERED: 0.002}, []),
        ({FAILED: 0.006}, ["MaxErrorRate"]),
        ({FAILED: 0.02}, ["MaxErrorRate", "MinSuccessRate"]),
        ({FAILED: 0.0, UNDELIVERED: 0.006}, ["MinDeliveryRate", "MinDeliveryRate"]),
    ],
)
def test_what_the_next_phase_requires_and_the_rates_never_meet_is_refused_by_its_flag(
    rates: dict[Signal, float], flags: list[str]
) -> None:
    found = refused([90, 100], Traffic(10_000, rates))
    required = [f"Phases.CompleteMigration.Requirements.{flag}" for flag in flags]
    assert sorted(flag for _, flag in found) == required


def test_a_rate_at_its_bound_is_not_refused() -> None:
    assert refused([90, 100], Traffic(10_000, {FAILED: 0.005})) == []


def test_each_step_into_or_within_a_phase_is_refused() -> None:
    found = refused([25, 50, 75, 90, 100], Traffic(10_000, {FAILED: 0.009}))
    assert found == [(90, "Phases.CompleteMigration.Requirements.MaxErrorRate")]
    found = refused([25, 50, 75, 90, 100], Traffic(10_000, {FAILED: 0.011}))
    late = "Phases.LegacyDeprecation.Requirements.MaxErrorRate"
    assert [at for at, flag in found if flag == late] == [50, 75]


@pytest.mark.parametrize("traffic", [
    Traffic(10_000, {FAILED: 0.0}, p95_ms=2_500.0),
    Traffic(10_000, {FAILED: 0.0, SLOW: 0.06}),
])  # fmt: skip
def test_responses_slower_than_the_next_phase_takes_are_refused(traffic: Traffic) -> None:
    assert (90, "Phases.CompleteMigration.Requirements.MaxP95Ms") in refused([90, 100], traffic)


@pytest.mark.parametrize(
    ("rates", "flag"),
    [
        ({FAILED: 0.06}, "SmsFeatureFlags.RollbackThresholds.MaxErrorRate"),
        ({FAILED: 0.0, SLOW: 0.06}, "SmsFeatureFlags.RollbackThresholds.MaxResponseTimeMs"),
        (
            {FAILED: 0.0, UNDELIVERED: 0.006},
            "Phases.CompleteMigration.Requirements.MinDeliveryRate",
        ),
    ],
)
def test_a_proof_that_is_never_had_is_refused_by_the_flag_of_its_bound(
    rates: dict[Signal, float], flag: str
) -> None:
    assert (100, flag) in refused([100], Traffic(10_000, rates))


@pytest.mark.parametrize(("undelivered", "alarms"), [(0.021, False), (0.03, True)])
def test_what_is_not_delivered_so_often_that_it_alarms_is_refused_before_any_requirement(
    undelivered: float, *, alarms: bool
) -> None:
    flag = "Phases.GradualMigration.Requirements.MinDeliveryRate"
    found = refused([1, 5], Traffic(100_000, {FAILED: 0.0, UNDELIVERED: undelivered}))
    assert found == ([(1, flag), (5, flag)] if alarms else [])


def test_requirements_of_other_flags_are_those_of_the_flags() -> None:
    phases = dict(Flags().phases)
    phases[FULL] = replace(phases[FULL], requirements=None)
    assert refused([90, 100], Traffic(10_000, {FAILED: 0.02}), Flags(phases=phases)) == []
