"""The bars of the evidence, on seeded traffic that drives the engine itself."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace
from itertools import count

import pytest

from tests.support.seeded import DAY, state_at, tick
from worker.domain.detection import evidence, likelihood, readings
from worker.domain.detection.automatic_rollback import judge
from worker.domain.detection.criteria import BOUNDS, Criteria
from worker.domain.detection.evidence import Evidence
from worker.domain.detection.likelihood import NOTHING, EventCounts
from worker.domain.detection.margin import EMPTY, UNPROVED
from worker.domain.detection.observing import observe
from worker.domain.detection.planning import poisson
from worker.domain.detection.signals import Signal
from worker.domain.detection.silence import DeliveryCounts
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick

RUNS = 16


def blamed_after(seed: int, split: int, target: float, legacy: float) -> float:
    """Messages of the target until it is blamed."""
    rng, known, setting, sent = (
        random.Random(seed),
        Evidence(),
        Criteria(split, 0.0),
        0.0,
    )
    for at in range(2 * DAY):
        seen = tick(rng, at, split, target, legacy)
        known = observe(known, seen, setting)
        sent += seen.target.failed.total
        if readings.relative_alarm(known, Signal.FAILED):
            return sent
    return math.inf


@pytest.mark.parametrize(
    ("split", "failing", "messages"), [(1, 1.0, 12), (1, 0.5, 30), (1, 0.1, 350), (5, 0.1, 350)]
)
def test_trouble_of_the_target_is_found_after(split: int, failing: float, messages: int) -> None:
    found = [blamed_after(seed, split, failing, 0.02) for seed in range(RUNS)]
    assert statistics.median(found) <= messages


@pytest.mark.parametrize(("split", "minutes"), [(5, 12), (25, 3), (50, 3), (98, 3)])
def test_common_trouble_is_held_and_called_so(split: int, minutes: int) -> None:
    setting, state, held_after = Criteria(split, 0.0), state_at(split), []
    for seed in range(RUNS):
        rng, known, first = random.Random(seed), Evidence(), math.inf
        for at in range(360):
            bad = 0.15 if 180 <= at < 300 else 0.02
            known = observe(known, tick(rng, at, split, bad, bad), setting)
            found = judge(known, state)
            assert not found.action.down
            if found.reason.startswith("hold: common trouble"):
                first = min(first, (at - 180) * TICK_S / 60)
        held_after.append(first)
    assert statistics.median(held_after) <= minutes


def test_accepted_but_not_delivered_is_found_within_a_quarter_of_an_hour() -> None:
    setting, minutes = Criteria(5, 0.0), []
    for seed in range(RUNS):
        rng, known = random.Random(seed), Evidence()
        for at in range(1_000):
            ours, theirs = poisson(rng, 5.0), poisson(rng, 95.0)
            lost = sum(rng.random() < 0.6 for _ in range(ours))
            few = sum(rng.random() < 0.02 for _ in range(theirs))
            known = observe(
                known,
                Tick(
                    at * TICK_S,
                    ProviderTick(judged=DeliveryCounts(lost, ours, ours - lost)),
                    ProviderTick(judged=DeliveryCounts(few, theirs, theirs - few)),
                ),
                setting,
            )
            if readings.relative_alarm(known, Signal.UNDELIVERED):
                break
        minutes.append(known.at / 60)
    assert max(minutes) <= 15


@pytest.mark.parametrize("missing", ["both", "target"])
def test_a_day_of_missing_receipts_is_no_evidence(missing: str) -> None:
    known, setting = Evidence(), Criteria(25, 0.0)
    there = DeliveryCounts(2, 75, 74)
    for at in range(DAY):
        legacy = DeliveryCounts(75, 75, 0) if missing == "both" else there
        tick_ = Tick(
            at * TICK_S, ProviderTick(judged=DeliveryCounts(25, 25, 0)), ProviderTick(judged=legacy)
        )
        known = observe(known, tick_, setting)
    assert known.unreported == (True, missing == "both")
    assert not readings.relative_alarm(known, Signal.UNDELIVERED)
    assert not readings.absolute_alarm(known, Signal.UNDELIVERED)
    assert readings.low_proof(known, Signal.UNDELIVERED) < readings.PROOF


def test_a_day_of_silence_changes_nothing_of_the_target_and_ends_the_comparison() -> None:
    setting, good = Criteria(25, 0.0), EventCounts(1, 90)
    before = observe(
        Evidence(), Tick(0.0, ProviderTick(EventCounts(3, 30)), ProviderTick(good), good), setting
    )
    known = before
    for at in range(1, DAY):
        known = observe(known, Tick(at * TICK_S, ProviderTick(), ProviderTick()), setting)
    fresh = Evidence()
    assert before.relative != fresh.relative
    assert known == replace(
        before,
        at=(DAY - 1) * TICK_S,
        relative=fresh.relative,
        settled=fresh.settled,
        other_way=fresh.other_way,
        not_accepted=(),
        compare_from=known.compare_from,
        legacy_bad=fresh.legacy_bad,
        apart=fresh.apart,
        legacy_heard=None,
    )


def test_the_method_still_gives_the_numbers_it_gave() -> None:
    """Whoever must change these raises `METHOD`: recorded decisions replay to them."""
    rng, known = random.Random("method"), Evidence()
    for at in range(300):
        split, bad = (5, 0.02) if at < 150 else (25, 0.08)
        setting = Criteria(split, 0.0 if at < 150 else 1_500.0)
        known = observe(known, tick(rng, at, split, bad, 0.02), setting)
    found = [
        likelihood.strength(known.relative[Signal.FAILED]),
        readings.absolute_strength(known, Signal.FAILED),
        readings.low_proof(known, Signal.FAILED),
        readings.low_proof(known, Signal.SLOW),
        readings.no_worse_proof(known, Signal.FAILED),
        likelihood.strength(known.skew),
        likelihood.strength(known.legacy_bad),
        likelihood.strength(known.apart.shown.good),
    ]
    assert evidence.METHOD == 7
    assert found == pytest.approx(
        [
            16.757208375223, 16.119729033974, -100.20175782715, 168.790587759447,
            -35.66888227178761, -3.8871762580846845, -1.605702844444, 6.396929655217,
        ],
        rel=1e-9,
    )  # fmt: skip


def test_a_target_without_a_failure_is_proved_in_about_a_hundred_messages() -> None:
    known, setting, sent = Evidence(), Criteria(25, 0.0), 0
    while readings.low_proof(known, Signal.FAILED) < readings.PROOF:
        known = observe(
            known,
            Tick(sent * TICK_S, ProviderTick(EventCounts(0, 1)), ProviderTick(EventCounts(0, 3))),
            setting,
        )
        sent += 1
    assert 60 <= sent <= 110


def test_a_change_of_the_share_resets_the_proofs_and_keeps_the_detectors() -> None:
    known = observe(
        Evidence(),
        Tick(1.0, ProviderTick(EventCounts(3, 10)), ProviderTick(EventCounts(0, 90))),
        Criteria(10, 0.0),
    )
    after = observe(known, Tick(11.0, ProviderTick(), ProviderTick()), Criteria(25, 5.0))
    assert after.relative[0][0] > 0.0
    assert after.low[0] == Evidence().low[0]


def test_what_was_counted_for_another_state_is_forgotten() -> None:
    known = observe(
        Evidence(),
        Tick(1.0, ProviderTick(EventCounts(90, 100)), ProviderTick(EventCounts(0, 90))),
        Criteria(10, 0.0),
    )
    after = observe(known, Tick(11.0, ProviderTick(), ProviderTick()), Criteria(5, 5.0, anew=1))
    assert readings.relative_alarm(known, Signal.FAILED)
    assert after.relative == Evidence().relative


def test_what_a_provider_refuses_was_assigned_to_it_all_the_same() -> None:
    known, criteria = Evidence(), Criteria(25, 0.0)
    refusing = ProviderTick(EventCounts(0, 10), refused=15)
    for at in range(100):
        made = Tick(at * TICK_S, refusing, ProviderTick(EventCounts(0, 75)))
        known = observe(known, made, criteria)
    assert not readings.misassigned(known)


def test_a_wrong_share_is_noticed_after_a_day_and_forgotten_when_it_is_mended() -> None:
    known, criteria = Evidence(), Criteria(25, 0.0)

    def ticks(target: int, times: int) -> Evidence:
        made = known
        for _ in range(times):
            both = ProviderTick(EventCounts(0, target)), ProviderTick(EventCounts(0, 100 - target))
            made = observe(made, Tick(made.at + TICK_S, *both), criteria)
        return made

    known = ticks(25, 8_640)
    known = ticks(60, 3)
    assert readings.misassigned(known)
    known = ticks(25, 10)
    assert not readings.misassigned(known)


def test_a_share_that_is_not_the_configured_one_is_noticed() -> None:
    rng, known, setting = random.Random(1), Evidence(), Criteria(5, 0.0)
    for at in range(60):
        known = observe(known, tick(rng, at, 25, 0.02, 0.02), setting)
    assert readings.misassigned(known)


def test_outcomes_of_the_tick_that_sees_another_state_first_are_not_counted() -> None:
    known = observe(
        Evidence(),
        Tick(1.0, ProviderTick(EventCounts(90, 100)), ProviderTick(EventCounts(0, 90))),
        Criteria(10, 0.0),
    )
    under_way = Tick(11.0, ProviderTick(EventCounts(9, 10)), ProviderTick(EventCounts(0, 90)))
    after = observe(known, under_way, Criteria(5, 1.0, anew=1))
    assert after.relative == Evidence().relative
    assert after.counted == Evidence().counted


def test_what_is_counted_for_a_state_is_kept_while_it_is_in_force() -> None:
    known = observe(
        Evidence(),
        Tick(1.0, ProviderTick(EventCounts(90, 100)), ProviderTick(EventCounts(0, 90))),
        Criteria(10, 0.0),
    )
    up_again = Criteria(10, 8.0, anew=2)
    after = observe(known, Tick(11.0, ProviderTick(), ProviderTick()), up_again)
    assert after.relative == Evidence().relative
    later = observe(
        after,
        Tick(21.0, ProviderTick(EventCounts(3, 9)), ProviderTick(EventCounts(0, 9))),
        up_again,
    )
    assert (
        observe(later, Tick(31.0, ProviderTick(), ProviderTick()), up_again).relative
        == later.relative
    )


@pytest.mark.parametrize("split", [5, 50])
def test_an_outage_of_both_that_ends_later_for_the_target_blames_nobody(split: int) -> None:
    setting, late = Criteria(split, 0.0), 6
    for seed in range(RUNS):
        rng, known = random.Random(seed), Evidence()
        for at in range(150):
            target = 1.0 if 60 <= at < 90 + late else 0.02
            legacy = 1.0 if 60 <= at < 90 else 0.02
            known = observe(known, tick(rng, at, split, target, legacy), setting)
            assert not readings.relative_alarm(known, Signal.FAILED)


def test_a_target_still_bad_after_an_outage_of_both_is_blamed() -> None:
    rng, known, setting = random.Random(1), Evidence(), Criteria(25, 0.0)
    for at in range(60):
        known = observe(known, tick(rng, at, 25, 1.0, 1.0 if at < 30 else 0.02), setting)
    assert readings.relative_alarm(known, Signal.FAILED)


def test_a_breaker_counts_from_when_legacy_answers() -> None:
    known, setting = Evidence(), Criteria(25, 0.0)
    for at, answers in ((10.0, False), (20.0, False), (90.0, True), (100.0, True)):
        failed = ProviderTick(EventCounts(1, 1))
        seen = Tick(at, failed, ProviderTick(), breaker_open=True, legacy_answers=answers)
        known = observe(known, seen, setting)
    assert known.breaker_since == 90.0


def receipts(known: Evidence, at: int, ours: DeliveryCounts) -> Evidence:
    """A tick in which legacy's reports come as always."""
    seen = Tick(
        at * TICK_S, ProviderTick(judged=ours), ProviderTick(judged=DeliveryCounts(15, 750, 750))
    )
    return observe(known, seen, Criteria(25, -600.0))


