"""How many messages there are an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import EPOCH, HandClock
from worker.domain.figures.periods import SlotSums, start_of
from worker.monitoring.volume import messages_per_hour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.domain.figures.series import Period

NOW = EPOCH.timestamp() + 1_500
Counts = dict[str, int]


class Slots:
    """Attempts at the target, by how many minutes ago they were."""

    def __init__(self, attempts: dict[float, Counts]) -> None:
        self.attempts = attempts

    async def series(self, shown: Period, names: Sequence[str]) -> list[SlotSums]:
        found = {
            start_of(int(NOW - 60 * minutes), shown.scale.slot_s): counts
            for minutes, counts in self.attempts.items()
        }
        rows = [
            SlotSums(provider, start, {name: counts.get(name, 0) for name in names})
            for start, counts in found.items()
            for provider in ("africastalking", "of another time")
        ]
        return [row for row in rows if row.start in shown.starts]


async def volume(attempts: dict[float, Counts]) -> float | None:
    clock = HandClock()
    clock.advance(NOW - clock.now().timestamp())
    return await messages_per_hour(Slots(attempts), ("africastalking", "legacy"), clock)


@pytest.mark.parametrize(
    ("attempts", "messages"),
    [
        ({}, None),
        ({75: {"accepted": 50}}, None),
        ({62: {"accepted": 55}, 4: {"accepted": 10}}, 60.0),
        ({62: {"accepted": 8, "unknown": 59, "refused": 1, "skipped": 2, "fallback": 5}}, 60.0),
        ({24: {"accepted": 99}, 4: {"accepted": 10}, 14: {"accepted": 15}}, 100.0),
        ({24: {"accepted": 50}, 4: {"accepted": 10}}, 40.0),
        ({24: {"accepted": 65}}, 60.0),
    ],
)
async def test_an_hour_that_began_without_messages_is_scaled_from_its_end(
    attempts: dict[float, Counts], messages: float | None
) -> None:
    assert await volume(attempts) == messages
