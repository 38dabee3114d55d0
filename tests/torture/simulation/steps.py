"""What each step of a scenario does to the world."""

from __future__ import annotations

import asyncio
from functools import partial, singledispatchmethod
from typing import TYPE_CHECKING, Final

from tests.torture.judge.facts import OptOut as OptedOut
from tests.torture.judge.facts import Report
from tests.torture.simulation import collected
from tests.torture.simulation import scenario as steps
from tests.torture.simulation.providers import DOUBTFUL
from tests.torture.simulation.scenario import End, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.simulation.world import World

COPY_AFTER_S: Final = 0.7
TRY_AGAIN_S: Final = 0.5
"""Time after which who is outside tries again to publish."""
LOSE_EVERY_S: Final = 0.8
KNOWN_AFTER_S: Final = 60.0
"""Time after which every process has to know an opt-out that its provider reported."""
RETRY_QUEUES: Final = ("sms.retry.5s", "sms.retry.30s", "sms.retry.2m", "sms.retry.10m")
_OF_DATABASE: Final = frozenset({Trouble.DATABASE_AWAY, Trouble.FAIL_OVER})
DRAINS_WITHIN_S: Final = 40.0


class Steps:
    """Carries steps out.

    Args:
        world: the world.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._troubles: dict[Trouble, Callable[[steps.Befall], None]] = {
            Trouble.DATABASE_AWAY: self._database_away,
            Trouble.FAIL_OVER: self._fail_over,
            Trouble.BROKER_RESTART: self._broker_restart,
            Trouble.LINKS_LOST: self._links_lost,
            Trouble.BLOCKED: self._blocked,
            Trouble.CONSUMERS_CANCELLED: self._consumers_cancelled,
            Trouble.PURGED: self._purged,
        }

    def schedule(self) -> float:
        """Have every step happen at its time; returns when the last one does."""
        began = self._loop.time()
        last = began
        for step in self._world.scenario.steps:
            if isinstance(step, steps.Hit):
                continue
            self._loop.call_at(began + step.at, self.do, step)
            last = max(last, began + step.at)
        return last

    @singledispatchmethod
    def do(self, step: object) -> None:
        """Carry out one step."""
        raise NotImplementedError(f"step {step!r}")

    # --- who is outside ----------------------------------------------------------------------

    @do.register
    def _publish(self, step: steps.Publish) -> None:
        for copy in range(step.copies):
            work = partial(self._world.outside.publish, step)
            self._loop.call_later(copy * COPY_AFTER_S, self._until_taken, work)

    @do.register
    def _steer(self, step: steps.Steer) -> None:
        world = self._world
        ident, issued = f"{step.name}-{step.at}", world.clock.seconds()
        for copy in range(step.copies):
            work = partial(world.outside.steer, step, ident, issued)
            self._loop.call_later(copy * COPY_AFTER_S, self._until_taken, work)

    @do.register
    def _opt_out(self, step: steps.OptOut) -> None:
        world = self._world
        world.accounts[step.provider].opted_out.add(step.to)
        work = partial(world.outside.call_back, step.provider, "optout", {"to": step.to})
        self._until_taken(work)
        world.opt_outs.append(OptedOut(step.to, world.clock.seconds() + KNOWN_AFTER_S))

    @do.register
    def _forge(self, step: steps.Forge) -> None:
        world = self._world
        report = Report(step.provider, "forged", step.message, delivered=True, genuine=False)
        world.outside.reported(report)
        fields = {"state": "delivered", "our-id": step.message, "epoch": "1"}
        self._until_taken(partial(world.outside.call_back, step.provider, "delivery", fields))

    def _until_taken(self, publish: Callable[[], None]) -> None:
        """Publish, as soon as the broker takes it."""
        if self._world.broker.is_up:
            publish()
        else:
            self._loop.call_later(TRY_AGAIN_S, self._until_taken, publish)

    # --- providers ---------------------------------------------------------------------------

    @do.register
    def _behave(self, step: steps.Behave) -> None:
        manners = self._world.accounts[step.provider].manners
        manners.append(step.manner)
        doubtful = step.manner in DOUBTFUL
        self._world.note(step.manner, step.provider, step.for_s, doubtful=doubtful)
        self._loop.call_later(step.for_s, manners.remove, step.manner)

    # --- processes ---------------------------------------------------------------------------

    @do.register
    def _stop(self, step: steps.Stop) -> None:
        world = self._world
        process = world.processes.get(step.process)
        if process is None or process.ended:
            return
        where = f"process {step.process}"
        world.note(step.end, where, messages=world.in_hand(step.process))
        if step.end is End.KILL:
            process.kill()
        else:
            process.drain()
            self._loop.call_later(DRAINS_WITHIN_S, world.must_have_ended, process)
        self._loop.call_later(step.back_after_s, self._back, step.process)

    def _back(self, slot: int) -> None:
        """Start a process in a slot as soon as the one there has ended."""
        if self._world.processes[slot].ended:
            self._world.start(slot)
        else:
            self._loop.call_later(TRY_AGAIN_S, self._back, slot)

    @do.register
    def _pause(self, step: steps.Pause) -> None:
        process = self._world.processes.get(step.process)
        if process is not None:
            process.paused_until = self._loop.time() + step.for_s
            self._world.note("paused", f"process {step.process}", step.for_s)

    @do.register
    def _jump(self, step: steps.Jump) -> None:
        self._world.set_ahead(step.machine, step.by_s)
        doubtful = step.machine == "database"  # it alone judges leases
        self._world.note("clock jumps", step.machine, step.for_s, doubtful=doubtful)
        self._loop.call_later(step.for_s, self._world.set_ahead, step.machine, 0.0)

    # --- servers -----------------------------------------------------------------------------

    @do.register
    def _befall(self, step: steps.Befall) -> None:
        doubtful = step.trouble in _OF_DATABASE
        self._world.note(step.trouble, "", step.for_s, doubtful=doubtful)
        self._troubles[step.trouble](step)

    def _database_away(self, step: steps.Befall) -> None:
        self._world.store_there = False
        self._loop.call_later(step.for_s, setattr, self._world, "store_there", True)  # noqa: FBT003

    def _fail_over(self, step: steps.Befall) -> None:
        """Hold commits back for a moment, then lose them with the primary."""
        replication = self._world.store.replication
        replication.holds_commits = True

        def over() -> None:
            replication.holds_commits = False
            self._world.store.fail_over()

        self._loop.call_later(step.for_s, over)

    def _broker_restart(self, step: steps.Befall) -> None:
        broker = self._world.broker
        self._world.outside.read_answers()
        broker.stop()
        self._loop.call_later(step.for_s, broker.start)

    def _links_lost(self, step: steps.Befall) -> None:
        for nth in range(1 + int(step.for_s / LOSE_EVERY_S)):
            self._loop.call_later(nth * LOSE_EVERY_S, self._lose_links)

    def _lose_links(self) -> None:
        world = self._world
        world.note("links lost", "", messages=world.in_hand(), doubtful=False)
        if world.broker.is_up:
            world.broker.lose_connections()

    def _blocked(self, step: steps.Befall) -> None:
        broker = self._world.broker
        broker.alarm(on=True)
        self._loop.call_later(step.for_s, partial(broker.alarm, on=False))

    def _consumers_cancelled(self, step: steps.Befall) -> None:
        del step
        self._world.cancel_consumers()

    def _purged(self, step: steps.Befall) -> None:
        """Remove the copies of messages that have a record: nobody can know of the others."""
        del step
        known = {document["_id"] for document in collected.documents(self._world, "messages")}
        for name in RETRY_QUEUES:
            queue = self._world.broker.queues[name]
            stay = [e for e in queue.ready if e.message.properties.message_id not in known]
            queue.ready.clear()
            queue.ready.extend(stay)
