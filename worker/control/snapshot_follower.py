"""Keeps the snapshot in force on this replica: immutable, and replaced as a whole.

Rules:
- The store is the truth and is read every second; `control.state` is a wake-up without a state.
- The replica never goes back to an older version of the same lineage.
- While a snapshot was not verified for `max_age_s`, no new intents are made.
- A heartbeat every second says which version this replica uses. The live replicas share the limits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

import structlog

from worker.domain.migration.control_log import LogEntry
from worker.domain.migration.phases import phase_holding
from worker.domain.migration.snapshot import Snapshot
from worker.ports.store import StoreUnavailable, WriteConflict
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from worker.domain.migration.flags import Flags
    from worker.domain.migration.replicas import Heartbeat
    from worker.ports.clock import Clock
    from worker.ports.providers import Guard
    from worker.ports.steering import ControlLog, Replicas
    from worker.service import Background

EVERY_S: Final = 1.0
_log = structlog.get_logger(__name__)


class Followed(Protocol):
    """Something else that is read together with the snapshot."""

    async def follow(self) -> None:
        """Read what is new. Raises `StoreUnavailable`."""
        ...


async def seed(
    log: ControlLog, flags: Flags, percentage: int, *, user: str, now: datetime
) -> Snapshot:
    """Return the state in force; on the very first start, append entry 1 from the flags file.

    A seed percentage above 0 starts in the first phase whose configured range holds it. Later
    starts ignore the file, because the log holds the state in force.

    Raises:
        ValueError: no phase holds the percentage.
    """
    phase = phase_holding(flags.phases, percentage)
    if phase is None:
        raise ValueError(f"seed: expected a percentage in the range of a phase, got {percentage}")
    while True:
        standing = await log.last()
        if standing is not None:
            return standing[1]
        entry = _first_entry(
            Snapshot(
                version=1,
                lineage=str(uuid4()),
                phase=phase,
                percentage=percentage,
                flags=flags,
                started_at=now,
                since=now,
                initiated_by=user,
            )
        )
        try:
            await log.append(entry)
        except WriteConflict:
            continue  # another replica was first: its entry counts
        return entry.after


def _first_entry(first: Snapshot) -> LogEntry:
    return LogEntry(
        number=1,
        user=first.initiated_by,
        command_id=f"seed-{first.lineage}",
        command={"name": "seed", "reason": "first start"},
        verdict="accepted",
        before=None,
        after=first,
        reply={},
        evidence={},
    )


class SnapshotFollower(Loop):
    """The `Snapshots` port: follows the control log.

    Args:
        log: the control log.
        replicas: heartbeats.
        followed: read in the same round (the suppression list).
        guards: get the number of replicas that share the limits.
        clock: time.
        background: runs the loop; its death ends the process.
        max_age_s: age of the last verification after which nothing is sent.
        heartbeat: makes our heartbeat, given the applied version.
        stale: called with True when the snapshot becomes stale, with False when it is fresh again.
        swapped: called with each new snapshot: the one before, if any, and the new one.
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
        heartbeat: Callable[[int | None], Heartbeat],
        stale: Callable[[bool], None],
        swapped: Callable[[Snapshot | None, Snapshot], None],
    ) -> None:
        super().__init__(background, "state")
        self._log = log
        self._replicas = replicas
        self._followed = tuple(followed)
        self._guards = tuple(guards)
        self._clock = clock
        self._max_age_s = max_age_s
        self._heartbeat = heartbeat
        self._stale = stale
        self._swapped = swapped
        self._current: Snapshot | None = None
        self._verified = float("-inf")
        self._expiry: asyncio.TimerHandle | None = None
        self._refreshed = asyncio.Event()
        self._wake = asyncio.Event()

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
        """Read the state, write the first heartbeat, then follow. Waits while the store is away."""
        while not await self._verified_now():  # noqa: ASYNC110 - the pause between two reads
            await asyncio.sleep(EVERY_S)
        await super().start()

    async def stop(self) -> None:
        """Stop following and remove our heartbeat. Idempotent."""
        if self._task is None:
            return
        if self._expiry is not None:
            self._expiry.cancel()
        await super().stop()
        try:
            await self._replicas.leave(self._heartbeat(None).replica)
        except StoreUnavailable:
            _log.warning("heartbeat not removed; it expires")

    def wake(self) -> None:
        """Read the state now, because a `control.state` message came."""
        self._wake.set()

    async def run(self) -> None:
        """Follow until cancelled: messages that finish during a drain still need the state."""
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # no wake-up within the second: the usual case
            self._wake.clear()  # before the read: a later wake-up starts another read
            await self._verified_now()

    async def _verified_now(self) -> bool:
        """Read everything once; return whether the store answered."""
        try:
            await self._round()
        except StoreUnavailable as error:
            _log.warning("state not verified", error=str(error))
            if not self.is_fresh():
                self._stale(True)  # noqa: FBT003 - the callback's one argument
            return False
        self._stale(not self.is_fresh())
        return True

    async def _round(self) -> None:
        began = self._clock.monotonic()
        last = await self._log.last()
        if last is not None:
            self._swap(last[1])
        for followed in self._followed:
            await followed.follow()
        if last is not None:  # only now: an old list of opt-outs must stop sending too
            self._verified = began
            self._refreshed.set()
            self._watch_age()
        applied = self._current.version if self._current else None
        await self._replicas.write_heartbeat(self._heartbeat(applied))
        live = await self._replicas.live()
        for guard in self._guards:
            guard.share_between(live)

    def _watch_age(self) -> None:
        """Report a stale snapshot at once, not only when a hanging store times out."""
        if self._expiry is not None:
            self._expiry.cancel()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(self._max_age_s, self._say_if_stale)

    def _say_if_stale(self) -> None:
        if not self.is_fresh():
            self._stale(True)  # noqa: FBT003 - the callback's one argument

    def _swap(self, state: Snapshot) -> None:
        current = self._current
        if current == state:
            return
        same = current is not None and current.lineage == state.lineage
        if current is not None and same and state.version < current.version:
            _log.error("older state ignored", got=state.version, have=current.version)
            return
        self._current = state
        self._swapped(current, state)
        _log.info(
            "state in force",
            version=state.version,
            phase=str(state.phase),
            percentage=state.percentage,
        )
