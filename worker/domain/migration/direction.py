"""The share in force, and whether a change of state leads upwards or downwards.

Rules: pure; each function compares the state before with the state after.
- `raises`: more messages may go to the target than before, or a later phase begins.
- `lowers`: the target loses traffic, its role, or a phase it had reached.
- `begins_anew`: outcomes from before the change are no evidence about the time after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.domain.migration.phases import FULL_SHARE, LEGACY_ALONE, WAY_UP, Phase, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.domain.migration.snapshot import Snapshot


def share(state: Snapshot) -> int:
    """The target's share of the traffic without overrides, in per cent."""
    if state.phase in LEGACY_ALONE or not state.flags.target_enabled:
        return 0
    return state.percentage if state.flags.legacy_enabled else FULL_SHARE


def last_proven(state: Snapshot) -> int | None:
    """The highest proven share below the present one that a phase reached so far allows."""
    rules = [state.flags.phases[phase] for phase in WAY_UP[: _height(state.phase) + 1]]
    lower = (each for each in state.proven if 0 < each < share(state))
    return max((each for each in lower if any(rule.allows(each) for rule in rules)), default=None)


def has_role(state: Snapshot) -> bool:
    """Whether the target may be chosen at all, also as fallback or by an override."""
    return state.phase not in LEGACY_ALONE and state.flags.target_enabled


def raises(before: Snapshot, after: Snapshot) -> bool:
    """Whether more messages may go to the target than before, or a later phase begins.

    A later phase allows more at its next step, so its requirements count at any share.
    """
    if not has_role(after):
        return False
    if share(after) > share(before) or not has_role(before):
        return True
    if _height(after.phase) > _height(before.phase):
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


def lowers(before: Snapshot, after: Snapshot) -> bool:
    """Whether the target loses traffic, its role, or a phase it had reached."""
    return _takes_away(before, after) or _height(after.phase) < _height(before.phase)


def begins_anew(before: Snapshot, after: Snapshot, *, overridden: bool) -> bool:
    """Whether evidence from before the change does not count after it.

    Args:
        before: the state that was in force.
        after: the state that follows.
        overridden: whether a person overrode the gates, and so knew the objections to the move.
    """
    begins = share(before) == 0 and share(after) > 0
    return (
        _takes_away(before, after)
        or begins
        or (overridden and _climbs(before, after))
        or _judged_otherwise(before, after)
    )


def _takes_away(before: Snapshot, after: Snapshot) -> bool:
    return share(after) < share(before) or (has_role(before) and not has_role(after))


def _climbs(before: Snapshot, after: Snapshot) -> bool:
    return share(after) > share(before) or _height(after.phase) > _height(before.phase)


def _judged_otherwise(before: Snapshot, after: Snapshot) -> bool:
    """Whether automation may roll back from now on, or by another policy than before.

    Outcomes from before such a change must not cause a rollback.
    """
    old, new = before.flags, after.flags
    switched_on = new.automatic_rollback and not old.automatic_rollback
    way_back = new.legacy_enabled and not old.legacy_enabled
    return switched_on or way_back or new.rollback_policy is not old.rollback_policy


def _height(phase: Phase) -> int:
    return -1 if phase in LEGACY_ALONE else WAY_UP.index(phase)
