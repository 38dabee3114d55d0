"""Decides on a command in a state, for the command itself and for its preview alike.

Rules: nothing is recorded, announced or changed here. A preview and the command it previews get the
same decision, because both ask here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from worker.domain.migration.change_names import DOWNWARD, RELATIVE
from worker.domain.migration.change_refused import ChangeRefused
from worker.domain.migration.decide import Decision, UpwardMove, consider, refused
from worker.domain.migration.gates import Measures
from worker.domain.migration.reply_codes import ReplyCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from contracts.control import Command
    from worker.control.translate import Translator
    from worker.domain.migration.changes import Change
    from worker.domain.migration.snapshot import Snapshot
    from worker.ports.clock import Clock

_OVERRIDE: Final = "a preview"


@dataclass(frozen=True, slots=True)
class Considered:
    """The decision on a change."""

    decision: Decision
    move: UpwardMove | None = None
    """The move upwards whose gates were asked; None: no gates were asked."""

    @property
    def after(self) -> Snapshot | None:
        """The state after it, were all gates open; None: the state would not change."""
        if self.decision.after is None and self.move is not None:
            return self.move.if_open().after
        return self.decision.after


@dataclass(frozen=True, slots=True)
class Deciding:
    """Decides on commands.

    Args:
        translator: from commands to changes.
        measures: reads the figures for the gates, given the state in force. Raises
            `StoreUnavailable`.
        clock: time.
    """

    translator: Translator
    measures: Callable[[Snapshot], Awaitable[Measures]]
    clock: Clock

    async def decide(
        self, command: Command, user: str, state: Snapshot, *, moved: bool = False
    ) -> Decision:
        """Decide on a command. Raises `StoreUnavailable`.

        Args:
            command: as it came.
            user: verified by the broker.
            state: in force.
            moved: whether another state was in force when it was first decided.
        """
        change = await self.change(command, user, state, moved=moved)
        if isinstance(change, Decision):
            return change
        return (await self.considered(change, state)).decision

    async def change(
        self, command: Command, user: str, state: Snapshot, *, moved: bool = False
    ) -> Change | Decision:
        """Return the change that a command asks for, or the refusal if it asks for none."""
        expected = command.expected_version
        stale = expected is not None and expected != state.version
        if command.name not in DOWNWARD and (stale or (moved and command.name in RELATIVE)):
            was = expected if stale else "the one that it was decided on"
            text = (
                f"{command.name}: expected version {was}, {state.version} is in force; "
                "look at the status and ask again"
            )
            return refused(ReplyCode.VERSION, text)
        try:
            return await self.translator.change(command, user, self.clock.now())
        except ChangeRefused as refusal:
            return refused(refusal.code, str(refusal))

    def overriding(self, change: Change, state: Snapshot) -> Decision:
        """Decide on a change as if its gates were overridden, which needs no figures."""
        request = replace(change.request, override=_OVERRIDE)
        found = consider(replace(change, request=request), state, self.clock.now())
        return found.decide(Measures()) if isinstance(found, UpwardMove) else found

    async def considered(self, change: Change, state: Snapshot) -> Considered:
        """Decide on a change by the gates as they are now. Raises `StoreUnavailable`."""
        found = consider(change, state, self.clock.now())
        if isinstance(found, UpwardMove):  # only these need figures
            return Considered(found.decide(await self.measures(state)), found)
        return Considered(found)
