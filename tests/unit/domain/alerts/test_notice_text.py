"""What people read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.fakes import EPOCH
from worker.domain.alerts.notice_text import lasting, notice
from worker.domain.alerts.notices import Alert, Kind

ALERT = Alert(
    id="4f1c09aa-0000-5000-8000-000000000000",
    code="account",
    provider="africastalking",
    severity="critical",
    reason="401: the key is refused",
    since=EPOCH,
    last_seen=EPOCH,
    ends=True,
    count=3,
    seen_by=("r-1", "r-2"),
    suggested_command="sms-worker ctl status",
    evidence={"answer": "401", "tries": "3"},
)
NOW = EPOCH + timedelta(minutes=5)
WHOLE = """\
critical: account (africastalking)
401: the key is refused

since: 2026-03-01 12:00:00 UTC (5 min)
seen:  3 times
by:    2 replicas
  answer: 401
  tries: 3

what may help: sms-worker ctl status

alert 4f1c09aa-0000-5000-8000-000000000000
acknowledge it: sms-worker ctl ack 4f1c09aa -r "why\""""


def test_a_notice_says_what_happened_on_what_evidence_and_what_to_do() -> None:
    made = notice(ALERT, Kind.NEW, NOW)
    assert made.subject == "[critical] account (africastalking): 401: the key is refused"
    assert made.text == WHOLE


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        (Kind.NEW, "[critical] "),
        (Kind.AGAIN, "[critical, again] "),
        (Kind.REPEAT, "[critical, not acknowledged] "),
    ],
)
def test_the_subject_says_what_kind_of_notice_it_is(kind: Kind, begins: str) -> None:
    assert notice(ALERT, kind, NOW).subject.startswith(begins)


def test_that_it_is_over_is_told_with_its_length_and_nothing_to_do() -> None:
    over = replace(ALERT, over_at=NOW, over_reason="200", count=1, seen_by=(), evidence=None)
    made = notice(over, Kind.RECOVERED, NOW)
    assert made.subject == "[over] account (africastalking): 200"
    assert "over:  2026-03-01 12:05:00 UTC (after 5 min)" in made.text
    assert "what may help" not in made.text
    assert "acknowledge" not in made.text


def test_without_a_reason_of_its_end_that_of_its_beginning_is_told() -> None:
    over = replace(ALERT, over_at=NOW)
    assert notice(over, Kind.RECOVERED, NOW).subject.endswith("401: the key is refused")


def test_no_reason_can_break_out_of_its_line() -> None:
    evil = replace(ALERT, reason="x\r\nBcc: all@example.com\x00\u2028y")
    made = notice(evil, Kind.NEW, NOW)
    assert made.subject == "[critical] account (africastalking): x Bcc: all@example.com y"
    assert "x Bcc: all@example.com y" in made.text.splitlines()


def test_a_long_reason_is_cut_in_the_subject_alone() -> None:
    made = notice(replace(ALERT, reason="x" * 500), Kind.NEW, NOW)
    assert len(made.subject) == 160
    assert "x" * 500 in made.text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2.0 h")],
)
def test_a_span_is_told_as_people_say_it(seconds: float, said: str) -> None:
    assert lasting(EPOCH, EPOCH + timedelta(seconds=seconds)) == said
