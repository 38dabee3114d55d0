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
    """Something else that is re-read with the snapshot."""

    async def follow(self) -> None:
        """Read what is new. Raises `StoreUnavailable`."""
        ...


async def seed(
    log: ControlLog, flags: Flags, percentage: int, *, user: str, now: datetime
) -> Snapshot:
    """State in force; on the very first start, entry 1 is appended from the flags file.

    A seed percentage above 0 starts in the first phase whose configured range holds it; later
    starts ignore the file: what is in force lives in the log.

    Raises:
        ValueError: no phase holds the percentage.
    """
    phase = phase_holding(flags.phases, percentage)
    if phase is None:
        raise ValueError(f"seed: expected a percentage some phase's range holds, got {percentage}")
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
            continue  # another replica was first: its entry stands
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
        followed: re-read in the same round (the suppression list).
        guards: told how many replicas share the limits.
        clock: time.
        background: runs the loop; its death ends the process.
        max_age_s: age of the last verification after which nothing is sent.
        heartbeat: ours, given the applied version.
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
        """Read the state, write the first heartbeat, follow from then on.

        Raises `StoreUnavailable`.
        """
        await self._round()
        await super().start()

    async def stop(self) -> None:
        """Stop following and take our heartbeat away. Idempotent."""
        if self._task is None:
            return
        if self._expiry is not None:
            self._expiry.cancel()
        await super().stop()
        try:
            await self._replicas.leave(self._heartbeat(None).replica)
        except StoreUnavailable:
            _log.warning("heartbeat not removed; it dies by age")

    def wake(self) -> None:
        """Re-read now: a `control.state` message came."""
        self._wake.set()

    async def run(self) -> None:
        """Follow until it is cancelled: what finishes during a drain still needs the state."""
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # the second is over: the ordinary case
            self._wake.clear()  # before the read: a wake-up that comes after it begins another
            try:
                await self._round()
            except StoreUnavailable as error:
                _log.warning("state not verified", error=str(error))
                if not self.is_fresh():
                    self._stale(True)  # noqa: FBT003 - the callback's one argument
            else:
                self._stale(not self.is_fresh())

    async def _round(self) -> None:
        began = self._clock.monotonic()
        last = await self._log.last()
        if last is not None:
            self._swap(last[1])
        for followed in self._followed:
            await followed.follow()
        if last is not None:  # by an old list of opt-outs nothing is sent either
            self._verified = began
            self._refreshed.set()
            self._watch_age()
        applied = self._current.version if self._current else None
        await self._replicas.write_heartbeat(self._heartbeat(applied))
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
