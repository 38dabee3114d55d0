"""What holds the lanes back, and what `/ready` says of it.

Rules: the lanes stand still while the store is away, and every part that talks to the store reports
here what it met. They stand still too while the broker takes no events: what was sent could not be
told to anybody.
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


class StoreHealth:
    """Whether the store answers, as every part that uses it reports.

    Args:
        lanes: held back while it is away.
        alerts: told when it goes and comes.
    """

    def __init__(self, lanes: Lanes, alerts: Alerts) -> None:
        self._lanes = lanes
        self._alerts = alerts
        self._on_return: list[Callable[[], None]] = []
        self._away: str | None = None

    def on_return(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever the store is back."""
        self._on_return.append(call)

    def away(self, reason: str) -> None:
        """See `StoreListener.away`."""
        if self._away is None:
            self._away = reason
            self._lanes.hold("store")
            self._alerts.raise_alert(
                AlertCode.STORE, f"the store is away ({reason}): nothing is sent"
            )

    def recovered(self) -> None:
        """See `StoreListener.recovered`."""
        if self._away is not None:
            self._away = None
            self._lanes.free("store")
            self._alerts.resolve(AlertCode.STORE, "the store is back")
            for call in self._on_return:
                call()

    def check(self) -> tuple[bool, str]:
        """Readiness."""
        return self._away is None, self._away or "reachable"


class BrokerHealth:
    """Whether the broker takes what we publish.

    Args:
        consuming: the connection deliveries come on.
        publishing: the connection that a broker in memory or disk alarm blocks.
        lanes: held back while it does: what was sent could not be told.
        alerts: told when it begins and when it is over.
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
        """Readiness."""
        if self._publishing.is_blocked:
            return False, "blocked by the broker: memory or disk alarm"
        return self._consuming.is_up and self._publishing.is_up, "both connections"


def health_server(
    runtime: Runtime,
    stores: Stores,
    follower: SnapshotFollower,
    store: StoreHealth,
    broker: BrokerHealth,
) -> WebServer:
    """The private server for `/live`, `/ready` and what else an orchestrator asks."""
    checks = {
        "store": store.check,
        "state": lambda: (
            follower.is_fresh(),
            "verified within its age" if follower.is_fresh() else "old",
        ),
        "suppressions": lambda: (stores.suppressions.loaded, "loaded once at start"),
        "broker": broker.check,
        **runtime.lanes.checks(),
    }
    return WebServer(
        health_app(checks),
        runtime.background,
        host=runtime.cfg.private_host,
        port=runtime.cfg.private_port,
        name="health",
        settings="SMS_PRIVATE_HOST, SMS_PRIVATE_PORT",
    )