@pytest.mark.parametrize("part", [0.1, 0.25, 0.5, 0.9])
def test_reports_that_cease_and_come_back_in_mid_tick_blame_nobody(part: float) -> None:
    whole, silent, known = DeliveryCounts(5, 250, 250), DeliveryCounts(250, 250, 0), Evidence()
    missing = round(250 * part)
    torn = DeliveryCounts(5 + missing, 250, 250 - missing)
    for at, ours in enumerate([whole] * 30 + [torn] + [silent] * 30 + [torn] + [whole] * 30):
        known = receipts(known, at, ours)
        assert not readings.relative_alarm(known, Signal.UNDELIVERED)
        assert not readings.absolute_alarm(known, Signal.UNDELIVERED)
        assert known.unreported[0] == (ours is silent)


def test_a_short_silence_at_little_traffic_counts_once_reports_go_on() -> None:
    known = Evidence()
    for at in range(20):
        known = receipts(known, at, DeliveryCounts(1, 1, 0))
    known = receipts(known, 20, DeliveryCounts(0, 1, 1))
    assert known.counted[Signal.UNDELIVERED][:2] == (20.0, 21.0)


def test_what_never_gets_a_report_while_others_do_is_undelivered() -> None:
    known = Evidence()
    for at in range(6):
        known = receipts(known, at, DeliveryCounts(15, 25, 10))
    assert readings.relative_alarm(known, Signal.UNDELIVERED)


