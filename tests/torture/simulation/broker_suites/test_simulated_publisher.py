"""`tests/integration/test_publisher.py` on the simulated broker."""

from __future__ import annotations

from tests.integration import test_publisher as real
from tests.torture.simulation.broker_suites.taken import suite_of

globals().update(suite_of(real))
