"""Decides on a requested change of the state in force. Pure.

Rules:
- Every change in every phase gets a decision that names what was requested, what is allowed and
  what to do. A refused change changes nothing.
- A move downwards has no gates, never waits and never expires. Every change that raises the
  target's share must pass the gates, whatever its name: its effect counts.
- Every state keeps at least one enabled provider with a role.
- Only a move upwards needs measured figures. `consider` decides everything else without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from worker.domain.messages.consent import named, stopped
from worker.domain.migration.access import AccessRole, require_role
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.changes import Request
from worker.domain.migration.direction import raises, share
from worker.domain.migration.move_gates import gates_of, in_words
from worker.domain.migration.moves import Advance, Approve, Step
from worker.domain.migration.phases import LEGACY_ALONE, Phase
from worker.domain.migration.reply_codes import ReplyCode
from worker.domain.migration.side_changes import Ack, ConsentChange
from worker.domain.migration.snapshot import AUTOMATIC, Proposal, Snapshot, describe
from worker.domain.migration.stamping import stamped

if TYPE_CHECKING:
    from datetime import datetime

    from worker.domain.messages.consent import WishChange
    from worker.domain.migration.change_names import ChangeName
    from worker.domain.migration.changes import Change
    from worker.domain.migration.gates import Gate, Measures

PROPOSAL_LIFE: Final = timedelta(hours=24)
UPWARD_LIFE: Final = timedelta(seconds=30)
_NOBODY: Final = Request("", AccessRole.ADMINISTRATOR, "")
"""A request for a move that is only used to see where the move leads."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a change. `after` is None if the state does not change."""

    accepted: bool
    code: ReplyCode
    text: str
    after: Snapshot | None = None
    gates: tuple[Gate, ...] = ()
    acknowledges: str | None = None
    """Id of the alert that is acknowledged."""
    wish: WishChange | None = None
    """The opt-out or opt-in that is recorded."""


def accepted(
    code: ReplyCode, text: str, after: Snapshot | None = None, gates: tuple[Gate, ...] = ()
) -> Decision:
    """Accept a change."""
    return Decision(accepted=True, code=code, text=text, after=after, gates=gates)


def refused(code: ReplyCode, text: str, gates: tuple[Gate, ...] = ()) -> Decision:
    """Refuse a change."""
    return Decision(accepted=False, code=code, text=text, gates=gates)


@dataclass(frozen=True, slots=True)
class UpwardMove:
    """A move upwards that is allowed if its gates pass."""

    change: Change
    state: Snapshot
    wanted: Snapshot
    now: datetime

    def decide(self, measures: Measures) -> Decision:
        """Decide by the gates."""
        gates = gates_of(self.state, self.wanted, measures, self.now)
        shut = [gate for gate in gates if not gate.open]
        change, request = self.change, self.change.request
        if request.dry_run:
            return _dry_run(change, shut, gates)
        if shut and request.override is None:
            text = (
                f"{change.name} to {describe(self.wanted)} refused by: {in_words(shut)}; wait for "
                "what is missing, or override the gates with a reason"
            )
            return refused(ReplyCode.GATES, text, gates)
        return self._passed(gates, shut)

    def if_open(self) -> Decision:
        """The decision if every gate were open; its gates are not told."""
        if self.change.request.dry_run:
            return _dry_run(self.change, [], ())
        return self._passed((), [])

    def _passed(self, gates: tuple[Gate, ...], shut: list[Gate]) -> Decision:
        """Carry the move out, or propose it; gates that are shut were overridden."""
        change = self.change
        if not isinstance(change, Approve) and _wants_a_second(change.request, self.state):
            return self._propose(gates)
        after = stamped(change, self.state, self.wanted, self.now)
        if not shut and 0 < share(self.state) <= share(after):
            proven = {*self.state.proven, share(self.state)}
            after = replace(after, proven=tuple(sorted(proven)))
        return _done(change, after, gates)

    def _propose(self, gates: tuple[Gate, ...]) -> Decision:
        state, wanted, request = self.state, self.wanted, self.change.request
        if wanted.flags != state.flags:
            return refused(
                ReplyCode.FOUR_EYES,
                f"{self.change.name}: expected a move, which a second person approves",
            )
        version, until = state.version + 1, self.now + PROPOSAL_LIFE
        proposal = Proposal(version, request.by, wanted.phase, wanted.percentage, until)
        after = replace(state, version=version, proposal=proposal, notes=request.reason)
        text = (
            f"proposal {version}: {describe(wanted)}; somebody else than {request.by} must "
            "approve it"
        )
        return accepted(ReplyCode.PROPOSED, text, after, gates)


def decide(change: Change, state: Snapshot, measures: Measures, now: datetime) -> Decision:
    """Decide on a change with the measured figures."""
    considered = consider(change, state, now)
    return considered.decide(measures) if isinstance(considered, UpwardMove) else considered


