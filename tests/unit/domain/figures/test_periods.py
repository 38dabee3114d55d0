"""A period is tiled by slots: every smallest one once, the long ones first."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.figures.periods import SLOT_S, SPANS, Piece, pieces

DAY = 86_400
MOMENT = st.integers(0, 400 * DAY)
PERIODS = st.tuples(MOMENT, st.integers(0, 40 * DAY)).map(lambda each: (each[0], sum(each)))


@given(PERIODS)
def test_pieces_tile_the_slots_that_begin_in_a_period(period: tuple[int, int]) -> None:
    since, until = period
    first, end = -(-since // SLOT_S) * SLOT_S, -(-until // SLOT_S) * SLOT_S
    at = first
    for piece in pieces(since, until):
        assert piece.start == at < piece.end
        at = piece.end
    assert at == max(first, end)


@given(PERIODS)
def test_a_piece_begins_and_ends_where_slots_of_its_span_do(period: tuple[int, int]) -> None:
    for piece in pieces(*period):
        assert piece.span in SPANS
        assert (piece.start % piece.span, piece.end % piece.span) == (0, 0)


@given(PERIODS)
def test_no_longer_slot_would_fit_into_a_piece(period: tuple[int, int]) -> None:
    for piece in pieces(*period):
        for longer in (span for span in SPANS if span > piece.span):
            assert -(-piece.start // longer) * longer + longer > piece.end


@given(PERIODS)
def test_documents_read_are_bounded_by_the_ends_and_the_days(period: tuple[int, int]) -> None:
    slots = sum((piece.end - piece.start) // piece.span for piece in pieces(*period))
    assert slots <= (period[1] - period[0]) // DAY + 2 * (59 + 5 + 23) + 1


@pytest.mark.parametrize(("since", "until"), [(10, 10), (20, 10), (11, 19)])
def test_a_period_in_which_no_slot_begins_has_no_pieces(since: int, until: int) -> None:
    assert pieces(since, until) == ()


def test_a_slot_begun_before_the_period_is_not_in_it() -> None:
    assert pieces(10.5, 30.5) == (Piece(10, 20, 40),)


def test_whole_days_are_days_alone() -> None:
    assert pieces(0, 30 * DAY) == (Piece(DAY, 0, 30 * DAY),)


def test_ends_are_of_ever_shorter_slots() -> None:
    since, until = DAY - 3_600 - 600 - 10, 2 * DAY + 3_600 + 600 + 10
    found = [(piece.span, piece.end - piece.start) for piece in pieces(since, until)]
    assert found == [(span, span) for span in (10, 600, 3_600, DAY, 3_600, 600, 10)]


def test_each_span_is_a_multiple_of_the_one_before() -> None:
    assert all(long % short == 0 for short, long in pairwise(SPANS))
