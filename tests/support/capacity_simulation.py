"""Messages through a plan, one by one: what `capacity_model` says in one line, played out.

    arrivals -> lane -> a replica's prefetch -> CPU -> permit, rate -> write -> call -> CPU -> write

Rules: messages come at random (Poisson) and all are bulk, to one provider. A replica's CPU serves
one message at a time, those of broker and database as many as they have cores; how long work, calls
and waits take is random. The rate is that of the account, a part for each replica, so that no
replica can use the others' part. Time is simulated; a seed names one run.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass
from itertools import count
from math import log
from typing import TYPE_CHECKING, Any, Final

from tests.support.capacity_model import MEASURED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.capacity_model import Costs, Plan

_SPREAD: Final = 0.5
"""Standard deviation of the logarithm of a call's time: nine of ten below 1.7 times the mean."""


@dataclass(frozen=True)
class Result:
    """What became of the messages of one run."""

    per_s: float
    """Finished a second, in the second half of the run."""
    waited_s: float
    """Longest wait in the lane of 99 of 100 messages that were begun."""
    left: int
    """Messages still in the lane at the end."""


class _Cpu:
    """Serves one piece of work after the other."""

    def __init__(self, each_s: float, chance: random.Random) -> None:
        self._each_s, self._chance, self._free_at = each_s, chance, 0.0

    def done_at(self, now: float) -> float:
        self._free_at = max(now, self._free_at) + self._chance.expovariate(1 / self._each_s)
        return self._free_at


class _Replica:
    def __init__(self, plan: Plan, costs: Costs, chance: random.Random) -> None:
        self.hands = plan.prefetch
        self.permits = plan.permits
        self.waiting: deque[float] = deque()
        self.cpu = _Cpu(costs.worker_ms / 2_000, chance)  # half before the call, half after it
        self.next_call_at = 0.0


class _Run:
    def __init__(self, plan: Plan, per_s: float, lasts_s: float, costs: Costs, seed: int) -> None:
        self._plan, self._per_s, self._lasts_s, self._costs = plan, per_s, lasts_s, costs
        self._chance = random.Random(seed)
        self._mean_log = log(plan.latency_s) - _SPREAD**2 / 2
        self._events: list[tuple[float, int, Callable[..., None], Any]] = []
        self._order = count()
        self._lane: deque[float] = deque()
        self._replicas = [_Replica(plan, costs, self._chance) for _ in range(plan.replicas)]
        # Many cores at work are one that is as many times faster: what waits is what counts here.
        self._broker = _Cpu(costs.broker_ms / 1_000 / plan.broker_cores, self._chance)
        self._store = _Cpu(costs.store_ms / 2_000 / plan.store_cores, self._chance)
        self._turn = 0
        self._waits: list[float] = []
        self._late = 0

    def result(self) -> Result:
        self._at(0.0, self._arrives)
        while self._events and self._events[0][0] <= self._lasts_s:
            now, _, step, replica = heapq.heappop(self._events)
            step(now, replica)
        waits = sorted(self._waits)
        return Result(
            self._late / (self._lasts_s / 2), waits[int(len(waits) * 0.99)], len(self._lane)
        )

    def _at(self, moment: float, step: Callable[..., None], replica: Any = None) -> None:
        heapq.heappush(self._events, (moment, next(self._order), step, replica))

    def _arrives(self, now: float, _: None) -> None:
        self._lane.append(now)
        self._hand_out(now)
        self._at(now + self._chance.expovariate(self._per_s), self._arrives)

    def _hand_out(self, now: float) -> None:
        """The broker gives to each consumer in turn that has room."""
        while self._lane:
            replica = self._next_with_room()
            if replica is None:
                return
            replica.hands -= 1
            self._waits.append(now - self._lane.popleft())
            self._at(replica.cpu.done_at(now), self._wants_permit, replica)

    def _next_with_room(self) -> _Replica | None:
        for _ in self._replicas:
            self._turn = (self._turn + 1) % len(self._replicas)
            if self._replicas[self._turn].hands:
                return self._replicas[self._turn]
        return None

    def _wants_permit(self, now: float, replica: _Replica) -> None:
        replica.waiting.append(now)
        self._begin_calls(now, replica)

    def _begin_calls(self, now: float, replica: _Replica) -> None:
        while replica.waiting and replica.permits:
            replica.waiting.popleft()
            replica.permits -= 1
            begins = max(now, replica.next_call_at)
            replica.next_call_at = begins + len(self._replicas) / self._plan.rate_per_s
            call = self._chance.lognormvariate(self._mean_log, _SPREAD)
            self._at(max(begins, self._written_at(now)) + call, self._answered, replica)

    def _written_at(self, now: float) -> float:
        """When a durable write is done, with the company it waits for."""
        return self._store.done_at(now) + self._costs.waits_s / 2 * self._chance.uniform(0.5, 1.5)

    def _answered(self, now: float, replica: _Replica) -> None:
        replica.permits += 1
        self._begin_calls(now, replica)
        self._at(replica.cpu.done_at(now), self._settles, replica)

    def _settles(self, now: float, replica: _Replica) -> None:
        self._at(self._written_at(now), self._announces, replica)

    def _announces(self, now: float, replica: _Replica) -> None:
        """Everything that the broker does for a message, up to the confirm of its events."""
        self._at(self._broker.done_at(now), self._acknowledged, replica)

    def _acknowledged(self, now: float, replica: _Replica) -> None:
        replica.hands += 1
        self._late += now > self._lasts_s / 2
        self._hand_out(now)


def simulate(
    plan: Plan, per_s: float, lasts_s: float, costs: Costs = MEASURED, seed: int = 1
) -> Result:
    """Play a plan at a rate of arrivals, in messages a second, for so many simulated seconds."""
    return _Run(plan, per_s, lasts_s, costs, seed).result()
