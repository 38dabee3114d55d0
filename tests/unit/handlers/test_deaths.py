"""Reading what a broker wrote about a message it took out of a queue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.names import Queue
from tests.support.fakes import deaths
from worker.handlers.deaths import Death, newest_death
from worker.handlers.decode import LANE_OF_QUEUE

URGENT, BULK = Queue.TRANSACTIONAL.value, Queue.BULK.value
TIER = ("sms.retry.5s", "expired")


@pytest.mark.parametrize("why", ["expired", "delivery_limit", "rejected", "maxlen"])
def test_the_newest_death_in_a_lane_counts_and_not_the_first_in_a_tier(why: str) -> None:
    assert newest_death(deaths((URGENT, why), TIER), LANE_OF_QUEUE) == Death(URGENT, why)


def test_of_two_deaths_in_lanes_the_newer_one_counts() -> None:
    headers = deaths((URGENT, "delivery_limit"), TIER, (BULK, "expired"))
    assert newest_death(headers, LANE_OF_QUEUE) == Death(URGENT, "delivery_limit")


def test_deaths_in_other_queues_are_passed_over() -> None:
    headers = deaths(("sms.lost", "rejected"), ("theirs", "maxlen"), (BULK, "expired"), TIER)
    assert newest_death(headers, LANE_OF_QUEUE) == Death(BULK, "expired")


def test_a_message_that_died_in_no_lane_tells_of_none() -> None:
    assert newest_death(deaths(TIER), LANE_OF_QUEUE) is None
    assert newest_death({}, LANE_OF_QUEUE) is None


def test_where_the_list_names_no_lane_the_last_death_of_newer_brokers_counts() -> None:
    last = {"x-last-death-queue": URGENT, "x-last-death-reason": "expired"}
    assert newest_death(last, LANE_OF_QUEUE) == Death(URGENT, "expired")
    newer = last | deaths((BULK, "delivery_limit"), TIER)
    assert newest_death(newer, LANE_OF_QUEUE) == Death(BULK, "delivery_limit")


def test_names_that_came_as_bytes_are_read() -> None:
    headers = {"x-death": [{"queue": URGENT.encode(), "reason": b"expired"}]}
    assert newest_death(headers, LANE_OF_QUEUE) == Death(URGENT, "expired")


@pytest.mark.parametrize("reason", [None, 7, [], {}, "x" * 10_000, b"\xff", "gone"])
def test_a_reason_no_broker_gives_is_unknown(reason: object) -> None:
    headers = {"x-death": [{"queue": BULK, "reason": reason}]}
    assert newest_death(headers, LANE_OF_QUEUE) == Death(BULK, "unknown reason")


leaves = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats()
odd = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["queue", "reason"]), inner),
    max_leaves=8,
)


@given(odd, odd, odd)
def test_whatever_the_headers_hold_is_read_as_no_death(
    listed: object, one: object, two: object
) -> None:
    headers = {"x-death": listed, "x-last-death-queue": one, "x-last-death-reason": two}
    assert newest_death(headers, LANE_OF_QUEUE) is None


@given(odd)
def test_odd_entries_do_not_hide_the_death_behind_them(entry: object) -> None:
    headers = {"x-death": [entry, None, {"queue": URGENT, "reason": "expired"}]}
    assert newest_death(headers, LANE_OF_QUEUE) == Death(URGENT, "expired")
