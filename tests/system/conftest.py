"""The whole system as real processes, one stack a test module.

A module names what differs from the profile of `tests.support.whole_system` in `PROFILE`; with
`CONSOLE` it gets a console too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.whole_system import System

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


@pytest.fixture(scope="module")
def profile(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Further environment of the workers."""
    return getattr(request.module, "PROFILE", {})


@pytest.fixture(scope="module")
async def system(
    profile: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[System]:
    """Broker, database, both simulators, webhook and two replicas, all its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):  # parts are broken on purpose: never somebody else's
            if name == "MONGO_URL" or name.startswith("AMQP_URL"):
                patch.delenv(name)
        console = getattr(request.module, "CONSOLE", False)
        folder = tmp_path_factory.mktemp("stack")
        async with System.running(folder, profile, console=console) as running:
            yield running


@pytest.fixture
async def healthy(system: System) -> System:
    """The same system with no fault in force."""
    await system.heal()
    return system
