"""An administrator: states brought about by real commands, over the real broker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from contracts import control
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from contracts.control import ControlCommand, ControlQuery, ControlReply
    from worker.broker.control_client import ControlClient

REASON: Final = "a test"
OVERRIDE: Final = "a test cannot wait"
_UP: Final = (
    Phase.ROLLBACK,
    Phase.NOT_STARTED,
    Phase.PARALLEL_SETUP,
    Phase.GRADUAL_MIGRATION,
    Phase.LEGACY_DEPRECATION,
    Phase.COMPLETE_MIGRATION,
)
WITHIN_S: Final = 20.0


class Steering:
    """Commands and queries with what every one of them needs filled in.

    Args:
        client: connected as who asks.
    """

    def __init__(self, client: ControlClient) -> None:
        self.client = client

    async def ask(
        self, kind: type[ControlQuery], within_s: float = WITHIN_S, **fields: Any
    ) -> ControlReply:
        """A query."""
        return await self.client.ask(kind(command_id=str(uuid4()), **fields), within_s)

    async def tell(
        self, kind: type[ControlCommand], within_s: float = WITHIN_S, **fields: Any
    ) -> ControlReply:
        """A command, whatever is answered."""
        return await self.client.ask(command(kind, **fields), within_s)

    async def do(self, kind: type[ControlCommand], **fields: Any) -> ControlReply:
        """A command that must be accepted; gates are overridden."""
        if "override_gates" in kind.model_fields:
            fields.setdefault("override_gates", OVERRIDE)
        reply = await self.tell(kind, **fields)
        assert reply.verdict == "accepted", reply
        return reply

    async def automation(self, *, rolls_back: bool) -> None:
        """Whether the monitor may go down by itself."""
        state = (await self.ask(control.Status)).state
        assert state is not None
        state.flags["SmsFeatureFlags"]["EnableAutomaticRollback"] = rolls_back
        await self.do(control.SetFlags, flags=state.flags)

    async def tolerate(self, **thresholds: float) -> None:
        """What counts as bad in itself."""
        state = (await self.ask(control.Status)).state
        assert state is not None
        state.flags["SmsFeatureFlags"]["RollbackThresholds"] |= thresholds
        await self.do(control.SetFlags, flags=state.flags)

    async def validation(self, **traffic: Any) -> None:
        """Whether, where to and how often probes are sent."""
        state = (await self.ask(control.Status)).state
        assert state is not None
        state.flags["MigrationSettings"]["ValidationTraffic"] |= traffic
        await self.do(control.SetFlags, flags=state.flags)

    async def to(self, phase: Phase, percentage: int) -> int:
        """Move to a phase and percentage; returns the version in force."""
        state = (await self.ask(control.Status)).state
        assert state is not None
        version = state.version
        while state.phase != phase:
            state = (await self.do(_towards(Phase(state.phase), phase))).state
            assert state is not None
            version = state.version
        if state.percentage != percentage:
            reply = await self.do(control.SetPercentage, percentage=percentage)
            assert reply.version is not None
            version = reply.version
        return version


def command(kind: type[ControlCommand], **fields: Any) -> ControlCommand:
    """A command issued now."""
    given = {"command_id": str(uuid4()), "issued_at": datetime.now(UTC), "reason": REASON}
    return kind(**given | fields)


def _towards(present: Phase, wanted: Phase) -> type[ControlCommand]:
    if wanted is Phase.ROLLBACK:
        return control.EmergencyRollback
    up = _UP.index(wanted) > _UP.index(present)
    return control.Advance if up else control.Rollback
