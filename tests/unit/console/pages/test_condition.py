"""Each state has one condition: the not known before the bad, and that before the good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support import console_states as states
from tests.support.console_states import AT, STATES, in_state
from worker.console.known import Cause, Known, Silence
from worker.console.pages.condition import Condition, condition
from worker.console.pages.facts import facts

EXPECTED = {
    "not-started": Condition.NOT_STARTED,
    "one-percent": Condition.TOO_EARLY,
    "running": Condition.HEALTHY,
    "all-open": Condition.HEALTHY,
    "automatic": Condition.HEALTHY,
    "approval": Condition.HEALTHY,
    "own-proposal": Condition.HEALTHY,
    "held": Condition.HEALTHY,
    "reports-missing": Condition.HOLD,
    "misassigned": Condition.HOLD,
    "undecided": Condition.HOLD,
    "account-refused": Condition.HOLD,
    "sick-replica": Condition.HOLD,
    "common-trouble": Condition.COMMON_TROUBLE,
    "locked": Condition.LOCKED,
    "locked-for-a-person": Condition.LOCKED,
    "stepped-back": Condition.LOCKED,
    "rollback-wanted": Condition.TROUBLE,
    "no-way-back": Condition.TROUBLE,
    "suspect": Condition.SUSPECT,
    "short": Condition.SHORT,
    "blind": Condition.BLIND,
    "rolled-back": Condition.ROLLED_BACK,
    "target-disabled": Condition.NO_TRAFFIC,
    "complete": Condition.HEALTHY,
    "retired": Condition.HEALTHY,
    "store-away": Condition.STORE_AWAY,
    "broker-away": Condition.BROKER_AWAY,
    "no-worker": Condition.NO_WORKER,
    "login-refused": Condition.LOGIN_REFUSED,
    "never-a-worker": Condition.NO_WORKER,
    "first": Condition.NO_ANSWER_YET,
    "old": Condition.HEALTHY,
    "stale": Condition.STALE,
}


def found(known: Known) -> Condition:
    return condition(facts(known, AT))


@pytest.mark.parametrize("name", STATES)
def test_each_state_has_its_condition(name: str) -> None:
    assert found(in_state(name)) is EXPECTED[name]


def test_the_broker_away_comes_before_the_store_away() -> None:
    away = states.store_away()
    silence = Silence(Cause.BROKER_AWAY, "the broker cannot be reached", away.now - 1.0)
    assert found(replace(away, silence=silence)) is Condition.BROKER_AWAY


def test_the_store_away_comes_before_old_data() -> None:
    assert found(states.older(states.store_away(), 40.0)) is Condition.STORE_AWAY


def test_old_data_comes_before_a_lock() -> None:
    assert found(states.older(states.locked(), 40.0)) is Condition.STALE


def test_a_lock_comes_before_a_hold_of_the_monitor() -> None:
    lock = {"reason": "failed: worse than legacy", "until": AT + timedelta(minutes=5)}
    held = states.monitor(("undecided", "hold: failed"), failed=(15.0, 14.2))
    stand = states.state(10, lock=lock)
    assert found(states.known(stand, watched=held)) is Condition.LOCKED


def test_a_lock_whose_time_is_over_is_none() -> None:
    lock = {"reason": "failed: worse than legacy", "until": AT - timedelta(seconds=1)}
    assert found(states.known(states.state(lock=lock))) is Condition.HEALTHY


def test_an_alarm_that_nobody_acted_on_yet_is_trouble() -> None:
    assert found(states.known(watched=states.monitor(failed=(13.2, 0.0)))) is Condition.TROUBLE


def test_a_verdict_is_not_healthy_while_one_proof_is_missing() -> None:
    asked = states.gates(shut=False)
    missing = states.proof("undelivered proof", "at most 2 % not delivered", 6.0, 300, 400.0)
    asked[-1] = missing
    assert found(states.known(asked=asked)) is Condition.TOO_EARLY


def test_few_outcomes_are_too_early_where_no_gate_says_so() -> None:
    few = states.monitor(part=0.01)
    stand = states.state(100, "CompleteMigration")
    known = states.known(stand, next_to=None, asked=[], watched=few)
    assert found(known) is Condition.TOO_EARLY


def test_the_sentences_of_an_older_worker_are_read_as_numbers() -> None:
    watched = states.monitor(failed=(13.5, 0.4))
    del watched["signals"]
    assert found(states.known(watched=watched)) is Condition.TROUBLE
