"""Alerts: one trouble is told once; what happened without an end, each time."""

from __future__ import annotations

import json

import pytest
from fakes import HandClock

from worker.telemetry.alerts import Alerts


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
    alerts.raised("store", "away")
    alerts.raised("store", "away again")
    alerts.raised("account", "401", provider="at")
    assert alerts.standing() == ["store: away", "account (at): 401"]
    alerts.over("store", "back")
    assert alerts.standing() == ["account (at): 401"]
    assert [each["reason"] for each in broadcast.told] == ["away", "401", "over: back"]


def test_a_change_is_told_each_time_and_stands_for_nothing(
    alerts: Alerts, broadcast: Broadcast
) -> None:
    for _ in range(2):
        alerts.told("state", "ann: 1 % -> 5 %: because")
    assert alerts.standing() == []
    assert [each["severity"] for each in broadcast.told] == ["info", "info"]
    assert broadcast.told[0]["alertId"] != broadcast.told[1]["alertId"]