def test_another_bound_begins_its_proof_anew() -> None:
    loose, strict = Criteria(25, 0.0), Criteria(25, 0.0, bounds=((0.005, 0.01), *BOUNDS[1:]))
    known = Evidence()
    for at in range(60):
        known = observe(
            known,
            Tick(at * TICK_S, ProviderTick(EventCounts(2, 100)), ProviderTick(EventCounts(6, 300))),
            loose,
        )
    after = observe(
        known,
        Tick(600.0, ProviderTick(EventCounts(2, 100)), ProviderTick(EventCounts(6, 300))),
        strict,
    )
    assert readings.low_proof(known, Signal.FAILED) >= readings.PROOF
    assert readings.low_proof(after, Signal.FAILED) < 0.0
    assert after.relative != Evidence().relative
    assert after.low[Signal.SLOW] == known.low[Signal.SLOW]


def test_another_idea_of_slow_begins_all_of_it_anew() -> None:
    slow = (ProviderTick(slow=EventCounts(9, 90)), ProviderTick(slow=EventCounts(1, 90)))
    known = observe(Evidence(), Tick(0.0, *slow), Criteria(25, 0.0))
    after = observe(
        known, Tick(10.0, ProviderTick(), ProviderTick()), Criteria(25, 0.0, slow_ms=8_000.0)
    )
    assert after.relative[Signal.SLOW] == Evidence().relative[Signal.SLOW]
    assert after.absolute[Signal.SLOW] == Evidence().absolute[Signal.SLOW]


