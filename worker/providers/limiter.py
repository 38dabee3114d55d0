"""Places at one provider: calls under way at once and calls begun a second.

Rules:
- Transactional first: while one of them waits, no bulk call begins. Bulk never takes the last
  places (`reserved`), so a transactional call finds one at once. In a lane: first come, first
  served.
- The account's limits are shared by all replicas: this one's share falls at once and rises when it
  has been due for `RISE_AFTER_S`, so that two replicas never count on the same part.
- Each provider has its own limiter: who waits here holds nothing elsewhere.
- A waiter that is cancelled leaves no place taken. Every step is O(1).
- Why not aiolimiter: its rate is fixed, it knows no lanes, and it wakes by its own clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from worker.domain.message import Lane

if TYPE_CHECKING:
    from worker.ports import Clock

RISE_AFTER_S: Final = 5.0
LONGEST_PAUSE_S: Final = 60.0
"""A provider that asks for a longer pause is asked again after this one."""
_BURST_S: Final = 0.1
"""Seconds' worth of calls that may begin together."""


class Limiter:
    """Concurrency and rate of one provider account.

    Args:
        max_in_flight: calls under way at once, over all replicas.
        rate_per_s: calls begun a second, over all replicas.
        clock: monotonic time.
    """

    def __init__(self, max_in_flight: int, rate_per_s: float, clock: Clock) -> None:
        self._max_in_flight = max_in_flight
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in Lane}
        self._taken = 0
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
        """Places of this replica."""
        self.reserved = min(self.limit - 1, max(1, self.limit // 4))
        """Places that bulk leaves free."""
        self.rate = self._rate_per_s / replicas
        """Calls begun a second by this replica."""
        self._burst = max(1.0, self.rate * _BURST_S)

    @property
    def taken(self) -> int:
        """Places taken now."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Callers waiting now."""
        return sum(map(len, self._waiting.values()))

    async def acquire(self, lane: Lane) -> None:
        """Wait for a place and the right to begin a call."""
        if not self._queued_before(lane) and self._may_begin(lane):
            self._begin()
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(waiter)
        self._wake()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(unused=True)
            else:
                self._wake()
            raise

    def release(self, *, unused: bool = False) -> None:
        """Give a place back; `unused`: no call was begun, so the rate is not charged either."""
        self._taken -= 1
        if unused:
            self._tokens = min(self._burst, self._tokens + 1)
        self._wake()

    def slow_down(self, seconds: float) -> None:
        """Begin no call for so long (at most `LONGEST_PAUSE_S`)."""
        until = self._clock.monotonic() + min(seconds, LONGEST_PAUSE_S)
        self._paused_until = max(self._paused_until, until)

    def share_between(self, replicas: int) -> None:
        """Take `1 / replicas` of the limits: falling at once, rising after `RISE_AFTER_S`."""
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
        return bool(
            self._waiting[Lane.TRANSACTIONAL] or (lane is Lane.BULK and self._waiting[Lane.BULK])
        )

    def _may_begin(self, lane: Lane) -> bool:
        now = self._clock.monotonic()
        self._rise_if_due(now)
        self._refill(now)
        return self._free(lane) > 0 and self._tokens >= 1 and now >= self._paused_until

    def _free(self, lane: Lane) -> int:
        return self.limit - self._taken - (self.reserved if lane is Lane.BULK else 0)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._tokens_at) * self.rate)
        self._tokens_at = now

    def _begin(self) -> None:
        self._taken += 1
        self._tokens -= 1

    def _wake(self) -> None:
        """Let in who may begin now; look again when time alone can let in more."""
        while (lane := self._first()) is not None and self._may_begin(lane):
            self._begin()
            self._waiting[lane].popleft().set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if lane is not None and (wait := self._wait_s(lane)) is not None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _first(self) -> Lane | None:
        """Lane of the waiter whose turn it is; those that were cancelled are dropped."""
        for lane in (Lane.TRANSACTIONAL, Lane.BULK):
            queue = self._waiting[lane]
            while queue and queue[0].done():
                queue.popleft()
            if queue:
                return lane
        return None

    def _wait_s(self, lane: Lane) -> float | None:
        """Seconds until time alone lets somebody in; None: it takes a release."""
        now = self._clock.monotonic()
        if self._free(lane) > 0:
            return max((1 - self._tokens) / self.rate, self._paused_until - now, 0.0)
        return max(self._rise[1] + RISE_AFTER_S - now, 0.0) if self._rise else None
