"""Answers control queries, such as `status`, `health`, `history` and `explain`.

Rules: a query changes nothing and is not recorded. Queries have their own queue, so that a slow one
never delays an emergency. Any role may ask, and each answer says who asked and what the role may
do. While the store is unavailable, `status` still gives the snapshot of this replica; queries that
need the store are refused with that reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from contracts.answers import (
    AlertsAnswer,
    ExplainAnswer,
    HistoryAnswer,
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
    Preview,
    Series,
    Status,
    Suppressions,
)
from contracts.control_decoding import decode_query
from worker.control import authenticate, views
from worker.control.state_views import asker
from worker.domain.messages import masking
from worker.domain.migration import routing
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.reply_codes import ReplyCode
from worker.numbers import NotANumber
from worker.ports.broker import Settlement
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Protocol

    from contracts.answers import Answer, SeriesAnswer
    from contracts.control import Query
    from contracts.control_views import Asker
    from contracts.health import ComparisonMetric, HealthMetric
    from worker.control.consents import Consents
    from worker.control.preview import Previews
    from worker.control.status import CurrentStatus
    from worker.domain.migration.access import AccessRole
    from worker.domain.migration.phases import Role
    from worker.ports.alerts import AlertBook
    from worker.ports.broker import Incoming, Replier
    from worker.ports.clock import Clock
    from worker.ports.providers import Guard
    from worker.ports.steering import ControlLog, Snapshots

    class Reporting(Protocol):
        """Figures over a period, in the form of the wire."""

        async def health(self, hours: float) -> HealthMetric:
            """Figures of both providers over the last hours. Raises `StoreUnavailable`."""
            ...

        async def comparison(self, hours: float) -> ComparisonMetric:
            """Target and legacy side by side over the last hours. Raises `StoreUnavailable`."""
            ...


PREFIX: Final = "control.query."
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class QueryHandler:
    """Handles deliveries from `sms.control.query`.

    Args:
        status: answers `status`.
        previews: answers `preview`.
        series: both providers over the last hours. Raises `StoreUnavailable`.
        log: the control log.
        book: alerts of all replicas.
        snapshots: the snapshot of this replica.
        reporting: makes the health and comparison reports.
        guards: breakers by role.
        normalise: turns a number as people write it into E.164, or says why it cannot.
        consents: the list of who wants no messages.
        replier: sends replies.
        roles: access role by broker user.
        clock: time.
    """

    status: CurrentStatus
    previews: Previews
    series: Callable[[float], Awaitable[SeriesAnswer]]
    log: ControlLog
    book: AlertBook
    snapshots: Snapshots
    reporting: Reporting
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
        reply = reply.model_copy(update={"you": self._asker(incoming)})
        await authenticate.answer(self.replier, incoming, reply)
        return Settlement.ACK

    def _asker(self, incoming: Incoming) -> Asker | None:
        """Return who asks; None: the user or the route cannot be trusted, or there is no role."""
        role = self.roles.get(authenticate.user(incoming))
        if role is None or authenticate.problem(incoming, PREFIX) is not None:
            return None
        return asker(authenticate.user(incoming), role)

    async def _answer(self, incoming: Incoming, query: Query) -> ControlReply:
        user = authenticate.user(incoming)
        problem = authenticate.problem(incoming, PREFIX)
        if problem is None and user not in self.roles:
            problem = f"{user} has no role; the operator of the worker gives one in SMS_ROLES"
        if problem is not None:
            _log.warning("query refused", user=user, problem=problem)
            return self._refuse(query, ReplyCode.FORBIDDEN, problem)
        try:
            return await self._look(query, user)
        except StoreUnavailable as away:
            return self._refuse(query, ReplyCode.STORE_UNAVAILABLE, f"store unavailable ({away})")
        except ChangeRefused as refusal:
            text = str(refusal).removeprefix(f"{query.name}: ")
            return self._refuse(query, refusal.code, text)

    async def _look(self, query: Query, user: str) -> ControlReply:
        match query:
            case Status():
                return await self.status.answer(query)
            case Health() | Comparison() | Series():
                return await self._over_time(query)
            case Explain():
                return self._explain(query)
            case History() | Alerts() | Suppressions():
                listed = await self._listed(query)
                return views.answer(query, listed, self.snapshots.current, self.clock.now())
            case Preview():
                return await self.previews.answer(query, user)

    async def _listed(self, query: History | Alerts | Suppressions) -> Answer:
        match query:
            case History():
                entries = await self.log.history(query.limit, query.before)
                return HistoryAnswer(entries=[views.entry(each) for each in entries])
            case Alerts():
                recent = await self.book.recent()
                return AlertsAnswer(alerts=[views.alert(each) for each, _ in recent])
            case Suppressions():
                return SuppressionsAnswer(suppressions=await self.consents.listed(query))

    # --- over a period ---------------------------------------------------------------------

    async def _over_time(self, query: Health | Comparison | Series) -> ControlReply:
        """Answer with figures over the last hours, if they are kept for so long."""
        state = self.snapshots.current
        if state is not None and query.hours > 24 * state.flags.migration.metrics_retention_days:
            kept = state.flags.migration.metrics_retention_days
            text = f"hours: metrics are kept for {kept} days, so at most {24 * kept} hours"
            return self._refuse(query, ReplyCode.INVALID, f"{text} (MetricsRetentionDays)")
        data = await self._figures(query)
        return views.answer(query, data, state, self.clock.now())

    async def _figures(
        self, query: Health | Comparison | Series
    ) -> HealthMetric | ComparisonMetric | SeriesAnswer:
        match query:
            case Health():
                return await self.reporting.health(query.hours)
            case Comparison():
                return await self.reporting.comparison(query.hours)
            case Series():
                return await self.series(query.hours)

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
