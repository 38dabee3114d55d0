"""`tests/integration/test_rights.py` on the simulated broker."""

from __future__ import annotations

from tests.integration import test_rights as real
from tests.torture.simulation.broker_suites.taken import suite_of

# It asks no broker, so these are left out.
WITHOUT = {"test_every_login_of_the_definitions_is_tried_and_none_has_a_tag"}
globals().update(suite_of(real, without=WITHOUT))
