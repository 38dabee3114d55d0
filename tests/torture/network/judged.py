"""Traffic of both lanes, a fault that comes and goes, and the judge over what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.support.waiting import until
from tests.torture.judge.judge import judge
from tests.torture.network.collected import collect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.whole_system import System
    from tests.torture.judge.facts import Fault
    from tests.torture.network.traffic import Traffic

SETTLES_WITHIN_S: Final = 60.0
_SHOWN: Final = 5


async def at_rest(system: System, traffic: Traffic, within_s: float = SETTLES_WITHIN_S) -> None:
    """Wait until upstream knows of every message, and no command is under way."""

    async def why() -> str:
        left = traffic.without_end()
        return await system.story(left[:_SHOWN], f"{len(left)} open; {await system.under_way()}")

    await until(lambda: not traffic.without_end(), within_s, why)
    await until(system.quiet, within_s, why)
    await until(lambda: all_confirmed(system), within_s, why)


async def all_confirmed(system: System) -> bool:
    """Whether no record has an event whose confirmation is not noted."""
    return await system.store["messages"].find_one({"unconfirmed.0": {"$exists": True}}) is None


async def assert_no_violation(
    system: System, traffic: Traffic, faults: Iterable[Fault], *, reports: bool = False
) -> None:
    """Every invariant holds for these commands; else tell the stories of those concerned."""
    found = judge(await collect(system, traffic.commands, list(faults), reports=reports))
    about = [each.about for each in found if each.about in traffic.commands]
    title = "\n".join(map(str, found[:20]))
    assert not found, await system.story(about[:_SHOWN], f"{len(found)} violations\n{title}")
