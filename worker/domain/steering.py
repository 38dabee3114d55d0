"""What a command makes of the state in force: the decision, pure.

Rules:
- `decide` is total: every order in every phase gets a ruling that names what was asked, what is
  allowed and how to go on. A refused order changes nothing.
- Downwards is never gated, never waits, never expires. Every order that raises the target's share,
  whatever its name, passes the gates: an order is judged by its effect.
- No state leaves a phase without an enabled provider that has a role.
- Roles: observers ask; operators hold, go down, and set the percentage within the phase;
  administrators do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from worker.domain.flags import MAX_OVERRIDES, Flags, Proposal, Snapshot
from worker.domain.gates import (
    Gate,
    Measures,
    account_gate,
    lock_gate,
    requirement_gates,
    time_gate,
)
from worker.domain.phases import LEGACY_ALONE, MOVES, Move, Phase, Role

if TYPE_CHECKING:
    from datetime import datetime

Effect = Callable[["Order", Snapshot, "datetime"], Snapshot]
PROPOSAL_LIFE: Final = timedelta(hours=24)
UPWARD_LIFE: Final = timedelta(seconds=30)
DOWNWARD: Final = frozenset({"rollback", "emergency-rollback", "hold"})
"""Orders that wait for the store instead of being answered that it is away."""
RELATIVE: Final = frozenset({"advance", "step"})
"""Orders whose meaning depends on the state they were given for."""
_FULL: Final = 100


class Rank(StrEnum):
    """What a broker user may ask for."""

    OBSERVER = "observer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Order:
    """A command, understood: providers are roles, documents are values."""

    name: str
    by: str
    """The user the broker vouches for."""
    rank: Rank
    reason: str
    percentage: int | None = None
    dry_run: bool = False
    override: str | None = None
    """Why the gates may be passed over."""
    leaving: str | None = None
    provider: Role | None = None
    user: str | None = None
    branch: int | None = None
    flags: Flags | None = None
    proposal: int | None = None
    label: str | None = None
    restored: Snapshot | None = None
    age: timedelta = timedelta(0)
    """Since it was issued; an upward order expires."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision. `after` is None where nothing changes."""

    accepted: bool
    code: str
    text: str
    after: Snapshot | None = None
    gates: tuple[Gate, ...] = ()


class Refused(Exception):  # noqa: N818 - control flow within this module
    """An order that cannot be carried out in this state."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def share(state: Snapshot) -> int:
    """The target's share of what no override names, in per cent."""
    if state.phase in LEGACY_ALONE or not state.flags.target_enabled:
        return 0
    return state.percentage if state.flags.legacy_enabled else _FULL


def raises(before: Snapshot, after: Snapshot) -> bool:
    """Whether anybody's messages may go to the target that did not before."""
    if share(after) > share(before):
        return True
    if after.phase in LEGACY_ALONE or not after.flags.target_enabled:
        return False
    was_off = before.phase in LEGACY_ALONE or not before.flags.target_enabled
    pairs = (
        (before.flags.user_overrides, after.flags.user_overrides),
        (before.flags.branch_overrides, after.flags.branch_overrides),
    )
    return any(_override_raises(old, new, after, was_off=was_off) for old, new in pairs)


def _override_raises(
    old: Mapping[str, Role] | Mapping[int, Role],
    new: Mapping[str, Role] | Mapping[int, Role],
    after: Snapshot,
    *,
    was_off: bool,
) -> bool:
    before, now = dict(old.items()), dict(new.items())
    to_target = {key for key, role in now.items() if role is Role.TARGET}
    had_target = {key for key, role in before.items() if role is Role.TARGET}
    if to_target - (set() if was_off else had_target):
        return True
    freed = {key for key, role in before.items() if role is Role.LEGACY and key not in now}
    return bool(freed) and share(after) > 0


def decide(order: Order, state: Snapshot, measures: Measures, now: datetime) -> Ruling:
    """Rule on an order."""
    try:
        wanted = _EFFECTS[order.name](order, state, now)
        return _rule(order, state, wanted, measures, now)
    except Refused as refused:
        return Ruling(accepted=False, code=refused.code, text=str(refused))


