"""The state in force, its log, and the replicas that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from worker.domain.migration.control_log import LogEntry
    from worker.domain.migration.replicas import Heartbeat, LiveReplica
    from worker.domain.migration.snapshot import Snapshot


class Snapshots(Protocol):
    """The flags and state in force, as last verified against the store."""

    @property
    def current(self) -> Snapshot | None:
        """Newest verified snapshot; None before the first."""
        ...

    def is_fresh(self) -> bool:
        """Whether it was verified recently enough to send by (5 s)."""
        ...

    async def fresh(self) -> Snapshot:
        """Wait until there is a fresh one."""
        ...


class ControlLog(Protocol):
    """The append-only log whose last entry is what is in force.

    Methods raise `StoreUnavailable`.
    """

    async def last(self) -> tuple[int, Snapshot] | None:
        """Number of the last entry and the state after it; None: the log is empty."""
        ...

    async def append(self, entry: LogEntry) -> None:
        """Append under compare-and-set.

        Raises:
            WriteConflict: another entry took the place; read again and decide anew.
        """
        ...

    async def find(self, user: str, command_id: str) -> LogEntry | None:
        """The entry of a command; None: never decided."""
        ...

    async def history(self, limit: int, before: int | None) -> list[LogEntry]:
        """Entries, newest first; only those numbered below `before`."""
        ...

    async def state_at(self, version: int) -> Snapshot | None:
        """The state of a version; None: there was none."""
        ...

    async def known_good(self, for_s: float) -> Snapshot | None:
        """The last version but the present one that was in force for that long without an alarm.

        Not one that automation ended by going down, nor one under which it held for a reason.

        Args:
            for_s: seconds.
        """
        ...


class Replicas(Protocol):
    """Heartbeats of all worker processes. Methods raise `StoreUnavailable`."""

    async def write_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Write our heartbeat, stamped by the server."""
        ...

    async def live(self) -> int:
        """Replicas whose heartbeat is under 5 s old, by the server's clock; at least 1."""
        ...

    async def list(self) -> list[LiveReplica]:
        """The live ones, with the age of their heartbeat."""
        ...

    async def leave(self, replica: str) -> None:
        """Remove our heartbeat at a clean end."""
        ...
