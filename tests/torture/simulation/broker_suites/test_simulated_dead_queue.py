"""`tests/integration/test_dead_queue.py` on the simulated broker."""

from __future__ import annotations

from tests.integration import test_dead_queue as real
from tests.torture.simulation.broker_suites.taken import suite_of

globals().update(suite_of(real))
