"""The monitor: reads the outcomes every 10 s, in every phase, and acts on the evidence.

Rules:
- Every replica runs one, without a leader. The replica that writes the checkpoint of a tick by
  compare-and-set owns the tick, and only the owner acts. A move is also appended to the control log
  by compare-and-set, so it never overwrites a manual command. After a conflict nothing is done, and
  the next tick looks again.
- The checkpoint is written before the move. If a monitor dies between them, the next tick still
  finds the alarm. The state shows which alarms were acted on.
- A hold is recorded once while it lasts, and again only after it was over for `AGAIN`.
- While the store is away nothing is known, so nothing is done.
- `domain.detection.automation` makes every automatic decision from data that is stored with it, so
  that the decision can be re-run.
- The owner of a tick that ends a health interval publishes the health reports, once per interval.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from contracts.codec import encode
from contracts.control import StateAnnouncement
from worker.domain.detection import evidence, tick
from worker.domain.detection.automatic_rollback import Action, HoldReason
from worker.domain.detection.automation import Inputs, decision_about, judged, wants_up
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.detection.rerun import shown
from worker.domain.migration.flags import RollbackPolicy
from worker.monitoring import automation_log
from worker.monitoring.automation_alerts import AutomationAlerts
from worker.monitoring.ticks import since
from worker.ports.store import StoreUnavailable, WriteConflict
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Protocol

    from worker.domain.detection.automatic_rollback import Judgement
    from worker.domain.detection.threshold_policy import Window
    from worker.domain.migration.gates import Measures
    from worker.domain.migration.snapshot import Snapshot
    from worker.monitoring.ticks import Ticks
    from worker.ports.alerts import Alerts
    from worker.ports.broker import Replier
    from worker.ports.clock import Clock
    from worker.ports.steering import ControlLog
    from worker.service import Background

    class Checkpoints(Protocol):
        """Stores the checkpoints of ticks."""

        async def read(self, lineage: str) -> Checkpoint | None:
            """The last checkpoint."""
            ...

        async def write(self, lineage: str, made: Checkpoint) -> bool:
            """Write the next checkpoint; False: another monitor did."""
            ...

        async def on_record(
            self, lineage: str, tick: int, hold_reason: HoldReason, at: datetime
        ) -> None:
            """Note that a hold is in the control log."""
            ...

    class Figures(Protocol):
        """Figures of the target."""

        async def since_change(self, state: Snapshot) -> Measures:
            """Figures since the present percentage began."""
            ...

        async def window(self, state: Snapshot, counts_from: datetime | None) -> Window:
            """Figures over the window of the policy `threshold`, for calls after `counts_from`."""
            ...


AGAIN: Final = timedelta(minutes=10)
_LOOK_S: Final = 1.0
_log = structlog.get_logger(__name__)


class Monitor(Loop):
    """A service that makes the ticks that no other replica has made.

    Args:
        log: the state in force; moves are appended to it.
        ticks: reads the new outcomes.
        checkpoints: stores the evidence so far.
        figures: figures for gates and thresholds.
        publish: publishes the health reports of an interval.
        replier: announces a new state.
        alerts: takes alerts about automatic actions.
        wake: makes this replica read the state.
        seen: gets the last checkpoint, whoever wrote it; None: it could not be read.
        clock: time.
        background: runs the loop.
    """

    def __init__(
        self,
        *,
        log: ControlLog,
        ticks: Ticks,
        checkpoints: Checkpoints,
        figures: Figures,
        publish: Callable[[], Awaitable[None]],
        replier: Replier,
        alerts: Alerts,
        wake: Callable[[], None],
        clock: Clock,
        background: Background,
        seen: Callable[[Checkpoint | None], None] = lambda _: None,
    ) -> None:
        super().__init__(background, "monitor")
        self._log = log
        self._ticks = ticks
        self._checkpoints = checkpoints
        self._figures = figures
        self._publish = publish
        self._replier = replier
        self._alerts = AutomationAlerts(alerts, clock)
        self._wake = wake
        self._seen = seen
        self._clock = clock

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as away:
                self._alerts.missed(str(away))
                self._seen(None)
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> Judgement | None:
        """Make the tick that is due, unless another monitor made it. Raises `StoreUnavailable`."""
        last = await self._log.last()
        if last is None:
            return None
        judgement = await self._tick(*last)
        self._alerts.looked()
        return judgement

    async def _tick(self, number: int, state: Snapshot) -> Judgement | None:
        before = await self._checkpoints.read(state.lineage)
        self._alerts.holds(before)
        self._seen(before)
        self._alerts.went_down(state)
        if before is not None and before.age_s < tick.TICK_S:
            return None
        now = _to_the_millisecond(self._clock.now())
        inputs, counted = await self._inputs(before, state, now)
        judgement, known = judged(inputs, state)
        holds = judgement.action is Action.HOLD
        lasting = {
            hold_reason: now for hold_reason in inputs.held if hold_reason is judgement.hold_reason
        }
        made = Checkpoint(
            tick=before.tick + 1 if before else 1,
            at=now,
            evidence=known,
            counted=counted,
            since=since(before, now),
            holding=judgement.reason if holds else None,
            hold_reason=judgement.hold_reason,
            holds={**before.holds, **lasting} if before else {},
        )
        if not await self._checkpoints.write(state.lineage, made):
            return None
        self._alerts.holds(made)
        self._seen(made)
        if before is not None and before.older_method is not None:
            await self._begun_anew(before.older_method, made, number, state)
            return judgement
        await self._act(judgement, made, inputs, number, state)
        if before is not None and _passed(before.at, now, state):
            await self._publish()
        return judgement

    async def _inputs(
        self, before: Checkpoint | None, state: Snapshot, now: datetime
    ) -> tuple[Inputs, Any]:
        tick, counted = await self._ticks.read(before, now)
        by_threshold = state.flags.rollback_policy is RollbackPolicy.THRESHOLD
        counts_from = _counts_from(before, state, now)
        inputs = Inputs(
            at=now,
            before=before.evidence if before else evidence.Evidence(),
            tick=tick,
            setting=self._ticks.setting(state),
            held=_lately(before, now),
            window=await self._figures.window(state, counts_from) if by_threshold else None,
        )
        return inputs, counted

    async def _begun_anew(self, older: int, made: Checkpoint, number: int, state: Snapshot) -> None:
        entry = automation_log.begun_anew(older, made, number + 1, state)
        with suppress(WriteConflict):  # another decision came first, and it stays
            await self._log.append(entry)
        text = str(entry.command["reason"])
        _log.warning("automatic", name="evidence-anew", text=text, version=state.version)

    # --- what is done --------------------------------------------------------------------

    async def _act(
        self, judgement: Judgement, made: Checkpoint, inputs: Inputs, number: int, state: Snapshot
    ) -> None:
        if wants_up(judgement, state, inputs.at):
            measures = await self._figures.since_change(state)
            inputs = replace(inputs, measures=replace(measures, evidence=None))
        decision = decision_about(judgement, made.evidence, inputs, state)
        if decision is None:
            return
        entry = automation_log.decided(decision, made, inputs, number + 1, state)
        try:
            await self._log.append(entry)
        except WriteConflict:
            return  # another decision came first, and it stays
        text = decision.decision.text
        _log.warning("automatic", name=decision.name, text=text, version=entry.after.version)
        if judgement.hold_reason is not None:
            await self._checkpoints.on_record(
                state.lineage, made.tick, judgement.hold_reason, made.at
            )
        if judgement.action.down:
            self._alerts.went_down(entry.after, shown(made.evidence))
        if entry.after.version != state.version:
            await self._announce(entry.after)
        if judgement.action is Action.GO_ON:
            self._alerts.went_up(text)

    async def _announce(self, after: Snapshot) -> None:
        self._wake()
        announcement = StateAnnouncement(
            version=after.version, lineage=uuid.UUID(after.lineage), at=self._clock.now()
        )
        await self._replier.announce_state(encode(announcement))


def _counts_from(before: Checkpoint | None, state: Snapshot, now: datetime) -> datetime | None:
    """The time of the tick from which on outcomes count; None: all count.

    The evidence began again with this state, or earlier failures were not the target's fault.
    """
    if before is None or before.evidence.anew != state.anew:
        return now
    known = before.evidence
    moments = [at for at in (known.anew_at, known.failed_from) if at is not None]
    return datetime.fromtimestamp(max(moments), UTC) if moments else None


def _lately(before: Checkpoint | None, now: datetime) -> tuple[HoldReason, ...]:
    return tuple(t for t, at in before.holds.items() if now - at < AGAIN) if before else ()


def _to_the_millisecond(now: datetime) -> datetime:
    """Cut a time as the store does, so that a decision is re-run at exactly the same time."""
    return now.replace(microsecond=now.microsecond // 1_000 * 1_000)


def _passed(before: datetime, now: datetime, state: Snapshot) -> bool:
    """Whether a health interval ended since the last tick."""
    every_s = state.flags.migration.health_interval_min * 60.0
    return before.timestamp() // every_s != now.timestamp() // every_s
