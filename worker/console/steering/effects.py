"""What a command would do, in sentences: from where to where, how many messages, who is fixed.

Rules: pure. What is not known is said to be not known. Who is fixed to a provider by an override is
named apart, because these messages do not move with the share. They move where their provider gets
or loses its role, and then that is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.console import wording
from worker.console.steering.overrides import Overrides, destination, overrides
from worker.domain.migration import effect
from worker.domain.migration.phases import Role
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.answers import PreviewAnswer
    from contracts.control_views import ProposalView, StateView
    from worker.domain.migration.effect import Names

_LONGEST_KEY: Final = 40
_ONLY_PROPOSED: Final = "This only proposes it: nothing changes until somebody else approves."


def effects(preview: PreviewAnswer, before: StateView | None, names: Names) -> tuple[str, ...]:
    """The sentences, the most important first."""
    if preview.code == ReplyCode.UNCHANGED:
        return ("It is so already: nothing changes.",)
    lines = [_share(preview, names)]
    if before is not None and preview.after is not None:
        if (made := proposal_made(before, preview.after)) is not None:
            return (*lines, *_phase(before.phase, made.phase), _ONLY_PROPOSED)
        lines += _phase(before.phase, preview.after.phase)
        lines += _overridden(before, preview.after, names)
    return tuple(lines)


def proposal_made(before: StateView | None, after: StateView) -> ProposalView | None:
    """The proposal that a command makes instead of the move itself; None: it makes none."""
    made = after.proposed
    return made if before is None or made != before.proposed else None


def _share(preview: PreviewAnswer, names: Names) -> str:
    before, after = preview.share_before, preview.share_after
    if before == after:
        return f"{names.target} keeps {after} %."
    moved = effect.movement(preview.messages_per_hour, before, after, names)
    return f"{names.target} goes from {before} % to {after} %: {moved}."


def _phase(before: str, after: str) -> Iterator[str]:
    if after != before:
        yield f"The phase becomes {wording.phase(after)}."


def _overridden(before: StateView, after: StateView, names: Names) -> Iterator[str]:
    old, new = overrides(before), overrides(after)
    called = {Role.TARGET: names.target, Role.LEGACY: names.legacy}
    for role in Role:
        yield from _set(new.towards(role).without(old.towards(role)), called[role])
    yield from _cleared(old.without_keys_of(new))
    kept = old.same_in(new)
    for role in Role:
        there, then = destination(role, before), destination(role, after)
        if there is not then and kept.towards(role):
            moved = kept.towards(role)
            verb = _one(moved, "goes", "go")
            yield f"{_who(moved)} fixed to {called[role]} {verb} to {called[then]} too."
            kept = kept.without(moved)
    if kept and (before.share, before.percentage) != (after.share, after.percentage):
        verbs = _one(kept, "is fixed and does", "are fixed and do")
        yield f"{_who(kept)} {verbs} not move."


def _set(changed: Overrides, provider: str) -> Iterator[str]:
    if changed:
        yield f"{_named(changed)} {_one(changed, 'is', 'are')} fixed to {provider}."


def _cleared(changed: Overrides) -> Iterator[str]:
    if changed:
        yield f"{_named(changed)} {_one(changed, 'is', 'are')} not fixed any more."


def _named(changed: Overrides) -> str:
    """Name the one who is meant; several are counted."""
    if len(changed) > 1:
        return _who(changed)
    what, keys = ("User", changed.users) if changed.users else ("Branch", changed.branches)
    return f"{what} {next(iter(keys))[:_LONGEST_KEY]}"


def _who(changed: Overrides) -> str:
    return effect.fixed(len(changed.users), len(changed.branches))


def _one(changed: Overrides, one: str, more: str) -> str:
    return one if len(changed) == 1 else more
