"""`tests/integration/test_link.py` on the simulated broker."""

from __future__ import annotations

from tests.integration import test_link as real
from tests.torture.simulation.broker_suites.taken import suite_of

# Sockets, hosts, passwords and bytes are not simulated, so these are left out.
WITHOUT = {
    "test_a_login_that_is_refused_at_the_start_is_an_error",
    "test_a_broker_that_is_away_at_the_start_is_waited_for",
    "test_a_lost_host_is_replaced_by_another_one",
    "test_a_host_that_hangs_leaves_time_for_another_one",
    "test_of_several_hosts_the_gravest_reason_counts",
    "test_a_start_that_waits_for_the_broker_can_be_given_up",
    "test_options_in_an_address_change_nothing",
    "test_a_connection_without_a_link_reads_what_nobody_can_decode",
}
globals().update(suite_of(real, without=WITHOUT))
