"""Alerts: one trouble is told once; what happened without an end, each time."""

from __future__ import annotations

import json

import pytest

from tests.support.fakes import HandClock
from worker.alerting.alerts import Alerts
from worker.domain.alerts.alert_codes import AlertCode


class Broadcast:
    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []

    def metric(self, key: str, body: bytes) -> None:
        assert key == "metric.alert"
        self.told.append(json.loads(body))


@pytest.fixture
def broadcast() -> Broadcast:
    return Broadcast()


@pytest.fixture
def alerts(broadcast: Broadcast) -> Alerts:
    return Alerts(broadcast, HandClock(), "r-1")


def test_what_stands_is_listed_until_it_is_over(alerts: Alerts, broadcast: Broadcast) -> None:
    alerts.raise_alert(AlertCode.STORE, "away")
    alerts.raise_alert(AlertCode.STORE, "away again")
    alerts.raise_alert(AlertCode.ACCOUNT, "401", provider="at")
    assert alerts.standing() == ["store: away", "account (at): 401"]
    alerts.resolve("store", "back")
    assert alerts.standing() == ["account (at): 401"]
    assert [each["reason"] for each in broadcast.told] == ["away", "401", "over: back"]


def test_a_change_is_told_each_time_and_stands_for_nothing(
    alerts: Alerts, broadcast: Broadcast
) -> None:
    for _ in range(2):
        alerts.event(AlertCode.STATE, "ann: 1 % -> 5 %: because")
    assert alerts.standing() == []
    assert [each["severity"] for each in broadcast.told] == ["info", "info"]
    assert broadcast.told[0]["alertId"] != broadcast.told[1]["alertId"]


def test_refusals_are_told_with_provider_and_code_and_are_one_alert_everywhere(
    alerts: Alerts, broadcast: Broadcast
) -> None:
    other = Alerts(broadcast, HandClock(), "r-2")
    for replica in (alerts, other):
        replica.refusals("at", "402", "40 of 40 messages refused: 402 InvalidSenderId")
    alerts.refusals("at", "403", "20 of 40 messages refused: 403 InvalidPhoneNumber")
    assert [each["severity"] for each in broadcast.told] == ["warning"] * 3
    assert broadcast.told[0]["reason"] == (
        "at: 40 of 40 messages refused: 402 InvalidSenderId; "
        "the other provider is asked, where there is one"
    )
    assert broadcast.told[0]["evidence"] == {"provider": "at", "code": "402"}
    ids = [each["alertId"] for each in broadcast.told]
    assert ids[0] == ids[1] != ids[2]
