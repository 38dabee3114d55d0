"""What a worker process reaches outside itself: time, broker, database, providers.

Rules: nothing else of the process opens a connection to them. So a whole worker can be built
between other edges: those of a simulation, or edges that fail at a named point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.broker.connection import HEARTBEAT_S, BrokerConnection
from worker.clock import SystemClock
from worker.providers import registry
from worker.service import naming
from worker.settings.addresses import where
from worker.store import address_check
from worker.store.client import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from worker.ports.clock import Clock
    from worker.ports.providers import Provider
    from worker.service import Background
    from worker.settings.model import Settings
    from worker.settings.providers import ProviderSettings


@dataclass(frozen=True, slots=True)
class Edges:
    """Builds what a process speaks to others with; building it connects to nothing.

    Args:
        clock: wall and monotonic time.
        link: a connection to the broker: its name, what runs its keeper, heartbeat in seconds.
        database: a client of the database with this timeout, seconds.
        provider: the adapter of a provider's account.
    """

    clock: Clock
    link: Callable[[str, Background, int], BrokerConnection]
    database: Callable[[float], Database]
    provider: Callable[[ProviderSettings], Provider]


def edges_of(cfg: Settings) -> Edges:
    """The real edges, at the addresses of the settings."""

    def link(name: str, background: Background, heartbeat_s: int = HEARTBEAT_S) -> BrokerConnection:
        url = cfg.amqp_url.get_secret_value()
        return BrokerConnection(url, name, background, heartbeat_s=heartbeat_s)

    def database(timeout_s: float) -> Database:
        with naming_database(cfg):
            return Database(
                cfg.mongo_url.get_secret_value(), cfg.mongo_database, timeout_s=timeout_s
            )

    return Edges(SystemClock(), link, database, registry.build)


def naming_database(cfg: Settings) -> AbstractContextManager[None]:
    """Report an error inside the block as a problem of `MONGO_URL`."""
    hosts = where(cfg.mongo_url.get_secret_value())
    return naming("MONGO_URL", f"database at {hosts}", address_check.why, address_check.passes)
