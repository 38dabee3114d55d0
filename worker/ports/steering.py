"""Ports for the state in force, its log, and the replicas that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.migration.control_log import LogEntry
    from worker.domain.migration.replicas import Heartbeat, LiveReplica
    from worker.domain.migration.snapshot import Snapshot


class Snapshots(Protocol):
    """The flags and state in force, as last verified against the store."""

    @property
    def current(self) -> Snapshot | None:
        """The newest verified snapshot; None before the first."""
        ...

    def is_fresh(self) -> bool:
        """Whether it was verified recently enough to send by (5 s)."""
        ...

    async def fresh(self) -> Snapshot:
        """Wait for a fresh snapshot and return it."""
        ...


class ControlLog(Protocol):
    """The append-only control log. Its last entry is the state in force.

    Methods raise `StoreUnavailable`.
    """

    async def last(self) -> tuple[int, Snapshot] | None:
        """Number of the last entry and the state after it; None: the log is empty."""
        ...

    async def append(self, entry: LogEntry) -> None:
        """Append an entry by compare-and-set.

        Raises:
            WriteConflict: another entry has this number; read the log and decide again.
        """
        ...

    async def find(self, user: str, command_id: str) -> LogEntry | None:
        """The entry of a command; None: the command was never decided."""
        ...

    async def history(self, limit: int, before: int | None) -> list[LogEntry]:
        """Entries, newest first; only those numbered below `before`."""
        ...

    async def state_at(self, version: int) -> Snapshot | None:
        """The state of a version; None: there is none."""
        ...

    async def state_on(self, at: datetime) -> Snapshot | None:
        """The state that was in force at a time; None: nothing was."""
        ...

    async def moves(self, since: datetime, limit: int) -> list[LogEntry]:
        """The newest entries since then that changed what goes to the target, newest first.

        That is: the phase, the percentage, or which provider is enabled.
        """
        ...

    async def known_good(self, for_s: float) -> Snapshot | None:
        """The last earlier version that was in force for at least `for_s` without an alarm.

        Versions that automation ended by a rollback, or under which it held, do not count.

        Args:
            for_s: seconds.
        """
        ...


class Replicas(Protocol):
    """The heartbeats of all replicas. Methods raise `StoreUnavailable`."""

    async def write_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Write our heartbeat. The server stamps its time."""
        ...

    async def live(self) -> int:
        """Replicas with a heartbeat under 5 s old by the server's clock; at least 1."""
        ...

    async def list(self) -> list[LiveReplica]:
        """The live replicas, with the age of their heartbeat."""
        ...

    async def leave(self, replica: str) -> None:
        """Remove our heartbeat at a clean stop."""
        ...