def _rule(
    order: Order, state: Snapshot, wanted: Snapshot, measures: Measures, now: datetime
) -> Ruling:
    upward = raises(state, wanted)
    _require_rank(order, state, wanted, upward=upward)
    if wanted == state:
        return Ruling(accepted=True, code="unchanged", text=f"nothing to do: {place(state)}")
    _require_a_provider(order, wanted)
    if upward and order.age > UPWARD_LIFE:
        seconds = order.age.total_seconds()
        raise Refused("stale", f"{order.name}: expected at most 30 s old, got {seconds:.0f} s")
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
    if upward and state.flags.migration.four_eyes and order.name != "approve":
        return _propose(order, state, wanted, gates, now)
    after = _stamped(order, state, wanted, now)
    return Ruling(True, "ok", f"{order.name}: now {place(after)}", after, gates)  # noqa: FBT003 - accepted


def gates_of(
    state: Snapshot, wanted: Snapshot, measures: Measures, now: datetime
) -> tuple[Gate, ...]:
    """The gates of an upward move."""
    held = state.lock is not None and state.lock.holds(now)
    lock = lock_gate(state.lock.reason if held and state.lock else None)
    if share(state) == 0:
        return (lock, account_gate(measures))
    minimum = timedelta(minutes=state.flags.migration.minimum_phase_min)
    requirements = wanted.flags.phases[wanted.phase].requirements
    asked = requirement_gates(requirements, measures) if requirements else ()
    return (lock, time_gate(state.since, now, minimum), *asked)


def place(state: Snapshot) -> str:
    """Phase and percentage, for people."""
    return f"{state.phase} at {state.percentage} %"


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


def _require_rank(order: Order, state: Snapshot, wanted: Snapshot, *, upward: bool) -> None:
    if order.rank is Rank.ADMINISTRATOR:
        return
    operators = {"hold", "rollback", "emergency-rollback", "set-percentage"}
    down = share(wanted) < share(state)
    allowed = order.rank is Rank.OPERATOR and (order.name in operators or down)
    if allowed and (not upward or order.name == "set-percentage") and order.override is None:
        return
    raise Refused(
        "forbidden",
        f"{order.name}: {order.by} is {order.rank}; expected administrator"
        + ("" if order.rank is Rank.OBSERVER else " (operators hold, go down, set a percentage)"),
    )


# --- effects: what the state would be ----------------------------------------------------------


def _move(order: Order, state: Snapshot) -> Phase:
    target = MOVES.get((state.phase, Move(order.name)))
    if target is None:
        allowed = ", ".join(move for phase, move in MOVES if phase is state.phase)
        raise Refused(
            "phase", f"{order.name}: not possible in phase {state.phase}; possible: {allowed}"
        )
    return target


