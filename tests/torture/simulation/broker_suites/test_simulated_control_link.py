"""`tests/integration/test_control_link.py` on the simulated broker."""

from __future__ import annotations

from tests.integration import test_control_link as real
from tests.torture.simulation.broker_suites.taken import suite_of

globals().update(suite_of(real))
