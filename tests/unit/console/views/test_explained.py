"""Which way a message takes, in words."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.answers import ExplainAnswer
from tests.support.fakes import snapshot
from tests.unit.console.steering.made import NAMES
from worker.console.views.explained import explained
from worker.domain.migration import routing
from worker.domain.migration.phases import Phase, Role


def answer(reason: str, **fields: Any) -> ExplainAnswer:
    known: dict[str, Any] = {
        "number": "+260971234567", "bucket": 17, "way": ["africastalking", "legacy"],
        "passed_over": [],
    }  # fmt: skip
    return ExplainAnswer(reason=reason, **(known | fields))


@pytest.mark.parametrize(
    ("reason", "lines"),
    [
        (
            "percentage: bucket 17 < 25",
            ("Its bucket is 17; buckets below 25 go to Africa's Talking.",),
        ),
        (
            "percentage: bucket 70 >= 25; target disabled",
            ("Its bucket is 70; buckets from 25 on go to Legacy.", "Africa's Talking is disabled."),
        ),
        ("user override", ("The user is fixed to that provider; the share does not decide.",)),
        (
            "phase Rollback: legacy alone; branch override to target ignored",
            ("In the phase Rolled back all messages go to Legacy.",
             "The branch is fixed to Africa's Talking, which does not count now."),
        ),
        (
            "percentage: bucket 1 < 5; legacy takes no more now; no enabled provider has a role",
            ("Its bucket is 1; buckets below 5 go to Africa's Talking.",
             "Legacy takes no more messages just now.",
             "No provider that is enabled may take it in this phase."),
        ),
        ("something new", ("Something new.",)),
    ],
)  # fmt: skip
def test_a_reason_has_words(reason: str, lines: tuple[str, ...]) -> None:
    assert explained(answer(reason), NAMES).lines == lines


def test_the_way_and_the_fallback_are_the_headline() -> None:
    made = explained(answer("user override"), NAMES)
    assert made.headline == "It goes to Africa's Talking; if that fails provably, to Legacy."
    alone = explained(answer("user override", way=["legacy"]), NAMES)
    assert alone.headline == "It goes to Legacy; there is no fallback."
    nobody = explained(answer("user override", way=[]), NAMES)
    assert nobody.headline == "It is not sent now: no provider can take it."


def test_who_is_passed_over_is_named() -> None:
    made = explained(answer("user override", way=["legacy"], passed_over=["africastalking"]), NAMES)
    assert made.lines[-1] == ("Africa's Talking is passed over: its circuit breaker is open.")


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("busy", [frozenset(), frozenset({Role.TARGET})])
@pytest.mark.parametrize("user", [None, "fixed"])
def test_each_reason_of_the_routing_has_words_of_its_own(
    phase: Phase, busy: frozenset[Role], user: str | None
) -> None:
    state = snapshot(phase=phase, percentage=50, user_overrides={"fixed": Role.TARGET})
    route = routing.decide("+260971234567", user, None, state, busy=busy)
    made = explained(answer(route.reason), NAMES)
    raw = {f"{part[:1].upper()}{part[1:]}." for part in route.reason.split("; ")}
    assert not raw & set(made.lines), "no reason is shown as the code writes it"
