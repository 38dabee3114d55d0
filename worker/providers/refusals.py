"""Counts refusals that only this provider makes, and reports them to people.

If a sender id is not registered there, or numbers are unknown to it, the messages go to the other
provider. They count neither for the breaker nor for the detectors, because they say nothing about
the provider's health. But the share cannot grow to 100 % while they occur.

Rules: each code is reported once in `PERIOD_S`, with the count of messages and never with a number
or text. One wrong sender id is a mistake, but several mean a missing registration. Single wrong
numbers are usual, so a share of the calls is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from worker.domain.messages.outcome import Blame, NotSent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.messages.outcome import Outcome
    from worker.ports.clock import Clock

PERIOD_S: Final = 3_600.0
MUCH: Final[Mapping[Blame, tuple[int, float]]] = {
    Blame.MESSAGE: (3, 0.0),
    Blame.RECIPIENT: (10, 0.05),
}
"""The least count, and the least share of the calls, for a report."""


OnRefusals = Callable[[str, str, str], None]
"""`on_refusals(provider_id, code, what)`; synchronous, must not block."""


class RefusalWatch:
    """Counts the refusals of one provider.

    Args:
        provider_id: the id passed to `tell`.
        clock: monotonic time.
        tell: called if there are many refusals.
    """

    def __init__(self, provider_id: str, clock: Clock, tell: OnRefusals) -> None:
        self._provider_id = provider_id
        self._clock = clock
        self._tell = tell
        self._begin()

    def _begin(self) -> None:
        self._until = self._clock.monotonic() + PERIOD_S
        self._calls = 0
        self._counts: Counter[str] = Counter()
        self._told: set[str] = set()

    def note(self, outcome: Outcome) -> None:
        """Count a finished call."""
        if self._clock.monotonic() >= self._until:
            self._begin()
        self._calls += 1
        if not isinstance(outcome, NotSent) or not outcome.is_own_fault:
            return
        self._counts[outcome.code] += 1
        count = self._counts[outcome.code]
        least, share = MUCH[outcome.blame]
        if count >= max(least, share * self._calls) and outcome.code not in self._told:
            self._told.add(outcome.code)
            what = f"{count} of {self._calls} messages refused: {outcome.code} {outcome.reason}"
            self._tell(self._provider_id, outcome.code, what)
