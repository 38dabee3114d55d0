"""`tests/integration/test_broker_restarts.py` on the simulated broker."""

from __future__ import annotations

from tests.integration import test_broker_restarts as real
from tests.torture.simulation.broker_suites.taken import suite_of

WITHOUT = {"broker", "amqp_url"}
globals().update(suite_of(real, without=WITHOUT))
