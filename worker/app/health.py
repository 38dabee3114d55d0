"""Holds the lanes back while the store or the broker is unavailable, and reports it on `/ready`.

Rules: the lanes stop while the store is unavailable. Every part that uses the store reports here
whether it answered. The lanes also stop while the broker takes no events, because nobody would
learn what was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.domain.alerts.alert_codes import AlertCode
from worker.web.health import health_app
from worker.web.server import WebServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.alerting.alerts import Alerts
    from worker.app.lanes import Lanes
    from worker.app.runtime import Runtime
    from worker.app.stores import Stores
    from worker.broker.connection import BrokerConnection
    from worker.control.snapshot_follower import SnapshotFollower
    from worker.telemetry.scrape import Scrape


class StoreHealth:
    """Knows whether the store answers: every part that uses it reports here.

    Args:
        lanes: held back while the store is unavailable.
        alerts: get one alert when the store fails, resolved when it answers again.
    """

    def __init__(self, lanes: Lanes, alerts: Alerts) -> None:
        self._lanes = lanes
        self._alerts = alerts
        self._on_return: list[Callable[[], None]] = []
        self._away: str | None = None
        self._answered = False

    def on_return(self, call: Callable[[], None]) -> None:
        """Register `call`, which is called each time the store is back."""
        self._on_return.append(call)

    def away(self, reason: str) -> None:
        """See `StoreListener.away`."""
        if self._away is None:
            self._away = reason
            self._lanes.hold("store")
            self._alerts.raise_alert(
                AlertCode.STORE, f"the store is unavailable ({reason}): nothing is sent"
            )

    def recovered(self) -> None:
        """See `StoreListener.recovered`."""
        self._answered = True
        if self._away is not None:
            self._away = None
            self._lanes.free("store")
            self._alerts.resolve(AlertCode.STORE, "the store is back")
            for call in self._on_return:
                call()

    def check(self) -> tuple[bool, str]:
        """Return whether the store answers, and why not."""
        if self._away is None and not self._answered:
            return False, "not asked yet"
        return self._away is None, self._away or "reachable"


class BrokerHealth:
    """Knows whether the broker takes what we publish.

    Args:
        consuming: the connection that deliveries come on.
        publishing: the connection that the broker blocks in a memory or disk alarm.
        lanes: held back while it is blocked, because nobody would learn what was sent.
        alerts: get one alert when the block begins, resolved when it ends.
    """

    def __init__(
        self,
        consuming: BrokerConnection,
        publishing: BrokerConnection,
        lanes: Lanes,
        alerts: Alerts,
    ) -> None:
        self._consuming = consuming
        self._publishing = publishing
        self._lanes = lanes
        self._alerts = alerts
        publishing.on_blocked(self._blocked)

    def _blocked(self, blocked: bool) -> None:  # noqa: FBT001 - what `BrokerConnection.on_blocked` hands over
        if blocked:
            self._lanes.hold("broker")
            self._alerts.raise_alert(
                AlertCode.BROKER_BLOCKED,
                "the broker takes no messages from us (memory or disk alarm): nothing new is sent",
            )
        else:
            self._lanes.free("broker")
            self._alerts.resolve(AlertCode.BROKER_BLOCKED, "the broker takes messages again")

    def check(self) -> tuple[bool, str]:
        """Return whether both connections work, and why not."""
        if self._publishing.is_blocked:
            return False, "blocked by the broker: memory or disk alarm"
        problem = self._consuming.problem or self._publishing.problem
        return not problem, problem or "both connections"


def health_server(
    runtime: Runtime,
    stores: Stores,
    follower: SnapshotFollower,
    scrape: Scrape,
    *,
    store: StoreHealth,
    broker: BrokerHealth,
) -> WebServer:
    """Build the private server for `/live`, `/ready` and `/metrics`."""
    checks = {
        "store": store.check,
        "state": lambda: (
            follower.is_fresh(),
            "verified recently" if follower.is_fresh() else "not verified for too long",
        ),
        "suppressions": lambda: (
            stores.suppressions.loaded,
            "loaded" if stores.suppressions.loaded else "not loaded yet",
        ),
        "broker": broker.check,
        **runtime.lanes.checks(),
    }
    return WebServer(
        health_app(checks, scrape.text),
        runtime.background,
        host=runtime.cfg.private_host,
        port=runtime.cfg.private_port,
        name="health",
        settings="SMS_PRIVATE_HOST, SMS_PRIVATE_PORT",
    )