def test_a_change_of_the_share_keeps_detectors_under_bounds_of_ones_own() -> None:
    own = ((0.03, 0.06), (0.05,), (0.01,))
    known = observe(
        Evidence(),
        Tick(1.0, ProviderTick(EventCounts(9, 10)), ProviderTick(EventCounts(0, 90))),
        Criteria(10, 0.0, bounds=own),
    )
    after = observe(
        known, Tick(11.0, ProviderTick(), ProviderTick()), Criteria(25, 5.0, bounds=own)
    )
    assert after.absolute == known.absolute


@pytest.mark.parametrize(("since", "now"), [(1.0, 20.0), (0.0, 100.0), (None, 20.0)])
def test_evidence_of_another_share_or_of_long_ago_proves_nothing(
    since: float | None, now: float
) -> None:
    known = observe(Evidence(), Tick(10.0, ProviderTick(), ProviderTick()), Criteria(25, 0.0))
    assert readings.about(known, 0.0, 20.0) is known
    assert readings.about(known, since, now) is None


def test_of_a_legacy_without_reports_nothing_is_compared() -> None:
    setting, known = Criteria(25, 0.0, reports=(True, False)), Evidence()
    for at in range(6):
        seen = Tick(
            at * TICK_S,
            ProviderTick(judged=DeliveryCounts(15, 25, 25)),
            ProviderTick(judged=DeliveryCounts(0, 75, 75)),
        )
        known = observe(known, seen, setting)
    assert not readings.relative_alarm(known, Signal.UNDELIVERED)
    assert readings.absolute_alarm(known, Signal.UNDELIVERED)


