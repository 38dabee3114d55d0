"""The monitor: looks at the outcomes every 10 s, in every phase, and acts on the evidence.

Rules:
- Every replica runs one; no leader. A tick belongs to whoever writes its checkpoint by
  compare-and-set, and only its owner acts. A move is appended to the control log by compare-and-set
  too, so a manual command is never overwritten: on a clash nothing is done, the next tick looks
  again.
- The checkpoint is written before the move: whoever dies between them leaves an alarm that the next
  tick finds. What was acted on is told from the state itself (`evidence.observe`), and so are
  people: every replica alerts what the state and the checkpoint say, under one id.
- A hold goes on record once while it lasts, and again only when it was over for `AGAIN`.
- Store away: nothing is known, so nothing is done.
- Every automatic decision is made by `domain.automation` from what is stored with it, and can be
  replayed.
- The owner of a tick that passes a health interval publishes the reports: one an interval.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from contracts.codec import encode
from contracts.control import StateAnnouncement
from worker.control import views
from worker.domain import evidence
from worker.domain.automation import Inputs, judged, ruled, wants_up
from worker.domain.effects import place
from worker.domain.flags import AUTOMATIC, RollbackPolicy
from worker.domain.judgement import Action, Topic
from worker.domain.phases import Phase
from worker.domain.recorded import recorded, shown
from worker.ports import Checkpoint, Clash, LogEntry, StoreAway
from worker.service import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from typing import Protocol

    from worker.control.ticks import Ticks
    from worker.domain.automation import Decision
    from worker.domain.flags import Snapshot
    from worker.domain.gates import Measures
    from worker.domain.judgement import Judgement, Window
    from worker.ports import Alerts, Clock, ControlLog, Replier
    from worker.service import Background

    class Checkpoints(Protocol):
        """Where the ticks are kept."""

        async def read(self, lineage: str) -> Checkpoint | None:
            """The last one."""
            ...

        async def write(self, lineage: str, made: Checkpoint) -> bool:
            """Write the next one; False: another monitor did."""
            ...

        async def on_record(self, lineage: str, tick: int, topic: Topic, at: datetime) -> None:
            """Note that a hold stands in the control log."""
            ...

    class Figures(Protocol):
        """Figures of the target."""

        async def since_change(self, state: Snapshot) -> Measures:
            """Since the present percentage began."""
            ...

        async def window(self, state: Snapshot) -> Window:
            """Over the window of the policy `threshold`."""
            ...


AGAIN: Final = timedelta(minutes=10)
NEWS: Final = timedelta(hours=1)
"""Whoever starts later than that tells no more of what automation did."""
BLIND_S: Final = 60.0
_BLIND: Final = "monitor-blind"
_LOOK_S: Final = 1.0
_NAMESPACE: Final = uuid.UUID("6f0f7a39-1d0c-5d58-9d1e-8f0f4a4f1b52")
_ALERTED: Final = frozenset(Topic) - {Topic.ACCOUNT}
"""Who was told of a fault of the account alerts by himself, at once."""
_SUGGESTED: Final = {
    Topic.ROLLBACK_WANTED: "sms-worker ctl rollback",
    Topic.NO_WAY_BACK: "sms-worker ctl emergency-rollback",
}
_log = structlog.get_logger(__name__)


class Monitor(Loop):
    """A service that makes the ticks nobody else made.

    Args:
        log: what is in force, and where moves are appended.
        ticks: what became known.
        checkpoints: the evidence so far.
        figures: for gates and thresholds.
        publish: publishes the reports of a health interval.
        replier: announces a new state.
        alerts: told of what was done.
        wake: has this replica look at the state.
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
    ) -> None:
        super().__init__(background, "monitor")
        self._log = log
        self._ticks = ticks
        self._checkpoints = checkpoints
        self._figures = figures
        self._publish = publish
        self._replier = replier
        self._alerts = alerts
        self._wake = wake
        self._clock = clock
        self._told: datetime | None = None
        self._looked = clock.monotonic()

    async def run(self) -> None:
        """See `Loop.run`."""
        while True:
            try:
                await self.look()
            except StoreAway as away:
                self.missed(str(away))
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> Judgement | None:
        """Make the tick that is due, unless another monitor made it. Raises `StoreAway`."""
        last = await self._log.last()
        if last is None:
            return None
        found = await self._tick(*last)
        self._looked = self._clock.monotonic()
        self._alerts.over(_BLIND, "the outcomes are looked at again")
        return found

    async def _tick(self, number: int, state: Snapshot) -> Judgement | None:
        before = await self._checkpoints.read(state.lineage)
        self._show(before)
        self._tell_of_a_way_down(state)
        if before is not None and before.age_s < evidence.TICK_S:
            return None
        now = _to_the_millisecond(self._clock.now())
        inputs, counted = await self._inputs(before, state, now)
        found, known = judged(inputs, state)
        holds = found.action is Action.HOLD
        lasting = {topic: now for topic in inputs.held if topic is found.topic}
        made = Checkpoint(
            tick=before.tick + 1 if before else 1,
            at=now,
            evidence=known,
            counted=counted,
            holding=found.reason if holds else None,
            topic=found.topic,
            holds={**before.holds, **lasting} if before else {},
        )
        if not await self._checkpoints.write(state.lineage, made):
            return None
        self._show(made)
        await self._act(found, made, inputs, number, state)
        if before is not None and _passed(before.at, now, state):
            await self._publish()
        return found

    def missed(self, why: str) -> None:
        """A look that came to nothing; after a minute of them somebody must know."""
        _log.warning("no evidence: the store is away", error=why)
        if self._clock.monotonic() - self._looked > BLIND_S:
            text = (
                f"no look at the outcomes for over {BLIND_S:g} s ({why}): nothing moves by itself"
            )
            self._alerts.raised(_BLIND, text, severity="warning")

    def _show(self, seen: Checkpoint | None) -> None:
        """Every replica alerts what automation holds for: it outlives whoever saw it begin."""
        if seen is None:
            return
        for topic in _ALERTED - {seen.topic}:
            self._alerts.over(topic, "automation goes on")
        if seen.topic in _ALERTED:
            self._alerts.raised(
                seen.topic,
                str(seen.holding),
                suggested_command=_SUGGESTED.get(seen.topic, "sms-worker ctl status"),
                evidence=shown(seen.evidence),
            )

    async def _inputs(
        self, before: Checkpoint | None, state: Snapshot, now: datetime
    ) -> tuple[Inputs, Any]:
        tick, counted = await self._ticks.read(before, now)
        by_threshold = state.flags.rollback_policy is RollbackPolicy.THRESHOLD
        inputs = Inputs(
            at=now,
            before=before.evidence if before else evidence.Evidence(),
            tick=tick,
            setting=self._ticks.setting(state),
            held=_lately(before, now),
            window=await self._figures.window(state) if by_threshold else None,
        )
        return inputs, counted

    # --- what is done --------------------------------------------------------------------

    async def _act(
        self, found: Judgement, made: Checkpoint, inputs: Inputs, number: int, state: Snapshot
    ) -> None:
        if wants_up(found, state, inputs.at):
            measures = await self._figures.since_change(state)
            inputs = replace(inputs, measures=replace(measures, evidence=None))
        decision = ruled(found, made.evidence, inputs, state)
        if decision is None:
            return
        entry = _entry(decision, made, inputs, number + 1, state)
        try:
            await self._log.append(entry)
        except Clash:
            return  # somebody else decided meanwhile, and stands
        text = decision.ruling.text
        _log.warning("automatic", name=decision.name, text=text, version=entry.after.version)
        if found.topic is not None:
            await self._checkpoints.on_record(state.lineage, made.tick, found.topic, made.at)
        if found.action.down:
            self._tell_of_a_way_down(entry.after, shown(made.evidence))
        if entry.after.version != state.version:
            await self._announce(entry.after)
        if found.action is Action.GO_ON:
            self._alerts.told("state", text, suggested_command="sms-worker ctl status")

    async def _announce(self, after: Snapshot) -> None:
        self._wake()
        announcement = StateAnnouncement(
            version=after.version, lineage=uuid.UUID(after.lineage), at=self._clock.now()
        )
        await self._replier.announce_state(encode(announcement))

    def _tell_of_a_way_down(self, state: Snapshot, figures: dict[str, str] | None = None) -> None:
        """From the state, so that nothing is lost with whoever decided; once a process."""
        downs = state.automatic_downs
        if not downs or state.since != downs[-1] or self._told == state.since:
            return
        if self._clock.now() - downs[-1] > NEWS:
            return
        self._told = state.since
        self._alerts.told(
            "automatic-rollback" if state.phase is Phase.ROLLBACK else "automatic-step-back",
            f"now {place(state)}: {state.notes}",
            severity="critical",
            suggested_command="sms-worker ctl history",
            evidence=figures,
            ident=str(uuid.uuid5(_NAMESPACE, f"{state.lineage} {downs[-1].isoformat()}")),
        )


