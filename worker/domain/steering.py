"""What a command makes of the state in force: the decision, pure.

Rules:
- `decide` is total: every order in every phase gets a ruling that names what was asked, what is
  allowed and how to go on. A refused order changes nothing.
- Downwards is never gated, never waits, never expires. Every order that raises the target's share,
  whatever its name, passes the gates: an order is judged by its effect.
- No state leaves a phase without an enabled provider that has a role.
- Roles: observers ask; operators hold, go down, acknowledge alerts, and move the percentage within
  the phase; administrators do everything.
- What each order would make of the state is `effects`' to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.domain.effects import EFFECTS, Order, Rank, Refused, place
from worker.domain.evidence_gates import SOAK_FROM, evidence_gates
from worker.domain.flags import (
    AUTOMATIC,
    Proposal,
    Snapshot,
)
from worker.domain.gates import (
    Gate,
    Measures,
    account_gate,
    lock_gate,
    requirement_gates,
    time_gate,
)
from worker.domain.phases import LEGACY_ALONE, Phase, Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PROPOSAL_LIFE: Final = timedelta(hours=24)
UPWARD_LIFE: Final = timedelta(seconds=30)
DOWNWARD: Final = frozenset({"rollback", "emergency-rollback", "hold"})
"""Orders that wait for the store instead of being answered that it is away."""
RELATIVE: Final = frozenset({"advance", "step"})
"""Orders whose meaning depends on the state they were given for."""
_FULL: Final = 100
_OPERATORS: Final = frozenset(
    {"hold", "rollback", "emergency-rollback", "set-percentage", "step", "ack"}
)
_WITHIN_PHASE: Final = frozenset({"set-percentage", "step"})
_WAY_UP: Final = tuple(phase for phase in Phase if phase not in LEGACY_ALONE)
_WHOLE: Final = frozenset({"set-flags", "restore"})
"""Orders that change more than the share, whichever way the share goes."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision. `after` is None where nothing changes."""

    accepted: bool
    code: str
    text: str
    after: Snapshot | None = None
    gates: tuple[Gate, ...] = ()
    acknowledges: str | None = None
    """Id of an alert that somebody takes on."""


def share(state: Snapshot) -> int:
    """The target's share of what no override names, in per cent."""
    if state.phase in LEGACY_ALONE or not state.flags.target_enabled:
        return 0
    return state.percentage if state.flags.legacy_enabled else _FULL


def has_role(state: Snapshot) -> bool:
    """Whether the target may be chosen at all, be it as fallback or by an override."""
    return state.phase not in LEGACY_ALONE and state.flags.target_enabled


def raises(before: Snapshot, after: Snapshot) -> bool:
    """Whether anybody's messages may go to the target that did not before, or a later phase begins.

    A later phase allows more at its next step, so it is entered by its requirements at any share.
    """
    if not has_role(after):
        return False
    if share(after) > share(before) or not has_role(before):
        return True
    if _WAY_UP.index(after.phase) > _WAY_UP.index(before.phase):
        return True
    pairs = (
        (before.flags.user_overrides, after.flags.user_overrides),
        (before.flags.branch_overrides, after.flags.branch_overrides),
    )
    return any(_override_raises(old, new, after) for old, new in pairs)


def _override_raises(
    old: Mapping[str, Role] | Mapping[int, Role],
    new: Mapping[str, Role] | Mapping[int, Role],
    after: Snapshot,
) -> bool:
    before, now = dict(old.items()), dict(new.items())
    gained = [key for key, role in now.items() if role is Role.TARGET]
    if any(before.get(key) is not Role.TARGET for key in gained):
        return True
    freed = any(role is Role.LEGACY and key not in now for key, role in before.items())
    return freed and share(after) > 0


def decide(order: Order, state: Snapshot, measures: Measures, now: datetime) -> Ruling:
    """Rule on an order."""
    try:
        wanted = EFFECTS[order.name](order, state, now)
        return _rule(order, state, wanted, measures, now)
    except Refused as refused:
        return Ruling(accepted=False, code=refused.code, text=str(refused))


def _rule(
    order: Order, state: Snapshot, wanted: Snapshot, measures: Measures, now: datetime
) -> Ruling:
    upward = raises(state, wanted)
    _require_rank(order, state, wanted, upward=upward)
    if order.alerts:
        return _acknowledged(order)
    if wanted == state:
        return Ruling(accepted=True, code="unchanged", text=f"nothing to do: {place(state)}")
    _require_a_provider(order, wanted)
    if upward:
        _require_fresh(order)
        _require_the_way_up(order, state, wanted)
    gates = gates_of(state, wanted, measures, now) if upward else ()
    shut = [gate for gate in gates if not gate.open]
    if order.dry_run:
        verdict = "would pass" if not shut else f"would be refused by: {_names(shut)}"
        return Ruling(True, "dry-run", f"{order.name} {verdict}", gates=gates)  # noqa: FBT003 - accepted
    if shut and order.override is None:
        text = (
            f"{order.name} to {place(wanted)} refused by: {_names(shut)}; wait for what is "
            "missing, or override the gates with a reason"
        )
        return Ruling(False, "gates", text, gates=gates)  # noqa: FBT003 - accepted
    if upward and order.name != "approve" and _wants_a_second(order, state):
        return _propose(order, state, wanted, gates, now)
    after = _stamped(order, state, wanted, now)
    if upward and not shut and share(state):
        after = replace(after, proven=tuple(sorted({*state.proven, share(state)})))
    held = "; automation is held until resume" if after.held and not state.held else ""
    return Ruling(True, "ok", f"{order.name}: now {place(after)}{held}", after, gates)  # noqa: FBT003 - accepted