# --- blocks ------------------------------------------------------------------------------------


def sparse(
    known: Evidence,
    at: int,
    setting: Criteria,
    *,
    ours: EventCounts = NOTHING,
    theirs: EventCounts = NOTHING,
) -> Evidence:
    sides = ProviderTick(ours), ProviderTick(theirs)
    return observe(known, Tick(at * TICK_S, *sides, legacy_all=theirs), setting)


def test_ticks_with_an_outcome_of_one_provider_alone_are_compared_too() -> None:
    """At a thousand messages a day hardly any tick has an outcome of both."""
    known, setting, tried = Evidence(), Criteria(10, 0.0), 0
    for at in count():
        ours = EventCounts(1, 1) if at % 10 == 0 else NOTHING
        tried += int(ours.total)
        known = sparse(
            known, at, setting, ours=ours, theirs=NOTHING if ours.total else EventCounts(0, 1)
        )
        if judge(known, state_at(10)).action.down:
            break
    assert tried <= 15


def test_a_block_is_closed_once_both_are_in_it_and_it_is_large_enough() -> None:
    known, setting = Evidence(), Criteria(10, 0.0)
    for at in range(30):
        known = sparse(known, at, setting, theirs=EventCounts(0, 1))
    assert known.block[Signal.FAILED] == (0, 0, 0, 30)
    known = sparse(known, 30, setting, ours=EventCounts(1, 1))
    assert known.block[Signal.FAILED] == EMPTY
    assert known.compared[Signal.FAILED] == (1, 1, 0, 30)


@pytest.mark.parametrize("change", ["share", "state", "bad legacy", "silent legacy"])
def test_an_open_block_does_not_outlive_what_it_was_about(change: str) -> None:
    known = sparse(
        Evidence(), 0, Criteria(10, 0.0), ours=EventCounts(1, 1), theirs=EventCounts(0, 5)
    )
    assert known.block[Signal.FAILED] != EMPTY
    at, setting, theirs = 1, Criteria(10, 0.0), NOTHING
    if change == "share":
        setting = Criteria(25, 10.0)
    elif change == "state":
        setting = Criteria(10, 0.0, anew=1)
    elif change == "bad legacy":
        theirs = EventCounts(200, 200)
    else:
        at = 1_000
    known = sparse(known, at, setting, theirs=theirs)
    assert known.block[Signal.FAILED] == EMPTY


