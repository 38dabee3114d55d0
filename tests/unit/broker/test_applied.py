"""Who has followed a version, from heartbeats alone."""

from __future__ import annotations

import pytest

from worker.broker.applied import behind


@pytest.mark.parametrize(
    ("applied", "oldest", "follows"),
    [
        (None, None, False),
        (6, None, False),
        (7, None, True),
        (8, None, True),
        (7, 6, False),
        (7, 7, True),
        (8, 8, True),
    ],
)
def test_a_replica_follows_when_it_applied_it_and_holds_nothing_older(
    applied: int | None, oldest: int | None, *, follows: bool
) -> None:
    replica = {"replica": "r", "applied": applied, "oldestUnsent": oldest}
    assert behind([replica], 7) == ([] if follows else ["r"])
