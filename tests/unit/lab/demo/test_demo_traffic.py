"""The demo's traffic: steady, and never more ahead of the system than two seconds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, cast

from tests.support.waiting import until
from worker.lab.demo.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.lab.demo.client import Upstream
    from worker.lab.demo.messages import Planned

RATE_PER_S = 500.0
MOST = 1_000


class Slow:
    """Takes commands and settles nothing by itself."""

    def __init__(self) -> None:
        self.published = 0
        self.unsettled: set[int] = set()

    async def publish(self, planned: int) -> None:
        self.published += 1
        self.unsettled.add(planned)


async def test_traffic_stops_two_seconds_ahead_and_goes_on_when_something_is_settled() -> None:
    upstream = Slow()
    planned = cast("Iterator[Planned]", itertools.count())
    traffic = Traffic(cast("Upstream", upstream), planned, RATE_PER_S)
    upstream.unsettled.update(range(-MOST + 10, 0))
    traffic.start()
    await until(lambda: len(upstream.unsettled) >= MOST)
    assert upstream.published == 10
    upstream.unsettled.clear()
    await until(lambda: upstream.published > 10)
    await traffic.stop()
    assert len(upstream.unsettled) <= MOST
