"""`tests/integration/test_consumer.py` on the simulated broker."""

from __future__ import annotations

from tests.integration import test_consumer as real
from tests.torture.simulation.broker_suites.taken import suite_of

# Pika writes what the library cannot, so these are left out.
WITHOUT = {"test_odd_properties_do_not_stop_the_lane"}
globals().update(suite_of(real, without=WITHOUT))
