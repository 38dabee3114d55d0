"""A grace for restarts: failing calls are waited out once, and leave nothing behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from tests.support.seeded import state_at
from worker.domain.detection import readings
from worker.domain.detection.automatic_rollback import Action, Judgement, judge
from worker.domain.detection.cohorts import Calls, Cohort
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence import LAPSE_S, Evidence
from worker.domain.detection.likelihood import EventCounts
from worker.domain.detection.observing import observe
from worker.domain.detection.signals import Signal
from worker.domain.detection.tick import TICK_S, ProviderTick, Tick
from worker.domain.migration.flags import Flags
from worker.domain.migration.phases import Role

GRACE_S: Final = 120.0
OTHERS: Final = 50
CALLS: Final = {
    "fail": Calls(failed=50),
    "are passed over": Calls(failed=1, skipped=49),
    "are slow": Calls(ok=50, slow=50),
    "are well": Calls(ok=50),
}


class Watch:
    """Half of the traffic on the target, and what is judged, tick by tick."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.state = replace(state_at(50), flags=Flags(rollback_grace_s=grace_s))
        self.setting = criteria_of(self.state, dict.fromkeys(Role, True), 600.0)
        self.known = Evidence()
        self.at = 0.0

    def tick(self, how: str, times: int = 1) -> Judgement:
        """The last judgement of so many ticks in which the target's calls do that."""
        for _ in range(times):
            began, self.at = self.at, self.at + TICK_S
            target, legacy = CALLS[how], Calls(ok=OTHERS)
            failed = target.failed + target.skipped
            made = Tick(
                self.at + 5.0,
                ProviderTick(
                    EventCounts(failed, failed + target.ok), EventCounts(target.slow, target.ok)
                ),
                ProviderTick(EventCounts(0, OTHERS), EventCounts(0, OTHERS)),
                EventCounts(0, OTHERS),
                breaker_open=target.skipped > 0,
                legacy_answers=True,
                cohorts=(Cohort(began, target, legacy, legacy),),
            )
            self.known = observe(self.known, made, self.setting)
        return judge(self.known, self.state)


@pytest.mark.parametrize("how", ["fail", "are passed over", "are slow"])
def test_a_restart_within_the_grace_moves_nothing_then_or_later(how: str) -> None:
    watch = Watch()
    watch.tick("are well", 30)
    held = watch.tick(how, 6)
    assert held.action is Action.HOLD
    assert "RollbackGraceSeconds" in held.reason
    for _ in range(60):
        assert not watch.tick("are well").action.down
    assert watch.known.grace_since is None
    assert not readings.suspicious(watch.known)


@pytest.mark.parametrize("how", ["fail", "are passed over", "are slow"])
def test_what_goes_on_after_the_grace_moves_traffic_within_four_ticks(how: str) -> None:
    watch = Watch()
    watch.tick("are well", 30)
    for _ in range(int(GRACE_S / TICK_S)):
        assert not watch.tick(how).action.down
    assert any(watch.tick(how).action.down for _ in range(4))


def test_a_second_trouble_soon_after_the_first_is_not_waited_out() -> None:
    watch = Watch()
    watch.tick("fail", 3)
    watch.tick("are well", 15)
    assert watch.tick("fail", 3).action.down


def test_a_second_trouble_long_after_the_first_is_waited_out_again() -> None:
    watch = Watch()
    watch.tick("fail", 3)
    watch.tick("are well", 15 + int(LAPSE_S / TICK_S))
    assert "RollbackGraceSeconds" in watch.tick("fail", 3).reason


def test_without_a_grace_failing_calls_move_traffic_at_once() -> None:
    watch = Watch(grace_s=0.0)
    assert watch.tick("fail", 3).action is Action.ROLL_BACK


def test_what_a_grace_waits_out_still_counts_against_the_proofs() -> None:
    watch = Watch()
    watch.tick("are well", 30)
    proved = readings.low_proof(watch.known, Signal.FAILED)
    watch.tick("fail", 3)
    watch.tick("are well", 15)
    assert readings.low_proof(watch.known, Signal.FAILED) < proved
