"""What holds for every test."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.torture.simulation.database.client import Client
from tests.torture.simulation.database.server import Server
from tests.torture.simulation.wire import Direct

if TYPE_CHECKING:
    from collections.abc import Callable

# A test never fails for its time: how long an example takes says more of the machine than of us.
# Every run tries the same examples, so that what fails here fails everywhere.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


class OneSystemAtATime(LoadFileScheduling):
    """A file stays in one process, and so do all tests of the whole system.

    Such a test needs the machine: two stacks beside each other are late with everything.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "system" if nodeid.startswith("tests/system/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneSystemAtATime:
    """How tests are dealt out when they run side by side."""
    return OneSystemAtATime(config, log)


@pytest.fixture
def simulated_database() -> Callable[..., Any]:
    """Builds the driver's client of a new simulated database, as `store.client.Database` takes it.

    Suites of the real database run over it too, so that it is known to do the same.
    """
    return partial(Client, Server(lambda: datetime.now(UTC)), Direct())
