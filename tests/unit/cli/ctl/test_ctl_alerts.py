"""How alerts look on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

from rich.console import Console

from contracts.control import ControlReply
from tests.support.fakes import EPOCH
from worker.cli.ctl.alerts import alerts_parts
from worker.control import views
from worker.domain.alerts.notices import Acknowledged, Alert

OPEN = Alert(
    id="4f1c09aa-0000-5000-8000-000000000000",
    code="account",
    provider="africastalking",
    severity="critical",
    reason="401: the key is refused, which is a reason that is longer than a line of 80 columns",
    since=EPOCH,
    last_seen=EPOCH,
    ends=True,
    count=3,
    seen_by=("r-1", "r-2"),
    suggested_command="sms-worker ctl status",
    evidence={"answer": "401", "tries": "3"},
    acknowledged=Acknowledged("ann", EPOCH, "on it"),
)
OVER = replace(
    OPEN,
    provider=None,
    code="store",
    over_at=EPOCH + timedelta(minutes=1),
    seen_by=(),
    count=1,
    evidence=None,
    acknowledged=None,
)


def shown(*alerts: Alert) -> str:
    reply = ControlReply(
        command_id="q",
        name="alerts",
        verdict="accepted",
        code="ok",
        text="",
        data={"alerts": [views.alert(each).document() for each in alerts]},
        at=EPOCH + timedelta(hours=1),
    )
    file = io.StringIO()
    Console(file=file, width=80, highlight=False).print(*alerts_parts(reply), sep="\n")
    return file.getvalue()


def test_an_open_alert_says_since_when_on_what_evidence_and_who_has_taken_it_on() -> None:
    assert shown(OPEN) == (
        "open: 1\n"
        "4f1c09aa  critical  account (africastalking)  since 12:00:00, 3 times, 2 \n"
        "replicas\n"
        "    401: the key is refused, which is a reason that is longer than a line of 80 \n"
        "columns\n"
        "    answer 401, tries 3\n"
        "    acknowledged by ann at 2026-03-01 12:00:00: on it\n"
        "    what may help: sms-worker ctl status\n"
    )


def test_what_is_over_stands_below_what_is_open() -> None:
    lines = shown(OVER, OPEN).splitlines()
    assert lines[0] == "open: 1"
    below = lines[lines.index("within the last day") :]
    assert below[1] == "4f1c09aa  critical  store  12:00:00 to 12:01:00"


def test_nothing_open_is_said() -> None:
    assert shown() == "nothing is open\n"


def test_another_day_is_named() -> None:
    assert "2026-02-28 12:00:00 to 12:01:00" in shown(
        replace(OVER, since=EPOCH - timedelta(days=1))
    )


def test_a_worker_that_says_less_is_shown_all_the_same() -> None:
    reply = ControlReply(
        command_id="q",
        name="alerts",
        verdict="accepted",
        code="ok",
        text="",
        data={"alerts": [{"id": "4f1c09aa", "code": "x", "severity": "info", "reason": "y"}]},
        at=EPOCH,
    )
    file = io.StringIO()
    Console(file=file, width=80).print(*alerts_parts(reply), sep="\n")
    assert "4f1c09aa  info  x  -" in file.getvalue()
