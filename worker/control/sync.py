"""What is in force, on this replica: an immutable snapshot, swapped whole.

Rules:
- The store is the truth, re-read every second; `control.state` is a wake-up and carries no state.
- Never back to an older version of the same lineage.
- A snapshot that was not verified for `max_age_s` is no ground to send by: no new intents.
- A heartbeat a second says what this replica goes by; limits are shared by the live ones.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

import structlog

from worker.domain.flags import Flags, Snapshot
from worker.domain.phases import Phase
from worker.ports import Clash, Heartbeat, LogEntry, StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from worker.ports import Clock, ControlLog, Guard, Replicas
    from worker.service import Background

EVERY_S: Final = 1.0
_log = structlog.get_logger(__name__)


class Followed(Protocol):
    """Something else that is re-read with the snapshot."""

    async def follow(self) -> None:
        """Read what is new. Raises `StoreAway`."""
        ...


async def seed(
    log: ControlLog, flags: Flags, percentage: int, *, user: str, now: datetime
) -> Snapshot:
    """State in force; on the very first start, entry 1 is appended from the flags file.

    A seed percentage above 0 starts in the first phase whose range holds it; later starts ignore
    the file: what is in force lives in the log.
    """
    while True:
        standing = await log.last()
        if standing is not None:
            return standing[1]
        first = Snapshot(
            version=1,
            lineage=str(uuid4()),
            phase=_phase_of(percentage),
            percentage=percentage,
            flags=flags,
            started_at=now,
            since=now,
            initiated_by=user,
        )
        entry = LogEntry(
            number=1,
            user=user,
            command_id=f"seed-{first.lineage}",
            command={"name": "seed", "reason": "first start"},
            verdict="accepted",
            before=None,
            after=first,
            reply={},
            evidence={},
        )
        try:
            await log.append(entry)
        except Clash:
            continue  # another replica was first: its entry stands
        return first


def _phase_of(percentage: int) -> Phase:
    full, parallel = 100, 5
    if percentage == 0:
        return Phase.NOT_STARTED
    if percentage == full:
        return Phase.COMPLETE_MIGRATION
    return Phase.PARALLEL_SETUP if percentage <= parallel else Phase.GRADUAL_MIGRATION


class Sync:
    """The `Snapshots` port: follows the control log.

    Args:
        log: the control log.
        replicas: heartbeats.
        followed: re-read in the same beat (the suppression list).
        guards: told how many replicas share the limits.
        clock: time.
        background: runs the loop; its death ends the process.
        max_age_s: age of the last verification after which nothing is sent.
        beat: our heartbeat, given the applied version.
        stale: told when the snapshot goes stale (True) and is fresh again (False).
        swapped: told of each swap (the one before, if any, and the new one).
    """

    def __init__(
        self,
        *,
        log: ControlLog,
        replicas: Replicas,
        followed: Iterable[Followed],
        guards: Iterable[Guard],
        clock: Clock,
        background: Background,
        max_age_s: float,
        beat: Callable[[int | None], Heartbeat],
        stale: Callable[[bool], None],
        swapped: Callable[[Snapshot | None, Snapshot], None],
    ) -> None:
        self._log = log
        self._replicas = replicas
        self._followed = tuple(followed)
        self._guards = tuple(guards)
        self._clock = clock
        self._background = background
        self._max_age_s = max_age_s
        self._beat = beat
        self._stale = stale
        self._swapped = swapped
        self._current: Snapshot | None = None
        self._verified = float("-inf")
        self._expiry: asyncio.TimerHandle | None = None
        self._refreshed = asyncio.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def current(self) -> Snapshot | None:
        """See `Snapshots.current`."""
        return self._current

    def is_fresh(self) -> bool:
        """See `Snapshots.is_fresh`."""
        return self._clock.monotonic() - self._verified < self._max_age_s

    async def fresh(self) -> Snapshot:
        """See `Snapshots.fresh`."""
        while self._current is None or not self.is_fresh():
            self._refreshed.clear()
            await self._refreshed.wait()
        return self._current

    async def start(self) -> None:
        """Read the state, write the first heartbeat, follow from then on. Raises `StoreAway`."""
        await self._round()
        self._task = self._background.spawn(self._follow(), "state")

    async def drain(self) -> None:
        """Nothing to do: the loop goes on until `stop`, for those who finish."""

    async def stop(self) -> None:
        """Stop following and take our heartbeat away. Idempotent."""
        if self._task is None:
            return
        if self._expiry is not None:
            self._expiry.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        try:
            await self._replicas.leave(self._beat(None).replica)
        except StoreAway:
            _log.warning("heartbeat not removed; it dies by age")

    def wake(self) -> None:
        """Re-read now: a `control.state` message came."""
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # the second is over: the ordinary case
            self._wake.clear()  # before the read: a wake-up that comes after it begins another
            try:
                await self._round()
            except StoreAway as error:
                _log.warning("state not verified", error=str(error))
                if not self.is_fresh():
                    self._stale(True)  # noqa: FBT003 - the callback's one argument
            else:
                self._stale(not self.is_fresh())

    async def _round(self) -> None:
        began = self._clock.monotonic()
        found = await self._log.last()
        if found is not None:
            self._swap(found[1])
        for followed in self._followed:
            await followed.follow()
        if found is not None:  # by an old list of opt-outs nothing is sent either
            self._verified = began
            self._refreshed.set()
            self._watch_age()
        await self._replicas.beat(self._beat(self._current.version if self._current else None))
        live = await self._replicas.live()
        for guard in self._guards:
            guard.share_between(live)

    def _watch_age(self) -> None:
        """Say that the snapshot went stale when it does, not when a hanging store times out."""
        if self._expiry is not None:
            self._expiry.cancel()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(self._max_age_s, self._say_if_stale)

    def _say_if_stale(self) -> None:
        if not self.is_fresh():
            self._stale(True)  # noqa: FBT003 - the callback's one argument

    def _swap(self, found: Snapshot) -> None:
        current = self._current
        if current == found:
            return
        same = current is not None and current.lineage == found.lineage
        if current is not None and same and found.version < current.version:
            _log.error("older state ignored", got=found.version, have=current.version)
            return
        self._current = found
        self._swapped(current, found)
        _log.info(
            "state in force",
            version=found.version,
            phase=str(found.phase),
            percentage=found.percentage,
        )
