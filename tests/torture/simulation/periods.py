"""How often loops look at things in a simulation.

Rules: only periods are changed, never what is done. The loops of a worker look every second or two,
because people wait for them; a simulated history lasts minutes, and nobody waits. What must be
longer than what stays so: a state is fresh for longer than the time between two looks at it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import Mock, patch

from worker.app import services, start_and_stop
from worker.broker import connection
from worker.control import snapshot_follower
from worker.handlers import sweep
from worker.store import marks

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLLOW_S: Final = 25.0
STALE_S: Final = 35.0
"""Age at which a state is stale; see `Settings.snapshot_max_age_s`."""
_STRETCHED: Final[tuple[tuple[Any, str, float], ...]] = (
    (snapshot_follower, "EVERY_S", FOLLOW_S),
    (sweep, "EVERY_S", 16.0),
    (sweep, "MATCH_EVERY_S", 15.0),
    (sweep, "WAITING_LATER_S", 20.0),
    (marks, "EVERY_S", 8.0),
    (connection, "LOOK_EVERY_S", 5.0),
)
_LEFT_OUT: Final[tuple[tuple[Any, str], ...]] = (
    (start_and_stop, "_spare_the_collector"),
    (services, "scrape_of"),
    (services, "health_server"),
)
"""What costs more than a history and has no part in it."""


@contextmanager
def stretched() -> Iterator[None]:
    """Stretch the periods within the block."""
    with ExitStack() as patches:
        for module, name, seconds in _STRETCHED:
            patches.enter_context(patch.object(module, name, seconds))
        for module, name in _LEFT_OUT:
            patches.enter_context(patch.object(module, name, Mock()))
        yield
