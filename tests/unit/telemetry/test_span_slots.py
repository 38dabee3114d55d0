"""One open slot for each provider; every longer slot is the exact sum of the short ones."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.domain.figures.periods import SLOT_S, SPANS, start_of
from worker.telemetry.slots import SlotRow, Slots

NOON = 1_772_366_400
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["count", "count", "take", "lose"]),
        st.sampled_from(["target", "legacy"]),
        st.sampled_from([0, 0, 3, 10, 600, 3_600, 86_400]),
    ),
    max_size=60,
)


class Shelf:
    """What a store would hold."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int, int], int] = {}

    def keep(self, rows: list[SlotRow]) -> None:
        for row in rows:
            key = (row.provider, row.span, int(row.at.timestamp()))
            self.rows[key] = row.counts.get("accepted", 0)


@given(STEPS)
def test_every_span_sums_what_was_counted_in_it(steps: list[tuple[str, str, int]]) -> None:
    slots, shelf, now, expected = Slots(["target"]), Shelf(), NOON, Counter()
    for step, provider, later in steps:
        now += later
        if step == "count":
            slots.open(provider, now).accepted += 1
            expected.update((provider, span, start_of(now, span)) for span in SPANS)
        elif step == "take":
            shelf.keep(slots.take(now, 5))
        else:
            slots.put_back(slots.take(now, 5))
    while rows := slots.take(now, 5):
        shelf.keep(rows)
    assert shelf.rows == dict(expected)
    for provider in slots.providers:
        total = sum(n for (name, span, _), n in expected.items() if (name, span) == (provider, 10))
        assert slots.total(provider).accepted == total


def test_a_slot_leaves_memory_when_it_is_over_and_stored() -> None:
    slots = Slots([])
    for slot in range(3 * 86_400 // 600):
        slots.open("target", NOON + slot * 600).accepted += 1
        slots.take(NOON + slot * 600, 1_000)
    assert len(slots._closed) <= len(SPANS)
    assert slots._dirty == set()


def test_a_row_put_back_is_kept_however_old() -> None:
    slots = Slots([])
    slots.open("target", NOON).accepted += 1
    slots.put_back(slots.take(NOON, 10))
    rows = slots.take(NOON + 10 * 86_400, 10)
    assert {row.span: row.counts["accepted"] for row in rows} == dict.fromkeys(SPANS, 1)


def test_nothing_new_is_taken_twice() -> None:
    slots = Slots([])
    slots.open("target", NOON).accepted += 1
    assert len(slots.take(NOON, 10)) == len(SPANS)
    assert slots.take(NOON, 10) == []
    assert slots.take(NOON + SLOT_S, 10) == []


def test_a_longer_slot_goes_on_after_its_first_part_was_stored() -> None:
    slots = Slots([])
    slots.open("target", NOON).accepted += 1
    slots.take(NOON, 10)
    slots.open("target", NOON + SLOT_S).accepted += 1
    rows = slots.take(NOON + SLOT_S, 10)
    assert {row.span: row.counts["accepted"] for row in rows} == {10: 1, 600: 2, 3600: 2, 86_400: 2}
    assert {row.at.timestamp() for row in rows} <= {NOON, NOON + SLOT_S, NOON - 43_200}
    assert all(row.at.utcoffset() == timedelta() for row in rows)


def test_a_provider_nobody_counted_has_sums_of_nothing() -> None:
    assert Slots(["target"]).total("other").counts() == {}
