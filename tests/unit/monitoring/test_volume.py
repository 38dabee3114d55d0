"""How many messages there are an hour."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support.fakes import HandClock
from worker.domain.figures.tally import Tally
from worker.monitoring.volume import messages_per_hour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.monitoring.measures import Measuring


class Sums:
    """Attempts by how many minutes ago they were."""

    def __init__(self, clock: HandClock, attempts: dict[float, dict[str, int]]) -> None:
        self.clock, self.attempts = clock, attempts

    async def sums(
        self, providers: Sequence[str], since: datetime, until: datetime
    ) -> dict[str, Tally]:
        total = Tally()
        for minutes, counts in self.attempts.items():
            if since <= self.clock.now() - timedelta(minutes=minutes) < until:
                total = total.plus(Tally.of(counts))
        return {providers[0]: total, providers[1]: Tally()}


async def volume(attempts: dict[float, dict[str, int]]) -> float | None:
    clock = HandClock()
    measuring = cast("Measuring", cast("Any", Sums(clock, attempts)))
    return await messages_per_hour(measuring, ("africastalking", "legacy"), clock)


@pytest.mark.parametrize(
    ("attempts", "messages"),
    [
        ({}, None),
        ({61.0: {"accepted": 50}}, None),
        ({55.0: {"accepted": 50}, 5.0: {"accepted": 10}}, 60.0),
        ({25.0: {"accepted": 50}, 5.0: {"accepted": 10}}, 60.0),
        ({25.0: {"accepted": 50}, 5.0: {"accepted": 7}}, 42.0),
        ({25.0: {"accepted": 50}}, 50.0),
        ({55.0: {"accepted": 8, "unknown": 1, "skipped": 2, "refused": 1, "fallback": 3}}, 9.0),
    ],
)
async def test_an_hour_known_in_part_is_scaled_from_its_last_ten_minutes(
    attempts: dict[float, dict[str, int]], messages: float | None
) -> None:
    assert await volume(attempts) == messages
