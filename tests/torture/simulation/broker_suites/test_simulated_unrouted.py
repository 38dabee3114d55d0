"""`tests/integration/test_unrouted.py` on the simulated broker."""

from __future__ import annotations

from tests.integration import test_unrouted as real
from tests.torture.simulation.broker_suites.taken import suite_of

# The command line opens a real connection, so these are left out.
WITHOUT = {
    "test_what_nobody_took_is_counted_by_name",
    "test_a_sample_says_that_it_is_one",
    "test_where_every_event_is_taken_the_count_is_zero",
    "test_a_broker_that_is_away_is_said_in_one_line",
}
globals().update(suite_of(real, without=WITHOUT))