def consider(change: Change, state: Snapshot, now: datetime) -> Decision | UpwardMove:
    """Decide on a change, or return the upward move whose gates must be checked."""
    try:
        wanted = change.effect(state, now)
        upward = raises(state, wanted)
        require_role(change, state, wanted, upward=upward)
        if (beside := _beside_the_state(change)) is not None:
            return beside
        if wanted == state:
            return accepted(ReplyCode.UNCHANGED, f"nothing to do: {describe(state)}")
        _require_a_provider(change.name, wanted)
        if upward:
            _require_fresh(change)
            _require_the_way_up(change, state, wanted)
            return UpwardMove(change, state, wanted, now)
    except ChangeRefused as refusal:
        return refused(refusal.code, str(refusal))
    if change.request.dry_run:
        return _dry_run(change, [], ())
    return _done(change, stamped(change, state, wanted, now), ())


def _dry_run(change: Change, shut: list[Gate], gates: tuple[Gate, ...]) -> Decision:
    verdict = "would pass" if not shut else f"would be refused by: {in_words(shut)}"
    return accepted(ReplyCode.DRY_RUN, f"{change.name} {verdict}", gates=gates)


def _done(change: Change, after: Snapshot, gates: tuple[Gate, ...]) -> Decision:
    held = "; automation is held until resume" if after.held else ""
    return accepted(ReplyCode.OK, f"{change.name}: now {describe(after)}{held}", after, gates)


def _beside_the_state(change: Change) -> Decision | None:
    """Decide on a change of alerts or suppressions; None: it is a change of the state."""
    match change:
        case Ack():
            return _acknowledged(change)
        case ConsentChange():
            return _wished(change.name, change.wish)
        case _:
            return None


def _acknowledged(change: Ack) -> Decision:
    (alert,) = change.meant
    if alert.acknowledged is not None:
        text = f"ack: {alert.acknowledged.by} acknowledged {alert.name} already"
        return accepted(ReplyCode.UNCHANGED, text)
    text = f"ack: {alert.name} acknowledged; it is not told again before it is over"
    return replace(accepted(ReplyCode.OK, text), acknowledges=alert.id)


def _wished(name: ChangeName, change: WishChange) -> Decision:
    left = ", ".join(named(each) for each in sorted(stopped(change.after))) or "nothing"
    text = f"{name}: {change.recipient.mask}: stopped now: {left}"
    if not change.changes:
        return accepted(ReplyCode.UNCHANGED, f"{text}, as before")
    return replace(accepted(ReplyCode.OK, text), wish=change)


def _wants_a_second(request: Request, state: Snapshot) -> bool:
    """Whether the move only becomes a proposal, which a person must approve."""
    settings = state.flags.migration
    return settings.require_approval if request.by == AUTOMATIC else settings.four_eyes


class MoveUp(NamedTuple):
    """A move upwards that is possible from here."""

    kind: type[Step | Advance]
    wanted: Snapshot
    """The state it would lead to."""


def moves_up(state: Snapshot, now: datetime) -> tuple[MoveUp, ...]:
    """The moves upwards from here, the smaller one first: `step` within the phase, `advance`."""
    moves = []
    for kind in (Step, Advance):
        try:
            moves.append(MoveUp(kind, kind(_NOBODY).effect(state, now)))
        except ChangeRefused:
            continue
    return tuple(moves)


def next_up(state: Snapshot, now: datetime) -> MoveUp | None:
    """The next move upwards, which is what automation does; None: there is none."""
    return next(iter(moves_up(state, now)), None)


def _require_a_provider(name: ChangeName, wanted: Snapshot) -> None:
    flags = wanted.flags
    alone = wanted.phase in LEGACY_ALONE
    if flags.legacy_enabled or (flags.target_enabled and not alone):
        return
    raise ChangeRefused(
        ReplyCode.NO_PROVIDER,
        f"{name}: would leave {describe(wanted)} without an enabled provider that has a "
        "role; enable the other one first",
    )


def _require_fresh(change: Change) -> None:
    age = change.request.age
    if not -UPWARD_LIFE <= age <= UPWARD_LIFE:
        raise ChangeRefused(
            ReplyCode.STALE,
            f"{change.name}: expected at most 30 s since it was issued, got "
            f"{age.total_seconds():.0f} s; issue it anew",
        )


def _require_the_way_up(change: Change, state: Snapshot, wanted: Snapshot) -> None:
    """Refuse to skip the first phase after a rollback by restoring an older state."""
    steep = state.phase is Phase.ROLLBACK and wanted.phase is not Phase.PARALLEL_SETUP
    if steep and change.request.override is None:
        raise ChangeRefused(
            ReplyCode.PHASE,
            f"{change.name} to {describe(wanted)}: from {state.phase} the way up starts at "
            f"{Phase.PARALLEL_SETUP}; advance, or override the gates with a reason",
        )
