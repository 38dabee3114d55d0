"""What a report changes: a delivery only moves forward, and the first final state stays."""

from __future__ import annotations

from itertools import product

import pytest

from worker.domain.messages.message import Delivery
from worker.domain.messages.receipts import FINAL, moves

NONE, SUBMITTED = Delivery.NONE, Delivery.SUBMITTED
UNDELIVERED, DELIVERED = Delivery.UNDELIVERED, Delivery.DELIVERED
MOVES = {
    (NONE, SUBMITTED),
    (NONE, UNDELIVERED),
    (NONE, DELIVERED),
    (SUBMITTED, UNDELIVERED),
    (SUBMITTED, DELIVERED),
}


@pytest.mark.parametrize(("current", "reported"), list(product(Delivery, Delivery)))
def test_a_report_moves_a_delivery_forward_or_not_at_all(
    current: Delivery, reported: Delivery
) -> None:
    assert moves(current, reported) is ((current, reported) in MOVES)


@pytest.mark.parametrize("current", Delivery)
def test_an_unknown_status_moves_nothing(current: Delivery) -> None:
    assert not moves(current, None)


def test_nothing_moves_a_final_state() -> None:
    assert not any(moves(final, reported) for final in FINAL for reported in Delivery)
