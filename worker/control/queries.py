"""Control queries: what is in force, how both providers do, what was decided, which way one goes.

Rules: a query changes nothing and is not recorded; its own queue, so that a slow one never stands
before an emergency. Any rank may ask. With the store away, status still says what this replica goes
by and that the rest is missing; what needs the store is refused in so many words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from contracts.codec import DecodeError
from contracts.control import (
    Alerts,
    Comparison,
    ControlReply,
    Explain,
    Health,
    History,
    Status,
    decode_query,
)
from worker.control import trust, views
from worker.domain import recipient, routing
from worker.domain.effects import place
from worker.domain.steering import gates_of, next_up
from worker.numbers import NotANumber
from worker.ports import Settlement, StoreAway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from contracts.control import Query
    from worker.control.reporting import Reporting
    from worker.domain.effects import Rank
    from worker.domain.flags import Snapshot
    from worker.domain.gates import Gate, Measures
    from worker.domain.notices import Alert
    from worker.domain.phases import Role
    from worker.ports import (
        AlertBook,
        Checkpoint,
        Clock,
        ControlLog,
        Guard,
        Incoming,
        Replicas,
        Replier,
        Snapshots,
    )

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
        snapshots: what this replica goes by, for when the store is away and for `explain`.
        figures: of providers over the last so many hours, by id and name. Raises `StoreAway`.
        reporting: health and comparison.
        measures: what the next gates are asked of. Raises `StoreAway`.
        checkpoint: the monitor's last tick, by lineage. Raises `StoreAway`.
        alerts: what is wrong at present as this replica sees it, for when the store is away.
        guards: breakers by role.
        normalise: a number as people write it -> E.164, or why not.
        replier: answers.
        ranks: rank by broker user.
        clock: time.
    """

    log: ControlLog
    book: AlertBook
    replicas: Replicas
    snapshots: Snapshots
    figures: Callable[[Sequence[str], float], Awaitable[dict[str, dict[str, Any]]]]
    reporting: Reporting
    measures: Callable[[Snapshot], Awaitable[Measures]]
    checkpoint: Callable[[str], Awaitable[Checkpoint | None]]
    alerts: Callable[[], list[str]]
    guards: Mapping[Role, Guard]
    normalise: Callable[[str], str | NotANumber]
    replier: Replier
    ranks: Mapping[str, Rank]
    clock: Clock

    async def __call__(self, incoming: Incoming) -> Settlement:
        """Answer one query."""
        name = trust.name(incoming, PREFIX)
        try:
            reply = await self._answer(incoming, decode_query(incoming.body, name))
        except DecodeError as error:
            reply = trust.not_understood(name, error, self.clock.now())
        await trust.answer(self.replier, incoming, reply)
        return Settlement.ACK

    async def _answer(self, incoming: Incoming, query: Query) -> ControlReply:
        user = trust.user(incoming)
        problem = trust.problem(incoming, PREFIX)
        if problem is None and user not in self.ranks:
            problem = f"{user} has no role; whoever runs the worker gives one in SMS_ROLES"
        if problem is not None:
            _log.warning("query refused", user=user, problem=problem)
            return self._refuse(query, "forbidden", problem)
        try:
            return await self._look(query)
        except StoreAway as away:
            return self._refuse(query, "store unavailable", f"store unavailable ({away})")

    async def _look(self, query: Query) -> ControlReply:
        match query:
            case Status():
                return await self._status(query)
            case Health() | Comparison():
                return await self._report(query)
            case History():
                entries = await self.log.history(query.limit, query.before)
                return self._found(query, entries=[views.entry(each) for each in entries])
            case Explain():
                return self._explain(query)
            case Alerts():
                recent = await self.book.recent()
                return self._found(query, alerts=[views.alert(each) for each, _ in recent])

    def _found(self, query: Query, **data: Any) -> ControlReply:
        return views.answer(query, data, self.snapshots.current, self.clock.now())

    # --- status ----------------------------------------------------------------------------

    async def _status(self, query: Status) -> ControlReply:
        """The log's last state is the truth; where it cannot be read, this replica's."""
        try:
            last = await self.log.last()
            state = last[1] if last else None
            following, gates = await self._next(state)
            seen = await self.checkpoint(state.lineage) if state else None
            data = {
                "next": following,
                "monitor": views.monitor(seen) if seen else None,
                "replicas": [views.beat(each) for each in await self.replicas.list()],
                "providers": await self.figures(self._providers(), _STATUS_HOURS),
                "alerts": [f"{each.name}: {each.reason}" for each in await self._open()],
            }
        except StoreAway as away:
            state, gates = self.snapshots.current, ()
            missing = f"store unavailable ({away}): replicas, figures and gates are not known"
            data = {"alerts": [missing, *self.alerts()]}
        return views.answer(query, data, state, self.clock.now(), gates)

    async def _open(self) -> list[Alert]:
        return [alert for alert, _ in await self.book.recent() if alert.open]

    async def _next(self, state: Snapshot | None) -> tuple[dict[str, Any] | None, tuple[Gate, ...]]:
        """The next move upwards, and its gates as they stand."""
        now = self.clock.now()
        following = next_up(state, now) if state else None
        if state is None or following is None:
            return None, ()
        name, wanted = following
        gates = gates_of(state, wanted, await self.measures(state), now)
        shut = [gate.name for gate in gates if not gate.open]
        return {"command": name, "to": place(wanted), "shut": shut}, gates

    def _providers(self) -> list[str]:
        return [guard.provider_id for guard in self.guards.values()]

    # --- health and comparison -------------------------------------------------------------

    async def _report(self, query: Health | Comparison) -> ControlReply:
        """What is published as a metric, as the answer."""
        state = self.snapshots.current
        if state is not None and query.hours > 24 * state.flags.migration.metrics_retention_days:
            kept = state.flags.migration.metrics_retention_days
            text = f"hours: metrics are kept for {kept} days, so at most {24 * kept} hours"
            return self._refuse(query, "invalid", f"{text} (MetricsRetentionDays)")
        wanted = isinstance(query, Health)
        made = self.reporting.health if wanted else self.reporting.comparison
        return views.answer(query, views.report(await made(query.hours)), state, self.clock.now())

    # --- explain ---------------------------------------------------------------------------

    def _explain(self, query: Explain) -> ControlReply:
        state = self.snapshots.current
        to = self.normalise(query.to)
        if state is None:
            return self._refuse(query, "store unavailable", "nothing is in force yet")
        if isinstance(to, NotANumber):
            return self._refuse(query, "invalid", f"to: {to.problem} ({recipient.mask(query.to)})")
        blocked = frozenset(role for role, guard in self.guards.items() if not guard.passable())
        found = routing.decide(to, query.user_id, query.branch_id, state, blocked)
        data = {
            "number": to,
            "bucket": routing.bucket(to),
            "way": [self.guards[role].provider_id for role in found.candidates],
            "passedOver": [self.guards[role].provider_id for role in found.skipped],
            "reason": found.reason,
        }
        return views.answer(query, data, state, self.clock.now())

    def _refuse(self, query: Query, code: str, text: str) -> ControlReply:
        return views.unrecorded(query, code, f"{query.name}: {text}", self.clock.now())
