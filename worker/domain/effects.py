"""What each order would make of the state: one function an order, no judgement of who or whether.

Rules: an effect that is impossible in this state is `Refused`, in words that name what was asked,
what is possible and how to go on. Versions and stamps are `steering`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from worker.domain.flags import AUTOMATIC, MAX_OVERRIDES, Flags, Proposal, Snapshot
from worker.domain.phases import MOVES, Move, Phase, Role

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.notices import Alert

KNOWN_GOOD: Final = "last-known-good"
MAX_BACKUPS: Final = 200
_FULL: Final = 100
Effect = Callable[["Order", Snapshot, "datetime"], Snapshot]


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
    alerts: tuple[Alert, ...] = ()
    """What `label` may mean, of what is open."""
    age: timedelta = timedelta(0)
    """Since it was issued; an upward order expires."""


class Refused(Exception):  # noqa: N818 - control flow within this module
    """An order that cannot be carried out in this state."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def place(state: Snapshot) -> str:
    """Phase and percentage, for people."""
    return f"{state.phase} at {state.percentage} %"


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
    """No to automation holds it: every gate is still open, so the next tick would propose again."""
    proposal = _proposal(order, state, now)
    return replace(state, proposal=None, held=state.held or proposal.by == AUTOMATIC)


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
    if not order.flags.phases[state.phase].allows(state.percentage):
        rules = order.flags.phases[state.phase]
        raise Refused(
            "range",
            f"set-flags: expected a range of {state.phase} that holds the present "
            f"{state.percentage} %, got {rules.low} to {rules.high}; move the percentage first",
        )
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
    label = order.label or ""
    if not label or label.isdecimal() or label == KNOWN_GOOD:
        raise Refused(
            "invalid", f"backup: expected a name that is no number and not {KNOWN_GOOD}: {label!r}"
        )
    if len(state.backups) >= MAX_BACKUPS and label not in state.backups:
        raise Refused("too many", f"backup: expected at most {MAX_BACKUPS} names; use one again")
    return replace(state, backups=MappingProxyType({**state.backups, label: state.version}))


def _restore(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    older = order.restored
    if older is None:
        names = ", ".join([*state.backups, KNOWN_GOOD, "a version number"])
        raise Refused("unknown version", f"restore: no version {order.label!r}; known: {names}")
    return replace(
        state,
        phase=older.phase,
        percentage=older.percentage,
        flags=older.flags,
        legacy_retired=older.legacy_retired,
        proposal=None,
    )


def _ack(order: Order, state: Snapshot, _now: datetime) -> Snapshot:
    """Nothing: an alert is no state. Refused where it is not clear which one is meant."""
    if not order.alerts:
        raise Refused(
            "not open", f"ack: nothing open is called {order.label!r}; look at ctl alerts"
        )
    if len(order.alerts) > 1:
        several = ", ".join(f"{each.name} {each.id[:8]}" for each in order.alerts)
        raise Refused(
            "several", f"ack: expected one alert, {order.label!r} means {several}; name its id"
        )
    return state


EFFECTS: Final[Mapping[str, Effect]] = MappingProxyType(
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
        "ack": _ack,
    }
)
"""Every command has an effect; which phases allow it is `phases.MOVES`' to say."""
