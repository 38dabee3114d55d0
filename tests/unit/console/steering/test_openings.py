"""What a dialog says and fills in from what is known, before a worker is asked."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.answers import AlertsAnswer, AlertView, NextMove, ReplicaStatus, StatusAnswer
from contracts.control_views import ProposalView, StateView
from contracts.health import ComparisonMetric
from tests.unit.console.steering.made import NOW, reply, state
from worker.console.known import Known, Told
from worker.console.steering.catalogue import CATALOGUE
from worker.console.steering.openings import about, filled_in, names_in, state_in

NOTHING = Known(now=0.0)
PROPOSED = state(
    proposed=ProposalView(
        number=42, by="(monitor)", phase="GradualMigration", percentage=50, expires_at=NOW
    )
)


def known(at: StateView | None = None, **status: Any) -> Known:
    answer = StatusAnswer(alerts=[], target="africastalking", legacy="legacy", **status)
    told = Told(reply("status", state=at or state()), answer, 0.0)
    return Known(now=0.0, status=told, whole=told)


def replica(**breakers: str) -> ReplicaStatus:
    return ReplicaStatus(
        replica="r", applied=41, oldest_unsent=None, breakers=breakers, faults={}, in_hand=0,
        consuming=True, age_s=0.1,
    )  # fmt: skip


@pytest.mark.parametrize("name", CATALOGUE)
def test_where_nothing_is_known_nothing_is_filled_in(name: str) -> None:
    description = CATALOGUE[name]
    assert filled_in(description, NOTHING) == {}
    assert not any("None" in line for line in about(description, {}, NOTHING))
    assert names_in(NOTHING).target == "Africa's Talking"
    assert state_in(NOTHING) is None


@pytest.mark.parametrize(
    ("name", "what", "fields"),
    [
        ("approve", known(PROPOSED), {"proposal": "42"}),
        ("reject", known(PROPOSED), {"proposal": "42"}),
        ("approve", known(), {}),
        ("rollback", known(), {"leaving": "GradualMigration"}),
        (
            "set-percentage",
            known(next=NextMove(command="step", to="GradualMigration at 50 %", shut=[])),
            {"percentage": "50"},
        ),
        ("set-percentage", known(), {}),
        (
            "reset-breaker",
            known(replicas=[replica(africastalking="open", legacy="closed")]),
            {"provider": "target"},
        ),
        ("reset-breaker", known(replicas=[replica(africastalking="open", legacy="open")]), {}),
        ("reset-breaker", known(replicas=[replica(africastalking="closed")]), {}),
    ],
)
def test_a_dialog_opens_with_what_can_be_meant(
    name: str, what: Known, fields: dict[str, str]
) -> None:
    assert filled_in(CATALOGUE[name], what) == fields


def test_a_proposal_is_named() -> None:
    lines = about(CATALOGUE["approve"], {"proposal": "42"}, known(PROPOSED))
    assert lines == ("Proposal 42: Gradual migration at 50 %, by automation.",)
    assert about(CATALOGUE["approve"], {"proposal": "7"}, known(PROPOSED)) == ()


def alerts() -> Known:
    alert = AlertView(
        id="abcdef123456", code="balance-low", provider=None, severity="warning",
        reason="USD 412.50 left", evidence={}, suggested_command=None, open=True, since=NOW,
        last_seen=NOW, count=1, seen_by=[], over_at=None, over_reason=None, acknowledged=None,
        told=None,
    )  # fmt: skip
    told = Told(reply("alerts"), AlertsAnswer(alerts=[alert]), 0.0)
    return Known(now=0.0, alerts=told)


@pytest.mark.parametrize(
    ("ident", "lines"),
    [
        ("abcdef123456", ("Warning: USD 412.50 left",)),
        ("abcdef", ("Warning: USD 412.50 left",)),
        ("abc", ()),
        ("", ()),
        ("ffffff", ()),
    ],
)
def test_an_alert_is_said_in_words(ident: str, lines: tuple[str, ...]) -> None:
    assert about(CATALOGUE["ack"], {"alert": ident}, alerts()) == lines


def test_an_emergency_says_what_it_moves_without_asking_anybody() -> None:
    lines = about(CATALOGUE["emergency-rollback"], {}, known())
    assert lines == ("Africa's Talking goes from 25 % to 0 %.",)


def test_an_emergency_at_no_share_says_so() -> None:
    lines = about(CATALOGUE["emergency-rollback"], {}, known(state("Rollback", 0)))
    assert lines == ("Africa's Talking gets no share of the messages now.",)


def test_what_an_emergency_moves_is_counted_from_the_last_hour() -> None:
    class Hour:
        attempts = 9_024

    report = ComparisonMetric.model_construct(providers={"a": Hour(), "b": Hour()})
    told = Told(reply("comparison"), report, 0.0)
    what = known()
    seen = Known(now=0.0, status=what.status, whole=what.whole, comparison=told)
    assert about(CATALOGUE["emergency-rollback"], {}, seen) == (
        "Africa's Talking goes from 25 % to 0 %: about 4,500 messages an hour move to Legacy.",
    )
