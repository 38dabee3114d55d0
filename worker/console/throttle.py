"""Says whether a log-in may be tried now, so that passwords cannot be guessed.

Rules: pure, time is an argument.
- A name has 5 failures a minute, an address has 20. Beyond that, each pair of name and address may
  still try once in a while: a pair that failed 5 times itself every 30 s, any other every 10 s. So
  nobody can lock `administrator` out for ever by failing in its name.
- A try counts as failed until it is known to be none, so that many tries at once are counted too.
- The memory is bounded. What is forgotten first has not failed for the longest time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 60.0
OF_A_NAME: Final = 5
"""Failures within `WINDOW_S`."""
OF_AN_ADDRESS: Final = 20
PAUSE_S: Final = 10.0
"""Between two tries of a pair beyond the limits, seconds."""
LONG_PAUSE_S: Final = 30.0
"""The same for a pair that reached the limit of a name by itself."""
MOST: Final = 10_000
"""Names, addresses and pairs that are remembered."""


@dataclass(frozen=True, slots=True)
class Try:
    """A log-in that may be tried."""

    name: str
    address: str
    at: float


class Throttle:
    """Counts the failures of the last minute."""

    def __init__(self) -> None:
        self._names = _Failures(OF_A_NAME)
        self._addresses = _Failures(OF_AN_ADDRESS)
        self._pairs = _Failures(OF_A_NAME)

    def wait_s(self, name: str, address: str, now: float) -> float:
        """Seconds until a try may be made; 0: now.

        Args:
            name: that was typed.
            address: that the request came from.
            now: seconds of a monotonic clock.
        """
        pair = f"{name} {address}"
        if not (self._names.full(name, now) or self._addresses.full(address, now)):
            return 0.0
        pause_s = LONG_PAUSE_S if self._pairs.full(pair, now) else PAUSE_S
        return max(self._pairs.newest(pair, now) + pause_s - now, 0.0)

    def begin(self, name: str, address: str, now: float) -> Try | float:
        """Count a try; if it comes too early, return the seconds to wait instead."""
        wait_s = self.wait_s(name, address, now)
        if wait_s > 0:
            return wait_s
        for table, key in self._tables(name, address):
            table.add(key, now)
        return Try(name, address, now)

    def forgive(self, tried: Try) -> None:
        """The try did not fail: the login was accepted, or nobody could say."""
        for table, key in self._tables(tried.name, tried.address):
            table.remove(key, tried.at)

    def _tables(self, name: str, address: str) -> tuple[tuple[_Failures, str], ...]:
        return (
            (self._names, name),
            (self._addresses, address),
            (self._pairs, f"{name} {address}"),
        )


class _Failures:
    """The newest failures by key."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._at: OrderedDict[str, deque[float]] = OrderedDict()

    def full(self, key: str, now: float) -> bool:
        """Whether the key reached its limit within the last minute."""
        found = self._at.get(key, ())
        return sum(at > now - WINDOW_S for at in found) >= self._limit

    def newest(self, key: str, now: float) -> float:
        """When the key failed last; long ago if it is not known."""
        found = self._at.get(key)
        return found[-1] if found else now - WINDOW_S

    def add(self, key: str, now: float) -> None:
        self._at.setdefault(key, deque(maxlen=self._limit)).append(now)
        self._at.move_to_end(key)
        if len(self._at) > MOST:
            self._at.popitem(last=False)

    def remove(self, key: str, at: float) -> None:
        found = self._at.get(key)
        if found is not None and at in found:
            found.remove(at)
            if not found:
                del self._at[key]