def _advance(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    phase = _move(order, state)
    rules = state.flags.phases[phase]
    at = rules.entry if order.percentage is None else order.percentage
    if at > rules.entry or not rules.allows(at):
        raise Refused(
            "range", f"advance --at: expected {rules.low} to {rules.entry} in {phase}, got {at}"
        )
    return replace(state, phase=phase, percentage=at, proposal=None)


def _step(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    phase = _move(order, state)
    following = state.flags.phases[phase].step_after(state.percentage)
    if following is None:
        raise Refused("last step", f"step: {place(state)} is the last step; go on with advance")
    return replace(state, percentage=following, proposal=None)


def _set_percentage(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    phase = _move(order, state)
    rules = state.flags.phases[phase]
    wanted = order.percentage if order.percentage is not None else state.percentage
    if not rules.allows(wanted):
        raise Refused(
            "range",
            f"set-percentage: expected 0 or {rules.low} to {rules.high} in {phase}, got {wanted}; "
            "advance or rollback change the phase",
        )
    return replace(state, percentage=wanted, proposal=None)


def _rollback(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    if order.leaving is not None and order.leaving != state.phase:
        return state  # left already: a repeated rollback does not go down twice
    phase = _move(order, state)
    if state.legacy_retired or not state.flags.legacy_enabled:
        raise Refused(
            "retired",
            "rollback: legacy is not enabled; enable-provider legacy first, or emergency-rollback, "
            "which enables it",
        )
    rules = state.flags.phases[phase]
    last = min(state.last_percentages.get(phase, rules.entry), state.percentage)
    return replace(state, phase=phase, percentage=min(last, rules.high), proposal=None)


def _emergency(_order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    flags = replace(state.flags, legacy_enabled=True)
    return replace(
        state, phase=Phase.ROLLBACK, percentage=0, flags=flags, legacy_retired=False, proposal=None
    )


def _retire(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    _move(order, state)
    if state.percentage != _FULL:
        raise Refused("range", f"retire-legacy: expected 100 %, got {state.percentage} %")
    flags = replace(state.flags, legacy_enabled=False)
    return replace(state, flags=flags, legacy_retired=True)


def _approve(order: Order, state: Snapshot, now: datetime) -> Snapshot:
    proposal = _proposal(order, state, now)
    if proposal.by == order.by:
        raise Refused("own proposal", f"approve: {order.by} made it; somebody else must approve")
    return replace(state, phase=proposal.phase, percentage=proposal.percentage, proposal=None)


def _reject(order: Order, state: Snapshot, now: datetime) -> Snapshot:
    _proposal(order, state, now)
    return replace(state, proposal=None)


def _proposal(order: Order, state: Snapshot, now: datetime) -> Proposal:
    proposal = state.proposal
    if proposal is None or proposal.number != order.proposal:
        waiting = "none waits" if proposal is None else f"{proposal.number} waits"
        raise Refused("no proposal", f"{order.name}: no proposal {order.proposal}; {waiting}")
    if now >= proposal.expires_at:
        raise Refused("expired", f"{order.name}: proposal {proposal.number} expired; ask again")
    return proposal


def _unlock(_order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    return replace(state, lock=None)


def _set_flags(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    if order.flags is None:
        raise Refused("invalid", "set-flags: expected a flags document")
    retired = state.legacy_retired and not order.flags.legacy_enabled
    return replace(state, flags=order.flags, legacy_retired=retired)


def _override(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    users, branches = dict(state.flags.user_overrides), dict(state.flags.branch_overrides)
    if order.user is not None:
        _put(users, order.user, order.provider)
    if order.branch is not None:
        _put(branches, order.branch, order.provider)
    if max(len(users), len(branches)) > MAX_OVERRIDES:
        raise Refused(
            "too many", f"{order.name}: expected at most {MAX_OVERRIDES} overrides; clear some"
        )
    flags = replace(
        state.flags,
        user_overrides=MappingProxyType(users),
        branch_overrides=MappingProxyType(branches),
    )
    return replace(state, flags=flags)


def _put(overrides: dict[Any, Role], key: Any, role: Role | None) -> None:
    if role is None:
        overrides.pop(key, None)
    else:
        overrides[key] = role


def _enabling(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    enabled = order.name == "enable-provider"
    if order.provider is Role.TARGET:
        return replace(state, flags=replace(state.flags, target_enabled=enabled))
    flags = replace(state.flags, legacy_enabled=enabled)
    return replace(state, flags=flags, legacy_retired=state.legacy_retired and not enabled)


def _reset_breaker(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    resets = dict(state.breaker_resets)
    if order.provider is not None:
        resets[order.provider] = resets.get(order.provider, 0) + 1
    return replace(state, breaker_resets=MappingProxyType(resets))


def _backup(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    named = {**state.backups, order.label or "": state.version}
    return replace(state, backups=MappingProxyType(named))


def _restore(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    older = order.restored
    if older is None:
        names = ", ".join([*state.backups, "last-known-good"])
        raise Refused("unknown version", f"restore: no version {order.label!r}; known: {names}")
    return replace(
        state,
        phase=older.phase,
        percentage=older.percentage,
        flags=older.flags,
        legacy_retired=older.legacy_retired,
        proposal=None,
    )


_EFFECTS: Final[Mapping[str, Effect]] = MappingProxyType(
    {
        "advance": _advance,
        "step": _step,
        "set-percentage": _set_percentage,
        "rollback": _rollback,
        "emergency-rollback": _emergency,
        "retire-legacy": _retire,
        "approve": _approve,
        "reject": _reject,
        "hold": lambda _order, state, _now: replace(state, held=True),
        "resume": lambda _order, state, _now: replace(state, held=False),
        "unlock": _unlock,
        "set-flags": _set_flags,
        "set-user-override": _override,
        "clear-user-override": _override,
        "set-branch-override": _override,
        "clear-branch-override": _override,
        "enable-provider": _enabling,
        "disable-provider": _enabling,
        "reset-breaker": _reset_breaker,
        "backup": _backup,
        "restore": _restore,
    }
)
"""Every command has an effect; which phases allow it is `phases.MOVES`' to say."""
