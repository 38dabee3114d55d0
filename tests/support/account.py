"""The account: every message published, its events against the journals of the providers.

Rules: the journals are the truth. A judge looks at one message: its id, its events (each fact once)
and who took it, and says whether something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tests.support.whole_system import SETTLES

if TYPE_CHECKING:
    from tests.support.whole_system import Sent, System

Events = Sequence[Mapping[str, Any]]
Judge = Callable[["Sent", Events, Sequence[str]], bool]


def _has(events: Events, *names: str) -> bool:
    return any(event["event"] in names for event in events)


def lost(_: Sent, events: Events, __: Sequence[str]) -> bool:
    """Nobody knows its end, nor that it is held."""
    return not _has(events, *SETTLES, "sms.unknown")


def doubled_on_bulk(sent: Sent, _: Events, takers: Sequence[str]) -> bool:
    """Taken twice though its lane holds what may have left."""
    return sent.lane == "bulk" and len(takers) > 1


def more_than_twice(_: Sent, __: Events, takers: Sequence[str]) -> bool:
    """Taken more often than one resend explains."""
    return len(takers) > 2


def unmarked(_: Sent, events: Events, takers: Sequence[str]) -> bool:
    """Doubled, and what upstream was told does not say so."""
    told = [event for event in events if event["event"] == "sms.sent"] or events
    return len(takers) > 1 and not all(event.get("possibleDuplicate") for event in told)


def false_sent(_: Sent, events: Events, takers: Sequence[str]) -> bool:
    """Announced as sent through a provider that never took it."""
    return any(e["event"] == "sms.sent" and e["provider"] not in takers for e in events)


def false_end(_: Sent, events: Events, takers: Sequence[str]) -> bool:
    """Announced as not sent though a provider took it."""
    return bool(takers) and _has(events, "sms.failed", "sms.expired", "sms.rejected")


def two_ends(_: Sent, events: Events, __: Sequence[str]) -> bool:
    """Two ends that contradict each other."""
    return len({event["event"] for event in events if event["event"] in SETTLES}) > 1


JUDGES: Final[tuple[Judge, ...]] = (
    lost,
    doubled_on_bulk,
    more_than_twice,
    unmarked,
    false_sent,
    false_end,
    two_ends,
)


class Account:
    """What was published with names that begin with `prefix`, and who took it."""

    def __init__(self, system: System, prefix: str = "") -> None:
        self.system = system
        self.takers: dict[str, list[str]] = {
            name: [] for name in system.sent if name.startswith(prefix)
        }
        for line in system.taken():
            if line["key"] in self.takers:
                self.takers[line["key"]].append(line["provider"])

    async def check(self) -> None:
        """Every judge over every message; on a finding, the stories of those concerned."""
        for judge in JUDGES:
            await self.none(judge)

    async def none(self, judge: Judge) -> None:
        """No message on which this judge finds something wrong."""
        sent, events = self.system.sent, self.system.events
        wrong = [n for n, takers in self.takers.items() if judge(sent[n], events.of(n), takers)]
        title = f"{judge.__name__}, {judge.__doc__}: {len(wrong)} of {len(self.takers)}"
        assert not wrong, await self.system.story(wrong, title)
