"""The deployed processes with fault points: `python -m tests.torture.processes.program run`.

Rules: it is the same command line in the same process (`worker.cli`), between edges that have the
points. The faults are in the environment variable `SMS_FAULTS` (`faults`), which is taken out
before the product reads its settings. The product itself has no code for faults. So they cost
nothing where SMS are sent, and nobody can switch one on there: a worker with a variable `SMS_` that
is no setting refuses to start.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from tests.torture.processes import faulty_broker, faulty_database, faulty_provider
from tests.torture.processes.faults import Faults
from worker import cli
from worker.app import services, webhook
from worker.app.edges import Edges, edges_of, naming_database
from worker.broker.connection import HEARTBEAT_S, BrokerConnection
from worker.store.client import Database

if TYPE_CHECKING:
    from worker.service import Background
    from worker.settings.model import Settings

FAULTS: Final = "SMS_FAULTS"
PASSED: Final = "SMS_FAULTS_PASSED"
"""File to which every passed point is appended."""


def faulty_edges(faults: Faults, cfg: Settings) -> Edges:
    """The real edges, with fault points."""

    def link(name: str, background: Background, heartbeat_s: int = HEARTBEAT_S) -> BrokerConnection:
        opening, url = faulty_broker.Opening(faults), cfg.amqp_url.get_secret_value()
        return BrokerConnection(url, name, background, heartbeat_s=heartbeat_s, opening=opening)

    def database(timeout_s: float) -> Database:
        client, url = partial(faulty_database.Client, faults), cfg.mongo_url.get_secret_value()
        with naming_database(cfg):
            return Database(url, cfg.mongo_database, timeout_s=timeout_s, client=client)

    provider = partial(faulty_provider.build, faults)
    return replace(edges_of(cfg), link=link, database=database, provider=provider)


def main() -> None:
    """Run the command line of `sms-worker` with the faults of the environment."""
    written, passed = os.environ.pop(FAULTS, ""), os.environ.pop(PASSED, None)
    faults = Faults(written, Path(passed) if passed else None)
    opening = faulty_broker.Opening(faults)
    with ExitStack() as replaced:
        replaced.enter_context(patch.object(services, "edges_of", partial(faulty_edges, faults)))
        replaced.enter_context(
            patch.object(webhook, "BrokerConnection", partial(BrokerConnection, opening=opening))
        )
        cli.main()


if __name__ == "__main__":
    main()
