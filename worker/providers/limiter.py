"""Permits to call one provider: calls under way at once and calls begun a second.

Rules:
- Transactional first: while a transactional call waits, no bulk call begins. Bulk never takes the
  last permits (`reserved`), so a transactional call finds one at once. Within a lane the first to
  come is the first served.
- All replicas share the account's limits: the share of this one falls at once, and rises when the
  rise has been due for `RISE_AFTER_S`, so that two replicas never count on the same part.
- Each provider has its own limiter: who waits here holds nothing elsewhere.
- A replica has a bounded number of a lane's messages in hand (`in_hand`). Calls to one provider
  never take all of them, and a caller that would wait long learns so (`wait_s`) and can go to the
  other provider: one that hangs must not keep the other's messages in the queue.
- A waiter that is cancelled or gives up leaves no permit taken. Every step is O(1).
- Why not aiolimiter: its rate is fixed, it knows no lanes, and it wakes by its own clock.
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
"""A provider that asks for a longer pause is asked again after this one."""
_BURST_S: Final = 0.1
"""Seconds' worth of calls that may begin together."""


class Limiter:
    """Concurrency and rate of one provider account.

    Args:
        max_in_flight: calls under way at once, over all replicas.
        rate_per_s: calls begun a second, over all replicas.
        clock: monotonic time.
        in_hand: by lane, how many messages this replica has in hand at once; absent: no bound.
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
        """Calls begun a second by this replica."""
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
        """Take a permit and the right to begin a call, if both are free at once."""
        if self._queued_before(lane) or not self._may_begin(lane):
            return False
        self._begin(lane)
        return True

    async def acquire(self, lane: Lane, longest_s: float | None = None) -> None:
        """Wait for a permit and the right to begin a call.

        Raises:
            TimeoutError: there was none within `longest_s`.
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
        """Seconds a newcomer would wait, as far as can be told.

        Args:
            lane: of the newcomer.
            call_s: how long a call takes; asked only where permits are short.
        """
        now = self._clock.monotonic()
        self._refill(now)
        calls = self._ahead(lane) + 1
        short = calls - self._free(lane)
        for_permit = short * call_s() / self._permits(lane) if short > 0 else 0.0
        return max(0.0, self._paused_until - now, (calls - self._tokens) / self.rate, for_permit)

    def release(self, lane: Lane = Lane.TRANSACTIONAL, *, unused: bool = False) -> None:
        """Give a permit back; `unused`: no call was begun, so the rate is not charged either."""
        self._taken[lane] -= 1
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
        """Permits the lane has when nobody else calls."""
        permits = self.limit - (self.reserved if lane is Lane.BULK else 0)
        return min(permits, self._most.get(lane, permits))

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._tokens_at) * self.rate)
        self._tokens_at = now

    def _begin(self, lane: Lane) -> None:
        self._taken[lane] += 1
        self._tokens -= 1

    def _wake(self) -> None:
        """Let in who may begin now; look again when time alone can let in more."""
        while (lane := self._first()) is not None and self._may_begin(lane):
            self._begin(lane)
            self._waiting[lane].popleft().set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if lane is not None and (wait := self._wait_s(lane)) is not None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _first(self) -> Lane | None:
        """Lane of the waiter whose turn it is; those that went away are dropped."""
        for queue in self._waiting.values():
            while queue and queue[0].done():
                queue.popleft()
        lanes = (Lane.TRANSACTIONAL, Lane.BULK)
        return next((lane for lane in lanes if self._waiting[lane]), None)

    def _wait_s(self, lane: Lane) -> float | None:
        """Seconds until time alone lets somebody in; None: it takes a release."""
        now = self._clock.monotonic()
        if self._free(lane) > 0:
            return max((1 - self._tokens) / self.rate, self._paused_until - now, 0.0)
        return max(self._rise[1] + RISE_AFTER_S - now, 0.0) if self._rise else None


def _share_of(in_hand: int) -> int:
    """How many of a lane's messages in hand may be calls to one provider: three in four."""
    return max(1, in_hand - max(1, in_hand // 4))
