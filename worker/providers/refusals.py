"""Refusals that only this provider makes: a person must hear of them, and nothing else.

A sender id that is not registered there, or numbers that it does not know, go to the other provider
and count neither for the breaker nor for the detectors: they say nothing about its health. But the
share cannot grow to 100 % while they are there.

Rules: told once in `PERIOD_S` for each code, with the number of messages, never with a number or a
text. One wrong sender id is a mistake, some are a missing registration; single wrong numbers are
usual, so it takes a share of the calls.
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
"""From how many on it is told, and from which share of the calls on."""


OnRefusals = Callable[[str, str, str], None]
"""`on_refusals(provider_id, code, what)`; synchronous, must not block."""


class RefusalWatch:
    """Counts the refusals of one provider.

    Args:
        provider_id: names it towards `tell`.
        clock: monotonic time.
        tell: told when it is much.
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
