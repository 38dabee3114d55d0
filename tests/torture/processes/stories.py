"""The stories of the matrix: what upstream and an administrator do while a fault happens.

Rules: a story waits for nothing but the broker's confirms and an administrator's answers, so that
it can go on while a worker is dead. Its messages go to numbers that nobody else has; each provider
is first for half of them, and each lane carries half of either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from contracts import control
from tests.support.recipients import number_for
from tests.torture.points import COMMAND, MESSAGE, REPORT
from tests.torture.processes.world import LEGACY, TARGET

if TYPE_CHECKING:
    from tests.torture.points import Life
    from tests.torture.processes.world import World

Manner = Mapping[str, Any]
"""An action of `worker.lab.simulator.script`."""
EACH: Final = 2
"""Messages for each provider and lane."""
LANES: Final = ("transactional", "bulk")
CROWD: Final = 120
WHY: Final = "a story cannot wait"


@dataclass(frozen=True, slots=True)
class Story:
    """What happens in a cell.

    Args:
        name: of the story.
        lives: whose points its cells are; with none, its signals come from outside.
        tell: publishes what belongs to it; the text names the cell.
        manners: how each provider treats what it gets.
        faulty: the program that has the fault: `run` or `webhook`.
        hits: whether the providers' manner alone can leave messages unknown.
        reports: whether the providers send delivery reports.
        profile: further environment of the worker.
    """

    name: str
    lives: frozenset[Life]
    tell: Callable[[World, str], Awaitable[None]]
    manners: Mapping[str, Manner]
    faulty: str = "run"
    hits: bool = False
    reports: bool = False
    profile: Mapping[str, str] = field(default_factory=dict)


async def _messages(world: World, cell: str) -> None:
    await asyncio.gather(
        *(
            world.send(f"{cell}-{provider}-{lane}-{n}", number_for(provider), lane)
            for provider in (TARGET, LEGACY)
            for lane in LANES
            for n in range(EACH)
        )
    )


async def _crowd(world: World, cell: str) -> None:
    """Many at once, so that a worker has its hands full."""
    await asyncio.gather(
        *(
            world.send(f"{cell}-{n}", number_for((TARGET, LEGACY)[n % 2]), LANES[n // 2 % 2])
            for n in range(CROWD)
        )
    )


async def _stray(world: World, cell: str) -> None:
    """Reports on what nobody sent."""
    await world.report_stray(f"stray-{cell}")


async def _commands(world: World, _cell: str) -> None:
    """Down to nothing and up again, an alert, the list of opt-outs, and one that is refused."""
    await world.command(control.EmergencyRollback)
    await world.command(control.Ack, alert="low-balance", provider=TARGET)
    await world.command(control.AddSuppression, number=number_for(TARGET))
    for _ in range(2):
        await world.command(control.Advance, override_gates=WHY)
    await world.command(control.SetPercentage, percentage=50, override_gates=WHY)
    await world.command(control.SetPercentage, percentage=99, override_gates=WHY)


def _both(manner: Manner) -> Mapping[str, Manner]:
    return {TARGET: manner, LEGACY: manner}


_REPORTS: Final = {"send": True, "copies": 2, "delay_ms": 20}
STORIES: Final = (
    Story("taken", MESSAGE, _messages, _both({})),
    Story(
        "refused",
        MESSAGE,
        _messages,
        {
            TARGET: {"do": "refuse", "code": 406},
            LEGACY: {"do": "refuse", "code": "opted_out"},
        },
    ),
    Story("closed", MESSAGE, _messages, _both({"do": "close"}), hits=True),
    Story(
        "unsent",
        MESSAGE,
        _messages,
        {
            TARGET: {"do": "refuse", "code": 501},
            LEGACY: {"do": "refuse", "code": "unavailable"},
        },
    ),
    Story(
        "reported",
        REPORT,
        _messages,
        {
            TARGET: {"reports": _REPORTS},
            LEGACY: {"reports": {**_REPORTS, "before_answer": True}},
        },
        reports=True,
    ),
    Story(
        "crowded",
        frozenset(),
        _crowd,
        _both({"latency_ms": {"median": 100, "p95": 500}}),
        profile={"SMS_PREFETCH_TRANSACTIONAL": "40", "SMS_PREFETCH_BULK": "40"},
    ),
    Story("stray", REPORT, _stray, _both({}), reports=True),
    Story("steered", COMMAND, _commands, _both({})),
    Story(
        "webhook", REPORT, _messages, _both({"reports": _REPORTS}), faulty="webhook", reports=True
    ),
)
BY_NAME: Final = {story.name: story for story in STORIES}
