"""Which request meets which fault, decided without a socket."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.lab.simulator.faults import Ask, Faults
from worker.lab.simulator.latency import LogNormal, Uniform, draw
from worker.lab.simulator.script import TAKEN, Action, Do, Script, read_script

ASK = Ask("+260977123456", "Your code is 1234 #m-1")


def faults(*rules: dict[str, Any], seed: int = 1) -> Faults:
    return Faults(Script.model_validate({"rules": rules, "seed": seed}))


def done(script: Faults, count: int, ask: Ask = ASK) -> list[str]:
    return [str(script.choose(ask).do) for _ in range(count)]


def test_no_rule_means_a_plain_answer() -> None:
    assert done(faults(), 2) == ["answer", "answer"]


def test_the_first_rule_that_applies_decides_alone() -> None:
    script = faults(
        {"match": {"text_regex": "nothing like it"}, "action": {"do": "close"}},
        {"action": {"do": "reset"}},
        {"action": {"do": "hang"}},
    )
    assert done(script, 2) == ["reset", "reset"]


def test_first_limits_how_often_a_rule_applies() -> None:
    script = faults({"match": {"first": 2}, "action": {"do": "reset"}})
    assert done(script, 4) == ["reset", "reset", "answer", "answer"]


def test_after_leaves_the_first_matching_requests_alone() -> None:
    script = faults({"match": {"after": 1, "first": 1}, "action": {"do": "reset"}})
    assert done(script, 3) == ["answer", "reset", "answer"]


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({"to_regex": "^\\+26097"}, True),
        ({"to_regex": "^\\+26096"}, False),
        ({"text_regex": "code"}, True),
        ({"text_regex": "^code"}, False),
        ({"kept_alive": True}, False),
        ({"kept_alive": False}, True),
        ({"to_regex": "97", "text_regex": "absent"}, False),
    ],
)
def test_all_conditions_of_a_match_hold_together(match: dict[str, Any], *, applies: bool) -> None:
    script = faults({"match": match, "action": {"do": "reset"}})
    assert (done(script, 1) == ["reset"]) is applies


def test_requests_that_a_rule_is_not_for_do_not_use_up_its_count() -> None:
    script = faults({"match": {"to_regex": "97", "first": 1}, "action": {"do": "reset"}})
    assert done(script, 1, Ask("+260966000000", "x")) == ["answer"]
    assert done(script, 1) == ["reset"]


@given(st.integers())
def test_the_same_seed_does_the_same(seed: int) -> None:
    rule = {"match": {"rate": 0.5}, "action": {"do": "reset"}}
    assert done(faults(rule, seed=seed), 30) == done(faults(rule, seed=seed), 30)


def test_a_rate_is_the_share_of_the_matching_requests() -> None:
    hits = done(faults({"match": {"rate": 0.2}, "action": {"do": "reset"}}), 5000).count("reset")
    assert 900 < hits < 1100


def test_weights_share_the_requests_of_a_rule() -> None:
    script = faults(
        {
            "weighted": [
                {"weight": 3, "action": {"do": "reset"}},
                {"weight": 1, "action": {"do": "close"}},
            ]
        }
    )
    did = done(script, 4000)
    assert did.count("reset") + did.count("close") == 4000
    assert 2800 < did.count("reset") < 3200


def test_connection_faults_touch_no_request_that_was_read() -> None:
    script = faults({"match": {"first": 1}, "action": {"do": "close_before_reading"}})
    assert done(script, 2) == ["answer", "answer"]
    assert [script.closes_connection(), script.closes_connection()] == [True, False]


def test_unreachable_is_a_state_of_the_script() -> None:
    assert faults({"action": {"do": "unreachable", "for_ms": 5}}).unreachable() is not None
    assert faults({"action": {"do": "reset"}}).unreachable() is None


@pytest.mark.parametrize("do", list(Do))
def test_every_action_says_whether_the_sms_is_taken(do: Do) -> None:
    details = {Do.REFUSE: {"code": 406}, Do.HTTP: {"status": 503}}.get(do, {})
    assert Action.model_validate({"do": do, **details}).takes is TAKEN[do]


@pytest.mark.parametrize("do", ["hang", "reset", "close", "half_body", "garbage"])
@pytest.mark.parametrize("taken", [True, False])
def test_a_script_may_say_whether_an_ambiguous_fault_takes_the_sms(do: str, *, taken: bool) -> None:
    assert Action.model_validate({"do": do, "taken": taken}).takes is taken


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "either action or weighted"),
        ({"action": {"do": "explode"}}, "explode"),
        ({"action": {"do": "reset", "latency": 3}}, "latency"),
        ({"action": {"do": "refuse"}}, "expected a code"),
        ({"action": {"do": "http"}}, "status"),
        ({"action": {"do": "reset", "status": 503}}, "status"),
        ({"action": {"do": "answer", "taken": False}}, "taken"),
        ({"match": {"rate": 1.5}, "action": {}}, "rate"),
        ({"match": {"to_regex": "("}, "action": {}}, "to_regex"),
        ({"match": {"text_regex": "a"}, "action": {"do": "close_before_reading"}}, "before any"),
        ({"match": {"first": 1}, "action": {"do": "unreachable"}}, "before any"),
        ({"weighted": [{"weight": 1, "action": {"do": "unreachable"}}]}, "cannot be weighted"),
        ({"action": {"latency_ms": {"min": 5, "max": 1}}}, "min <= max"),
        ({"action": {"latency_ms": {"median": 5, "p95": 1}}}, "median <= p95"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused_with_the_reason(
    rule: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        read_script(json.dumps([rule]).encode())


def test_a_script_is_a_list_of_rules_or_an_object_with_a_seed() -> None:
    rules = [{"action": {"do": "reset"}}]
    bare = read_script(json.dumps(rules).encode())
    assert bare.seed is None
    assert read_script(json.dumps({"seed": 7, "rules": rules}).encode()).rules == bare.rules


def test_a_uniform_latency_stays_between_its_bounds() -> None:
    chance = random.Random(1)
    assert all(2 <= draw(Uniform(min=2, max=5), chance) <= 5 for _ in range(200))


def test_a_log_normal_latency_has_its_quantiles() -> None:
    chance = random.Random(1)
    drawn = sorted(draw(LogNormal(median=80, p95=400), chance) for _ in range(4000))
    assert 74 < drawn[2000] < 86
    assert 350 < drawn[3800] < 450
