"""Answers control queries, such as `status`, `health`, `history` and `explain`.

Rules: a query changes nothing and is not recorded. Queries have their own queue, so that a slow one
never delays an emergency. Any role may ask. While the store is unavailable, `status` still gives
the snapshot of this replica and says that the rest is missing; queries that need the store are
refused with that reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from contracts.answers import (
    AlertsAnswer,
    ExplainAnswer,
    HistoryAnswer,
    StatusAnswer,
    SuppressionsAnswer,
)
from contracts.codec import DecodeError
from contracts.control import (
    Alerts,
    Comparison,
    ControlReply,
    Explain,
    Health,
    History,
    Status,
    Suppressions,
)
from contracts.control_decoding import decode_query
from worker.control import authenticate, views
from worker.domain.messages import masking
from worker.domain.migration import routing
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.decide import moves_up
from worker.domain.migration.gates import Measures
from worker.domain.migration.move_gates import gates_of
from worker.domain.migration.reply_codes import ReplyCode
from worker.numbers import NotANumber
from worker.ports.broker import Settlement
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Protocol

    from contracts.answers import Answer, ProviderFigures
    from contracts.control import Query
    from contracts.health import ComparisonMetric, HealthMetric
    from worker.control.consents import Consents
    from worker.domain.alerts.notices import Alert
    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.migration.access import AccessRole
    from worker.domain.migration.decide import MoveUp
    from worker.domain.migration.gates import Gate
    from worker.domain.migration.phases import Role
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.alerts import AlertBook
    from worker.ports.broker import Incoming, Replier
    from worker.ports.clock import Clock
    from worker.ports.providers import Guard
    from worker.ports.steering import ControlLog, Replicas, Snapshots

    class Reporting(Protocol):
        """Figures over a period, in the form of the wire."""

        async def health(self, hours: float) -> HealthMetric:
            """Figures of both providers over the last hours. Raises `StoreUnavailable`."""
            ...

        async def comparison(self, hours: float) -> ComparisonMetric:
            """Target and legacy side by side over the last hours. Raises `StoreUnavailable`."""
            ...


PREFIX: Final = "control.query."
_STATUS_HOURS: Final = 1.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class QueryHandler:
    """Handles deliveries from `sms.control.query`.

    Args:
        log: the control log.
        book: alerts of all replicas.
        replicas: heartbeats.
        snapshots: the snapshot of this replica, for `explain` and while the store is unavailable.
        figures: figures by provider id, for ids and a number of hours. Raises `StoreUnavailable`.
        reporting: makes the health and comparison reports.
        measures: reads the figures for the gates. Raises `StoreUnavailable`.
        checkpoint: the monitor's last tick, by lineage. Raises `StoreUnavailable`.
        alerts: the open troubles that this replica sees, for while the store is unavailable.
        guards: breakers by role.
        normalise: turns a number as people write it into E.164, or says why it cannot.
        consents: the list of who wants no messages.
        replier: sends replies.
        roles: access role by broker user.
        clock: time.
    """

    log: ControlLog
    book: AlertBook
    replicas: Replicas
    snapshots: Snapshots
    figures: Callable[[Sequence[str], float], Awaitable[dict[str, ProviderFigures]]]
    reporting: Reporting
    measures: Callable[[Snapshot], Awaitable[Measures]]
    checkpoint: Callable[[str], Awaitable[Checkpoint | None]]
    alerts: Callable[[], list[str]]
    guards: Mapping[Role, Guard]
    normalise: Callable[[str], str | NotANumber]
    consents: Consents
    replier: Replier
    roles: Mapping[str, AccessRole]
    clock: Clock

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Answer one query."""
        name = authenticate.name(incoming, PREFIX)
        try:
            reply = await self._answer(incoming, decode_query(incoming.body, name))
        except DecodeError as error:
            reply = authenticate.not_understood(name, error, self.clock.now())
        await authenticate.answer(self.replier, incoming, reply)
        return Settlement.ACK

    async def _answer(self, incoming: Incoming, query: Query) -> ControlReply:
        user = authenticate.user(incoming)
        problem = authenticate.problem(incoming, PREFIX)
        if problem is None and user not in self.roles:
            problem = f"{user} has no role; the operator of the worker gives one in SMS_ROLES"
        if problem is not None:
            _log.warning("query refused", user=user, problem=problem)
            return self._refuse(query, ReplyCode.FORBIDDEN, problem)
        try:
            return await self._look(query)
        except StoreUnavailable as away:
            return self._refuse(query, ReplyCode.STORE_UNAVAILABLE, f"store unavailable ({away})")
        except ChangeRefused as refusal:
            text = str(refusal).removeprefix(f"{query.name}: ")
            return self._refuse(query, refusal.code, text)

    async def _look(self, query: Query) -> ControlReply:
        match query:
            case Status():
                return await self._status(query)
            case Health() | Comparison():
                return await self._report(query)
            case History():
                entries = await self.log.history(query.limit, query.before)
                history = HistoryAnswer(entries=[views.entry(each) for each in entries])
                return self._answered(query, history)
            case Explain():
                return self._explain(query)
            case Alerts():
                recent = await self.book.recent()
                alerts = AlertsAnswer(alerts=[views.alert(each) for each, _ in recent])
                return self._answered(query, alerts)
            case Suppressions():
                listed = SuppressionsAnswer(suppressions=await self.consents.listed(query))
                return self._answered(query, listed)

    def _answered(self, query: Query, answer: Answer) -> ControlReply:
        return views.answer(query, answer, self.snapshots.current, self.clock.now())

    # --- status ----------------------------------------------------------------------------

    async def _status(self, query: Status) -> ControlReply:
        """Answer from the last state in the log, or this replica's if the log is unreadable."""
        try:
            last = await self.log.last()
            state = last[1] if last else None
            moves = await self._moves(state) if state else []
            seen = await self.checkpoint(state.lineage) if state else None
            data = StatusAnswer(
                next=views.next_move(*moves[0]) if moves else None,
                advance=views.advance_move(*moves[1]) if len(moves) > 1 else None,
                monitor=views.monitor(seen) if seen else None,
                replicas=[views.replica(each) for each in await self.replicas.list()],
                providers=await self.figures(self._providers(), _STATUS_HOURS),
                alerts=[f"{each.name}: {each.reason}" for each in await self._open()],
            )
        except StoreUnavailable as away:
            state, moves = self.snapshots.current, []
            missing = f"store unavailable ({away}): replicas, figures and gates are not known"
            data = StatusAnswer(alerts=[missing, *self.alerts()])
        gates = moves[0][1] if moves else ()
        return views.answer(query, data, state, self.clock.now(), gates)

    async def _open(self) -> list[Alert]:
        return [alert for alert, _ in await self.book.recent() if alert.open]

    async def _moves(self, state: Snapshot) -> list[tuple[MoveUp, tuple[Gate, ...]]]:
        """Return the moves upwards, each with the gates that its command asks now."""
        now = self.clock.now()
        moves = moves_up(state, now)
        measures = await self.measures(state) if moves else Measures()
        return [(move, gates_of(state, move.wanted, measures, now)) for move in moves]

    def _providers(self) -> list[str]:
        return [guard.provider_id for guard in self.guards.values()]

    # --- health and comparison -------------------------------------------------------------

    async def _report(self, query: Health | Comparison) -> ControlReply:
        """Answer with the same report that is published as a metric."""
        state = self.snapshots.current
        if state is not None and query.hours > 24 * state.flags.migration.metrics_retention_days:
            kept = state.flags.migration.metrics_retention_days
            text = f"hours: metrics are kept for {kept} days, so at most {24 * kept} hours"
            return self._refuse(query, ReplyCode.INVALID, f"{text} (MetricsRetentionDays)")
        wanted = isinstance(query, Health)
        made = self.reporting.health if wanted else self.reporting.comparison
        return views.answer(query, await made(query.hours), state, self.clock.now())

    # --- explain ---------------------------------------------------------------------------

    def _explain(self, query: Explain) -> ControlReply:
        state = self.snapshots.current
        to = self.normalise(query.to)
        if state is None:
            return self._refuse(query, ReplyCode.STORE_UNAVAILABLE, "nothing is in force yet")
        if isinstance(to, NotANumber):
            return self._refuse(
                query, ReplyCode.INVALID, f"to: {to.problem} ({masking.mask(query.to)})"
            )
        blocked = frozenset(role for role, guard in self.guards.items() if not guard.passable())
        route = routing.decide(to, query.user_id, query.branch_id, state, blocked)
        data = ExplainAnswer(
            number=to,
            bucket=routing.bucket(to),
            way=[self.guards[role].provider_id for role in route.candidates],
            passed_over=[self.guards[role].provider_id for role in route.skipped],
            reason=route.reason,
        )
        return views.answer(query, data, state, self.clock.now())

    def _refuse(self, query: Query, code: ReplyCode, text: str) -> ControlReply:
        return views.unrecorded(query, code, f"{query.name}: {text}", self.clock.now())
