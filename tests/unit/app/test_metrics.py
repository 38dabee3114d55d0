"""What a worker shows of itself."""

from __future__ import annotations

import asyncio

from worker.app.metrics import tasks


async def test_tasks_are_counted_until_they_end() -> None:
    ((before, labels),) = tasks()
    gate = asyncio.Event()
    waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
    assert tasks() == [(before + 3, labels)]
    gate.set()
    await asyncio.gather(*waiting)
    assert tasks() == [(before, labels)]
