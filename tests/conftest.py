"""What holds for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest

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
