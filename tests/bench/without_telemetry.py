"""The worker without what it does for metrics alone: the baseline of `test_telemetry_cost`.

Deliveries are not counted and open records are not read. What the detectors need is counted all the
same, because it is no telemetry.
"""

from __future__ import annotations

from worker.cli.run import run
from worker.telemetry.backlog import Backlog
from worker.telemetry.deliveries import Deliveries


async def _nothing(_: Backlog) -> None:
    pass


Deliveries.counted = lambda _self, handler, _queue: handler
Backlog.look = _nothing
run()