def _entry(
    decision: Decision, made: Checkpoint, inputs: Inputs, number: int, state: Snapshot
) -> LogEntry:
    ruling = decision.ruling
    ident = str(uuid.uuid5(_NAMESPACE, f"{state.lineage} {made.tick} {decision.name}"))
    return LogEntry(
        number=number,
        user=AUTOMATIC,
        command_id=ident,
        command={"name": decision.name, "commandId": ident, "reason": ruling.text},
        verdict="accepted",
        before=state,
        after=ruling.after or state,
        reply={"code": ruling.code, "text": ruling.text, "at": inputs.at.isoformat()},
        evidence={
            "gates": [views.gate(gate).model_dump() for gate in ruling.gates],
            **recorded(inputs, made.evidence),
        },
    )


def _lately(before: Checkpoint | None, now: datetime) -> tuple[Topic, ...]:
    return tuple(t for t, at in before.holds.items() if now - at < AGAIN) if before else ()


def _to_the_millisecond(now: datetime) -> datetime:
    """As the store keeps it: a decision is replayed at the very moment it was made."""
    return now.replace(microsecond=now.microsecond // 1_000 * 1_000)


def _passed(before: datetime, now: datetime, state: Snapshot) -> bool:
    """Whether a health interval ended since the tick before."""
    every_s = state.flags.migration.health_interval_min * 60.0
    return before.timestamp() // every_s != now.timestamp() // every_s
