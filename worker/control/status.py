"""Answers the query `status`: what is in force, who follows it, what is missing for the way up.

Rules: it shows the last state in the log. While the store is unavailable, it shows the snapshot of
this replica and says that the rest is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from contracts.answers import StatusAnswer
from worker.control import status_views, views
from worker.domain.migration.decide import moves_up
from worker.domain.migration.gates import Measures
from worker.domain.migration.move_gates import gates_of
from worker.domain.migration.phases import Role
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from contracts.answers import ProviderFigures
    from contracts.control import ControlReply, Status
    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.migration.decide import MoveUp
    from worker.domain.migration.gates import Gate
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.alerts import AlertBook
    from worker.ports.clock import Clock
    from worker.ports.providers import Guard
    from worker.ports.steering import ControlLog, Replicas, Snapshots

_HOURS: Final = 1.0


@dataclass(frozen=True, slots=True)
class CurrentStatus:
    """Answers `status`.

    Args:
        log: the control log.
        book: alerts of all replicas.
        replicas: heartbeats.
        snapshots: the snapshot of this replica, for while the store is unavailable.
        figures: figures by provider id, for ids and a number of hours. Raises `StoreUnavailable`.
        measures: reads the figures for the gates. Raises `StoreUnavailable`.
        checkpoint: the monitor's last tick, by lineage. Raises `StoreUnavailable`.
        alerts: the open troubles that this replica sees, for while the store is unavailable.
        guards: breakers by role; they name the providers.
        clock: time.
    """

    log: ControlLog
    book: AlertBook
    replicas: Replicas
    snapshots: Snapshots
    figures: Callable[[Sequence[str], float], Awaitable[dict[str, ProviderFigures]]]
    measures: Callable[[Snapshot], Awaitable[Measures]]
    checkpoint: Callable[[str], Awaitable[Checkpoint | None]]
    alerts: Callable[[], list[str]]
    guards: Mapping[Role, Guard]
    clock: Clock

    async def answer(self, query: Status) -> ControlReply:
        """Answer the query; never raises `StoreUnavailable`."""
        try:
            last = await self.log.last()
            state = last[1] if last else None
            moves = await self._moves(state) if state else []
            data = await self._known(state, moves)
        except StoreUnavailable as away:
            state, moves = self.snapshots.current, []
            missing = f"store unavailable ({away}): replicas, figures and gates are not known"
            data = StatusAnswer(alerts=[missing, *self.alerts()], **self._providers())
        gates = moves[0][1] if moves else ()
        return views.answer(query, data, state, self.clock.now(), gates)

    async def _known(
        self, state: Snapshot | None, moves: Sequence[tuple[MoveUp, tuple[Gate, ...]]]
    ) -> StatusAnswer:
        providers = self._providers()
        seen = await self.checkpoint(state.lineage) if state else None
        return StatusAnswer(
            next=status_views.next_move(*moves[0]) if moves else None,
            advance=status_views.advance_move(*moves[1]) if len(moves) > 1 else None,
            monitor=status_views.monitor(seen) if seen else None,
            replicas=[status_views.replica(each) for each in await self.replicas.list()],
            providers=await self.figures(list(providers.values()), _HOURS),
            alerts=await self._open(),
            **providers,
        )

    async def _open(self) -> list[str]:
        recent = (alert for alert, _ in await self.book.recent())
        return [f"{alert.name}: {alert.reason}" for alert in recent if alert.open]

    async def _moves(self, state: Snapshot) -> list[tuple[MoveUp, tuple[Gate, ...]]]:
        """Return the moves upwards, each with the gates that its command asks now."""
        now = self.clock.now()
        moves = moves_up(state, now)
        measures = await self.measures(state) if moves else Measures()
        return [(move, gates_of(state, move.wanted, measures, now)) for move in moves]

    def _providers(self) -> dict[str, Any]:
        """Provider ids by role."""
        return {role.value: self.guards[role].provider_id for role in Role}
