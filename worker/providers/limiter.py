"""Permits to call one provider. They limit calls at once and calls begun per second.

Rules:
- Transactional first: while a transactional call waits, no bulk call begins. Bulk never takes the
  last permits (`reserved`), so a transactional call gets one at once. Within a lane the order is
  first come, first served.
- All replicas share the account's limits. The share of a replica falls at once, but rises only
  after `RISE_AFTER_S`, so that two replicas never use the same part.
- Each provider has its own limiter. A waiter here holds no permit of another provider.
- A replica handles a bounded number of a lane's messages at once (`in_hand`). Calls to one provider
  never take all of them. A caller can see a long wait in advance (`wait_s`) and use the other
  provider. So a provider that hangs does not block the messages of the other.
- A waiter that is cancelled or gives up keeps no permit. Every step is O(1).
- aiolimiter is not used: its rate is fixed, it has no lanes, and it uses its own clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from worker.domain.messages.message import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.ports.clock import Clock

RISE_AFTER_S: Final = 5.0
LONGEST_PAUSE_S: Final = 60.0
"""Longest pause. A provider that asks for a longer one is tried again after this time."""
_BURST_S: Final = 0.1
"""How many seconds' calls by the rate may begin together."""


class Limiter:
    """Concurrency and rate of one provider account.

    Args:
        max_in_flight: calls at once, over all replicas.
        rate_per_s: calls begun per second, over all replicas.
        clock: monotonic time.
        in_hand: by lane, how many messages this replica handles at once; absent: no bound.
    """

    def __init__(
        self,
        max_in_flight: int,
        rate_per_s: float,
        clock: Clock,
        in_hand: Mapping[Lane, int] | None = None,
    ) -> None:
        self._max_in_flight = max_in_flight
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in Lane}
        self._taken = dict.fromkeys(Lane, 0)
        self._most = {lane: _share_of(held) for lane, held in (in_hand or {}).items()}
        self._paused_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rise: tuple[int, float] | None = None
        self._tokens_at = clock.monotonic()
        self._share(1)
        self._tokens = self._burst

    def _share(self, replicas: int) -> None:
        self._replicas = replicas
        self._rise = None
        self.limit = max(1, self._max_in_flight // replicas)
        """Permits of this replica."""
        self.reserved = min(self.limit - 1, max(1, self.limit // 4))
        """Permits that bulk leaves free."""
        self.rate = self._rate_per_s / replicas
        """Calls that this replica may begin per second."""
        self._burst = max(1.0, self.rate * _BURST_S)

    @property
    def taken(self) -> int:
        """Permits taken now."""
        return sum(self._taken.values())

    @property
    def waiting(self) -> int:
        """Callers waiting now."""
        return sum(map(len, self._waiting.values()))

    def take(self, lane: Lane) -> bool:
        """Take a permit and the right to begin a call, if both are free now."""
        if self._queued_before(lane) or not self._may_begin(lane):
            return False
        self._begin(lane)
        return True

    async def acquire(self, lane: Lane, longest_s: float | None = None) -> None:
        """Wait for a permit and the right to begin a call.

        Raises:
            TimeoutError: there was no permit within `longest_s`.
        """
        if self.take(lane):
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[lane].append(waiter)
        self._wake()
        timer = loop.call_later(longest_s, self._give_up, waiter) if longest_s else None
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(lane, unused=True)
            else:
                self._wake()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _give_up(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_exception(TimeoutError())
            self._wake()

    def wait_s(self, lane: Lane, call_s: Callable[[], float]) -> float:
        """Estimate the seconds that a new caller would wait.

        Args:
            lane: lane of the new caller.
            call_s: returns the duration of a call; only called if no permit is free.
        """
        now = self._clock.monotonic()
        self._refill(now)
        calls = self._ahead(lane) + 1
        short = calls - self._free(lane)
        for_permit = short * call_s() / self._permits(lane) if short > 0 else 0.0
        return max(0.0, self._paused_until - now, (calls - self._tokens) / self.rate, for_permit)

    def release(self, lane: Lane = Lane.TRANSACTIONAL, *, unused: bool = False) -> None:
        """Give a permit back; `unused`: no call was begun, so it does not count for the rate."""
        self._taken[lane] -= 1
        if unused:
            self._tokens = min(self._burst, self._tokens + 1)
        self._wake()

    def slow_down(self, seconds: float) -> None:
        """Begin no call for this time (at most `LONGEST_PAUSE_S`)."""
        until = self._clock.monotonic() + min(seconds, LONGEST_PAUSE_S)
        self._paused_until = max(self._paused_until, until)

    def share_between(self, replicas: int) -> None:
        """Use `1 / replicas` of the limits. A cut acts at once, a rise after `RISE_AFTER_S`."""
        replicas = max(1, replicas)
        if replicas >= self._replicas:
            self._share(replicas)
            return
        now = self._clock.monotonic()
        most, since = self._rise or (replicas, now)
        self._rise = (max(most, replicas), since)
        self._wake()

    def _rise_if_due(self, now: float) -> None:
        if self._rise is not None and now - self._rise[1] >= RISE_AFTER_S:
            self._share(self._rise[0])

    def _queued_before(self, lane: Lane) -> bool:
        return self._ahead(lane) > 0

    def _ahead(self, lane: Lane) -> int:
        bulk = len(self._waiting[Lane.BULK]) if lane is Lane.BULK else 0
        return len(self._waiting[Lane.TRANSACTIONAL]) + bulk

    def _may_begin(self, lane: Lane) -> bool:
        now = self._clock.monotonic()
        self._rise_if_due(now)
        self._refill(now)
        return self._free(lane) > 0 and self._tokens >= 1 and now >= self._paused_until

    def _free(self, lane: Lane) -> int:
        free = self.limit - self.taken - (self.reserved if lane is Lane.BULK else 0)
        most = self._most.get(lane)
        return free if most is None else min(free, most - self._taken[lane])

    def _permits(self, lane: Lane) -> int:
        """The permits of a lane if there are no other calls."""
        permits = self.limit - (self.reserved if lane is Lane.BULK else 0)
        return min(permits, self._most.get(lane, permits))

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._tokens_at) * self.rate)
        self._tokens_at = now

    def _begin(self, lane: Lane) -> None:
        self._taken[lane] += 1
        self._tokens -= 1

    def _wake(self) -> None:
        """Give permits to waiters that may begin now, and check again when time allows more."""
        while (lane := self._first()) is not None and self._may_begin(lane):
            self._begin(lane)
            self._waiting[lane].popleft().set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if lane is not None and (wait := self._wait_s(lane)) is not None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _first(self) -> Lane | None:
        """The lane of the next waiter. Waiters that are gone are dropped."""
        for queue in self._waiting.values():
            while queue and queue[0].done():
                queue.popleft()
        lanes = (Lane.TRANSACTIONAL, Lane.BULK)
        return next((lane for lane in lanes if self._waiting[lane]), None)

    def _wait_s(self, lane: Lane) -> float | None:
        """Seconds until a waiter may begin without a release; None: a release is needed."""
        now = self._clock.monotonic()
        if self._free(lane) > 0:
            return max((1 - self._tokens) / self.rate, self._paused_until - now, 0.0)
        return max(self._rise[1] + RISE_AFTER_S - now, 0.0) if self._rise else None


def _share_of(in_hand: int) -> int:
    """How many messages of a lane may be calls to one provider: three quarters."""
    return max(1, in_hand - max(1, in_hand // 4))
