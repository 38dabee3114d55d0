"""How many messages there are an hour, for what people are told before a move.

Rules: an attempt after another candidate was proved not to have sent is no message of its own. The
figure is a rough one, made of few documents: people are told "about".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.domain.figures.periods import start_of
from worker.domain.figures.series import Period, Scale
from worker.domain.figures.tally import OUTCOMES, Tally

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Protocol

    from worker.domain.figures.periods import SlotSums
    from worker.ports.clock import Clock

    class Slots(Protocol):
        """Sums of every replica."""

        async def series(self, shown: Period, names: Sequence[str]) -> list[SlotSums]:
            """The slots of a period. Raises `StoreUnavailable`."""
            ...


_TEN_MIN: Final = 600
_HOUR: Final = 3_600
_NAMES: Final = (*OUTCOMES, "fallback")


async def messages_per_hour(slots: Slots, providers: Collection[str], clock: Clock) -> float | None:
    """Messages an hour, over the last hour or a little more.

    Where the hour began without any message, counting may have begun in it. Then the rate is that
    of the last ten to twenty minutes, if there were any messages in them.

    Returns:
        None: there was no message.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    now = clock.now().timestamp()
    present = start_of(int(now), _TEN_MIN)
    hour = Period(start_of(int(now) - _HOUR, _TEN_MIN), present + _TEN_MIN, Scale(*[_TEN_MIN] * 2))
    rows = [row for row in await slots.series(hour, _NAMES) if row.provider in providers]
    begin = hour.since
    if not _messages(row for row in rows if row.start == begin):
        late = present - _TEN_MIN
        begin = late if _messages(row for row in rows if row.start >= late) else begin
    messages = _messages(row for row in rows if row.start >= begin)
    return messages * _HOUR / (now - begin) if messages else None


def _messages(rows: Iterable[SlotSums]) -> int:
    tallies = (Tally.of(row.sums) for row in rows)
    return sum(tally.attempts - tally.fallback for tally in tallies)