def _acknowledged(order: Order) -> Ruling:
    (alert,) = order.alerts
    if alert.acknowledged is not None:
        text = f"ack: {alert.acknowledged.by} acknowledged {alert.name} already"
        return Ruling(accepted=True, code="unchanged", text=text)
    text = f"ack: {alert.name} acknowledged; it is not told again before it is over"
    return Ruling(accepted=True, code="ok", text=text, acknowledges=alert.id)


def _wants_a_second(order: Order, state: Snapshot) -> bool:
    """Whether the move is only proposed: a person approves what automation wants."""
    settings = state.flags.migration
    return settings.require_approval if order.by == AUTOMATIC else settings.four_eyes


def next_up(state: Snapshot, now: datetime) -> tuple[str, Snapshot] | None:
    """The next move upwards and what it would lead to; None: there is none."""
    for name in ("step", "advance"):
        try:
            return name, EFFECTS[name](Order(name, "", Rank.ADMINISTRATOR, ""), state, now)
        except Refused:
            continue
    return None


def gates_of(
    state: Snapshot, wanted: Snapshot, measures: Measures, now: datetime
) -> tuple[Gate, ...]:
    """The gates of an upward move."""
    held = state.lock is not None and state.lock.holds(now)
    lock = lock_gate(state.lock.reason if held and state.lock else None)
    if share(state) == 0:
        return (lock, account_gate(measures))
    settings = state.flags.migration
    soak = settings.soak_min if share(state) >= SOAK_FROM else 0.0
    minimum = timedelta(minutes=max(settings.minimum_phase_min, soak))
    requirements = wanted.flags.phases[wanted.phase].requirements
    sample = settings.minimum_sample
    asked = requirement_gates(requirements, measures, sample) if requirements else ()
    proofs = evidence_gates(measures, share(state))
    return (lock, time_gate(state.since, now, minimum), *asked, *proofs)


def _names(gates: list[Gate]) -> str:
    return ", ".join(
        f"{gate.name} ({gate.required}; measured {gate.measured}"
        + (f"; missing {gate.missing})" if gate.missing else ")")
        for gate in gates
    )


def _propose(
    order: Order, state: Snapshot, wanted: Snapshot, gates: tuple[Gate, ...], now: datetime
) -> Ruling:
    if wanted.flags != state.flags:
        raise Refused("four-eyes", f"{order.name}: expected a move, which a second person approves")
    version = state.version + 1
    proposal = Proposal(version, order.by, wanted.phase, wanted.percentage, now + PROPOSAL_LIFE)
    after = replace(state, version=version, proposal=proposal, notes=order.reason)
    text = f"proposal {version}: {place(wanted)}; somebody else than {order.by} must approve it"
    return Ruling(True, "proposed", text, after, gates)  # noqa: FBT003 - accepted


def _stamped(order: Order, state: Snapshot, wanted: Snapshot, now: datetime) -> Snapshot:
    moved = wanted.phase is not state.phase
    shifted = share(wanted) != share(state) or wanted.percentage != state.percentage
    last = {**state.last_percentages, state.phase: state.percentage}
    return replace(
        wanted,
        version=state.version + 1,
        initiated_by=order.by,
        notes=order.reason,
        previous_phase=state.phase if moved else state.previous_phase,
        started_at=now if moved else state.started_at,
        since=now if moved or shifted else state.since,
        proven=() if wanted.phase in LEGACY_ALONE else state.proven,
        last_percentages=MappingProxyType(last) if moved else state.last_percentages,
    )


def _require_a_provider(order: Order, wanted: Snapshot) -> None:
    flags = wanted.flags
    alone = wanted.phase in LEGACY_ALONE
    if flags.legacy_enabled or (flags.target_enabled and not alone):
        return
    raise Refused(
        "no provider",
        f"{order.name}: would leave {place(wanted)} without an enabled provider that has a role; "
        "enable the other one first",
    )


def _require_fresh(order: Order) -> None:
    if not -UPWARD_LIFE <= order.age <= UPWARD_LIFE:
        seconds = order.age.total_seconds()
        raise Refused(
            "stale",
            f"{order.name}: expected at most 30 s since it was issued, got {seconds:.0f} s; "
            "issue it anew",
        )


def _require_the_way_up(order: Order, state: Snapshot, wanted: Snapshot) -> None:
    """An older state is no way round the first phase after a rollback."""
    steep = state.phase is Phase.ROLLBACK and wanted.phase is not Phase.PARALLEL_SETUP
    if steep and order.override is None:
        raise Refused(
            "phase",
            f"{order.name} to {place(wanted)}: from {state.phase} the way up starts at "
            f"{Phase.PARALLEL_SETUP}; advance, or override the gates with a reason",
        )


def _require_rank(order: Order, state: Snapshot, wanted: Snapshot, *, upward: bool) -> None:
    if order.rank is Rank.ADMINISTRATOR:
        return
    down = share(wanted) < share(state) and order.name not in _WHOLE
    fits = (order.name in _OPERATORS or down) and (not upward or order.name in _WITHIN_PHASE)
    if order.rank is Rank.OPERATOR and fits and order.override is None:
        return
    raise Refused(
        "forbidden",
        f"{order.name}: {order.by} is {order.rank}; expected administrator"
        + (
            " (observers query)"
            if order.rank is Rank.OBSERVER
            else " (operators hold, go down, acknowledge, and move the percentage within the phase)"
        )
        + "; ask one",
    )
