"""A provider's circuit breaker. aiobreaker holds the state; this module decides when it changes.

Rules:
- aiobreaker's `call` is not used. It hides the outcome that opens the breaker, lets every caller
  through in half-open, counts excluded errors as successes and uses the wall clock. Only its state
  and its listeners are used.
- `admit` is synchronous and returns a `Call`. In half-open exactly one call is under way.
- A result counts only in the generation in which its call was admitted. Results of calls from
  before a change of state have no effect.
- Success resets the run of failures. `Mark.IGNORED` (a fault of message or recipient, a request to
  slow down) neither counts nor resets, and leaves a probe undecided.
- Time is monotonic. A failed probe doubles the wait, up to `LONGEST_WAIT` times `open_s`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

import structlog
from aiobreaker import CircuitBreaker, CircuitBreakerListener
from aiobreaker.state import CircuitBreakerState

from worker.ports.providers import BreakerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.ports.clock import Clock
    from worker.settings.providers import BreakerSettings

    OnChange = Callable[[str, BreakerState, BreakerState, str], None]
    """`on_change(provider_id, old, new, reason)`; synchronous, must not block."""

LONGEST_WAIT: Final = 4
"""The wait for a probe grows to at most this many times `open_s`."""

_STATES: Final = {
    CircuitBreakerState.CLOSED: BreakerState.CLOSED,
    CircuitBreakerState.OPEN: BreakerState.OPEN,
    CircuitBreakerState.HALF_OPEN: BreakerState.HALF_OPEN,
}
_log = structlog.get_logger(__name__)


class Mark(Enum):
    """The meaning of a finished call for the provider's health."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"


@dataclass(slots=True, eq=False)
class Call:
    """An admitted call, to be given back with its result or unused."""

    generation: int
    probe: bool
    done: bool = False


class _Window:
    """The window of the last calls, with counts of failures and slow calls."""

    def __init__(self, size: int) -> None:
        self._calls: deque[tuple[bool, bool]] = deque()
        self._size = size
        self.failed = 0
        self.slow = 0

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, *, failed: bool, slow: bool) -> None:
        self._calls.append((failed, slow))
        self.failed += failed
        self.slow += slow
        if len(self._calls) > self._size:
            failed, slow = self._calls.popleft()
            self.failed -= failed
            self.slow -= slow


class Breaker:
    """One provider's breaker.

    Args:
        provider_id: the id passed to `on_change`.
        settings: when it opens, and the wait until the first probe.
        clock: monotonic time.
        on_change: called at every change of state; its errors are only logged.
    """

    def __init__(
        self, provider_id: str, settings: BreakerSettings, clock: Clock, on_change: OnChange
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._machine = CircuitBreaker(
            name=provider_id, listeners=[_Listener(provider_id, self, on_change)]
        )
        self._generation = 0
        self._in_a_row = 0
        self._window = _Window(settings.window)
        self._probe: Call | None = None
        self._failed_probes = 0
        self._probe_at = 0.0
        self.reason = ""
        """The reason of the last change of state."""

    @property
    def state(self) -> BreakerState:
        """The present state; `open` also while a probe is due but not taken."""
        return _STATES[self._machine.current_state]

    def passable(self) -> bool:
        """Whether `admit` would let a call through now."""
        match self.state:
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return self._clock.monotonic() >= self._probe_at
            case BreakerState.HALF_OPEN:
                return self._probe is None

    def probe_due_in(self) -> float:
        """Seconds until a probe is due; 0: it is due, or none is needed."""
        if self.state is not BreakerState.OPEN:
            return 0.0
        return max(0.0, self._probe_at - self._clock.monotonic())

    def admit(self) -> Call | None:
        """Let one call through; None: not now. In half-open it becomes the one probe."""
        if not self.passable():
            return None
        if self.state is BreakerState.CLOSED:
            return Call(self._generation, probe=False)
        if self.state is BreakerState.OPEN:
            self._move(self._machine.half_open, "probe due")
        self._probe = Call(self._generation, probe=True)
        return self._probe

    def give_back(self, call: Call) -> None:
        """Give back a call without a result (not begun, or cancelled). Idempotent."""
        call.done = True
        if self._probe is call:
            self._probe = None

    def finish(self, call: Call, mark: Mark, duration_s: float, reason: str = "") -> None:
        """Take the result of an admitted call.

        Args:
            call: the call from `admit`; a second result of the same call is ignored.
            mark: the meaning of the result.
            duration_s: the duration of the call, seconds.
            reason: a short reason for a possible change of state.
        """
        if call.done:
            return
        self.give_back(call)
        if call.generation != self._generation or mark is Mark.IGNORED:
            return
        if call.probe:
            self._judge_probe(mark, reason)
        else:
            self._count(mark, duration_s, reason)

    def trip(self, call: Call, reason: str) -> None:
        """Open at once, if closed since `call` began. Used for faults that affect every call."""
        if self.state is BreakerState.CLOSED and call.generation == self._generation:
            self._open(reason)

    def reset(self, reason: str) -> None:
        """Close at once, by an administrator's decision."""
        if self.state is not BreakerState.CLOSED:
            self._close(reason)

    def _judge_probe(self, mark: Mark, reason: str) -> None:
        if mark is Mark.SUCCESS:
            self._close("probe succeeded")
        else:
            self._failed_probes += 1
            self._open(f"probe failed: {reason}")

    def _count(self, mark: Mark, duration_s: float, reason: str) -> None:
        failed = mark is Mark.FAILURE
        self._in_a_row = self._in_a_row + 1 if failed else 0
        self._window.add(failed=failed, slow=duration_s >= self._settings.slow_call_s)
        if why := self._too_bad(reason):
            self._open(why)

    def _too_bad(self, reason: str) -> str:
        settings, seen = self._settings, len(self._window)
        if self._in_a_row >= settings.consecutive_failures:
            return f"{self._in_a_row} failures in a row, last: {reason}"
        if seen < settings.minimum_calls:
            return ""
        if self._window.failed >= settings.failure_rate * seen:
            return f"{self._window.failed} of the last {seen} calls failed"
        if self._window.slow >= settings.slow_call_rate * seen:
            return f"{self._window.slow} of the last {seen} calls were slow"
        return ""

    def _open(self, reason: str) -> None:
        wait = self._settings.open_s * min(2**self._failed_probes, LONGEST_WAIT)
        self._probe_at = self._clock.monotonic() + wait
        self._move(self._machine.open, reason)

    def _close(self, reason: str) -> None:
        self._failed_probes = 0
        self._move(self._machine.close, reason)

    def _move(self, change: Callable[[], None], reason: str) -> None:
        """Begin a new generation: earlier counts and calls under way no longer matter."""
        self._generation += 1
        self._in_a_row = 0
        self._window = _Window(self._settings.window)
        self._probe = None
        self.reason = reason
        change()


class _Listener(CircuitBreakerListener):  # type: ignore[misc] # aiobreaker ships no types
    """Passes changes of state on. aiobreaker calls it inline, so it must not raise."""

    def __init__(self, provider_id: str, breaker: Breaker, on_change: OnChange) -> None:
        self._provider_id = provider_id
        self._breaker = breaker
        self._on_change = on_change

    def state_change(self, _breaker: object, old: object, new: object) -> None:
        before, after = (_STATES[state.state] for state in (old, new))  # type: ignore[attr-defined] # as above
        try:
            self._on_change(self._provider_id, before, after, self._breaker.reason)
        except Exception:  # noqa: BLE001 - a faulty listener must not turn a sent message into an error
            _log.exception("breaker listener failed", provider=self._provider_id)
