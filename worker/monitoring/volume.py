"""How many messages there are an hour, for what people are told before a move.

Rules: an attempt after another candidate was proved not to have sent is no message of its own. The
figure is a rough one: people are told "about".
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.domain.figures.tally import Tally
    from worker.monitoring.measures import Measuring
    from worker.ports.clock import Clock

_HOUR: Final = timedelta(hours=1)
_LATELY: Final = timedelta(minutes=10)


async def messages_per_hour(
    measuring: Measuring, providers: tuple[str, ...], clock: Clock
) -> float | None:
    """Messages of the last hour; of the last ten minutes scaled up, where the hour began without.

    An hour that began without any message is not known as a whole: counting may have begun in it.

    Returns:
        None: there was no message in the last hour.

    Raises:
        StoreUnavailable: the store did not answer.
    """
    now = clock.now()
    hour = _messages((await measuring.sums(providers, now - _HOUR, now)).values())
    if not hour:
        return None
    begin = now - _HOUR
    first = _messages((await measuring.sums(providers, begin, begin + _LATELY)).values())
    if first:
        return float(hour)
    late = _messages((await measuring.sums(providers, now - _LATELY, now)).values())
    return late * (_HOUR / _LATELY) if late else float(hour)


def _messages(tallies: Iterable[Tally]) -> int:
    return sum(tally.attempts - tally.fallback for tally in tallies)