def test_a_block_of_deliveries_holds_nothing_accepted_at_another_share() -> None:
    setting, known = Criteria(25, 0.0), Evidence()
    few = ProviderTick(judged=DeliveryCounts(1, 4, 4))
    known = observe(known, Tick(0.0, few, few), setting)
    higher = replace(setting, share=50, since=10.0)
    for at in (1, 59, 62, 63):
        known = observe(known, Tick(at * TICK_S, few, few), higher)
    assert known.block[Signal.UNDELIVERED] == (1, 4, 1, 4)


def test_another_margin_begins_the_comparison_anew_and_nothing_else() -> None:
    setting, known = Criteria(25, 0.0), Evidence()
    for at in range(50):
        sides = ProviderTick(EventCounts(0, 10)), ProviderTick(EventCounts(0, 30))
        known = observe(known, Tick(at * TICK_S, *sides), setting)
    after = observe(
        known,
        Tick(500.0, ProviderTick(), ProviderTick()),
        replace(setting, margins=(0.01, *setting.margins[1:])),
    )
    assert known.no_worse[Signal.FAILED] > UNPROVED
    assert after.no_worse == (UNPROVED, *known.no_worse[1:])
    assert (after.low, after.compared) == (known.low, known.compared)


# --- both ways of counting -----------------------------------------------------------------------


def campaign(how: tuple[str, str], bad: float, share: int = 50) -> bool:
    """Whether automation goes down over a campaign to dead numbers that two providers call other
    things: `failed` at once, `refused` at once, or `lost` (accepted and never delivered).
    """
    known, setting, state = Evidence(), Criteria(share, 0.0), state_at(share)
    for at in range(240):
        sides = []
        for name, part in zip(how, (share / 100, 1 - share / 100), strict=True):
            tried, dead = 1_000 * part, 1_000 * part * bad * (60 <= at < 90)
            judged = 1_000 * part * (at >= 60)
            late = 1_000 * part * bad * (120 <= at < 150)
            gone = dead if name != "lost" else 0.0
            failed = EventCounts(
                dead if name == "failed" else 0.0, tried - (dead if name == "refused" else 0)
            )
            lost = late if name == "lost" else 0.0
            judged -= late if name != "lost" else 0.0
            sides.append(
                ProviderTick(
                    failed,
                    EventCounts(0, tried - gone),
                    DeliveryCounts(0.01 * judged + lost, judged, judged),
                    refused=dead if name == "refused" else 0.0,
                )
            )
        tick = Tick(at * TICK_S, sides[0], sides[1], legacy_all=sides[1].failed)
        known = observe(known, tick, setting)
        if judge(known, state).action.down:
            return True
    return False


@pytest.mark.parametrize("bad", [0.05, 0.3])
@pytest.mark.parametrize(
    "how",
    [("lost", "refused"), ("lost", "failed"), ("failed", "refused"), ("refused", "lost"),
     ("failed", "failed"), ("lost", "lost")],
)  # fmt: skip
def test_dead_numbers_that_providers_call_other_things_move_nothing(
    how: tuple[str, str], bad: float
) -> None:
    assert not campaign(how, bad)


@pytest.mark.parametrize("how", ["failed", "lost"])
def test_what_the_target_alone_does_worse_is_blamed_both_ways(how: str) -> None:
    assert campaign((how, "none"), 0.3)


def test_deliveries_are_not_compared_while_what_was_accepted_in_legacys_trouble_is_judged() -> None:
    setting, known = Criteria(50, 0.0, delivery_age_s=600.0), Evidence()
    for at in range(200):
        bad = EventCounts(90 if 10 <= at < 30 else 0, 100)
        ours = ProviderTick(
            EventCounts(0, 100), judged=DeliveryCounts(40 if 70 <= at < 90 else 0, 100, 100)
        )
        theirs = ProviderTick(bad, judged=DeliveryCounts(0, 100, 100))
        known = observe(known, Tick(at * TICK_S, ours, theirs, legacy_all=bad), setting)
        assert not judge(known, state_at(50)).action.down
