"""The monitor: looks at the outcomes every 10 s, in every phase, and acts on the evidence.

Rules:
- Every replica runs one; no leader. A tick belongs to whoever writes its checkpoint by
  compare-and-set, and only its owner acts. A move is appended to the control log by compare-and-set
  too, so a manual command is never overwritten: on a clash nothing is done, the next tick looks
  again.
- The checkpoint is written before the move: whoever dies between them leaves an alarm that the next
  tick finds. What was acted on is told from the state itself (`evidence.observe`).
- What of each slot was counted is remembered for `HORIZON`: slots written late count once.
- Store away: nothing is known, so nothing is done.
- Every automatic decision is stored with what it was made on, and can be replayed.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog

from contracts.codec import encode
from contracts.control import StateAnnouncement
from worker.control import views
from worker.domain import evidence, judgement
from worker.domain.effects import Order, Rank, place
from worker.domain.evidence import Judged, Seen, Side, Tick
from worker.domain.flags import RollbackPolicy
from worker.domain.judgement import Action, Judgement, Window
from worker.domain.phases import Role
from worker.domain.steering import AUTOMATIC, Ruling, decide, next_up, share
from worker.ports import Checkpoint, Clash, LogEntry, StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import Literal, Protocol

    from worker.domain.evidence import Evidence, Setting
    from worker.domain.flags import Snapshot
    from worker.domain.gates import Gate, Measures
    from worker.ports import Beat, Clock, ControlLog, Provider, Replicas, Replier
    from worker.service import Background

    class Alerts(Protocol):
        """Where alerts go."""

        def told(
            self,
            code: str,
            reason: str,
            *,
            severity: Literal["info", "warning", "critical"] = "info",
            suggested_command: str | None = None,
            evidence: dict[str, str] | None = None,
        ) -> None:
            """Something happened."""
            ...

        def raised(
            self,
            code: str,
            reason: str,
            *,
            suggested_command: str | None = None,
            evidence: dict[str, str] | None = None,
        ) -> None:
            """Something began."""
            ...

        def over(self, code: str, reason: str) -> None:
            """It ended."""
            ...

    class Slots(Protocol):
        """Sums of every replica."""

        async def recent(
            self, since: datetime, names: Sequence[str]
        ) -> list[tuple[str, int, dict[str, int]]]:
            """Slots from then on: provider, start, sums."""
            ...

    class Checkpoints(Protocol):
        """Where the ticks are kept."""

        async def read(self, lineage: str) -> Checkpoint | None:
            """The last one."""
            ...

        async def write(self, lineage: str, made: Checkpoint) -> bool:
            """Write the next one; False: another monitor did."""
            ...

    class Measures_(Protocol):  # noqa: N801 - the port, beside the value of that name
        """Figures of the target."""

        async def since_change(self, state: Snapshot) -> Measures:
            """Since the present percentage began."""
            ...

        async def window(self, minutes: float) -> Window:
            """Over the last minutes."""
            ...


HORIZON: Final = timedelta(minutes=10)
_LOOK_S: Final = 1.0
_NAMESPACE: Final = uuid.UUID("6f0f7a39-1d0c-5d58-9d1e-8f0f4a4f1b52")
_NAMES: Final = (
    "eligible_ok",
    "eligible_failed",
    "eligible_slow",
    "eligible_delivered",
    "eligible_undelivered",
    "eligible_unreported",
    "accepted",
    "not_sent_provider",
    "not_sent_account",
    "unknown",
    "skipped",
)
_log = structlog.get_logger(__name__)
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class _Tick:
    """One tick and what it was made of."""

    before: Evidence
    tick: Tick
    setting: Setting
    after: Evidence

    def recorded(self) -> dict[str, Any]:
        """As stored with a decision: enough to make it again."""
        return {
            "method": evidence.METHOD,
            "before": judgement.document(self.before),
            "tick": judgement.document(self.tick),
            "setting": judgement.document(self.setting),
            "after": judgement.document(self.after),
            "shown": judgement.shown(self.after),
        }


class Monitor:
    """A service that makes the ticks nobody else made.

    Args:
        log: what is in force, and where moves are appended.
        slots: outcomes of all replicas.
        checkpoints: the evidence so far.
        replicas: their breakers.
        measuring: figures for gates and thresholds.
        target: whether it gives reports.
        legacy: asked for its account before the breaker rule acts.
        replier: announces a new state.
        alerts: told of what was done.
        wake: has this replica look at the state.
        clock: time.
        background: runs the loop.
        delivery_age_s: when an accepted message is judged, seconds.
    """

    def __init__(
        self,
        *,
        log: ControlLog,
        slots: Slots,
        checkpoints: Checkpoints,
        replicas: Replicas,
        measuring: Measures_,
        target: Provider,
        legacy: Provider,
        replier: Replier,
        alerts: Alerts,
        wake: Callable[[], None],
        clock: Clock,
        background: Background,
        delivery_age_s: float,
    ) -> None:
        self._log = log
        self._slots = slots
        self._checkpoints = checkpoints
        self._replicas = replicas
        self._measuring = measuring
        self._target = target
        self._legacy = legacy
        self._replier = replier
        self._alerts = alerts
        self._wake = wake
        self._clock = clock
        self._background = background
        self._delivery_age_s = delivery_age_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = self._background.spawn(self._watch(), "monitor")

    async def drain(self) -> None:
        """A tick is short and needs no end."""

    async def stop(self) -> None:
        """End. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except StoreAway as away:
                _log.warning("no evidence: the store is away", error=str(away))
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> Judgement | None:
        """Make the tick that is due, unless another monitor made it. Raises `StoreAway`."""
        last = await self._log.last()
        if last is None:
            return None
        number, state = last
        before = await self._checkpoints.read(state.lineage)
        if before is not None and before.holding is None:
            self._alerts.over("hold", "automation goes on")
        elif before is not None and before.holding is not None:
            self._alerts.raised("hold", before.holding)  # it outlives whoever began it
        now = self._clock.now()
        if before is not None and now - before.at < timedelta(seconds=evidence.TICK_S):
            return None
        made, counted = await self._observe(before, state, now)
        found = await self._judged(made.after, state)
        holding = found.reason if found.action is Action.HOLD else None
        tick = before.tick + 1 if before else 1
        checkpoint = Checkpoint(tick, now, made.after, counted, holding)
        if not await self._checkpoints.write(state.lineage, checkpoint):
            return None
        began = holding is not None and (before is None or before.holding is None)
        await self._act(found, made, number, state, tick, began=began)
        return found

    # --- what was seen -------------------------------------------------------------------

    async def _observe(
        self, before: Checkpoint | None, state: Snapshot, now: datetime
    ) -> tuple[_Tick, dict[str, Counts]]:
        rows = await self._slots.recent(now - HORIZON, _NAMES)
        counted = {f"{provider} {at}": sums for provider, at, sums in rows}
        seen = counted if before is None else before.counted  # what was there before we began
        target = _since(counted, seen, self._target.id)
        legacy = _since(counted, seen, self._legacy.id)
        broken, answers = await self._breakers()
        tick = Tick(
            at=now.timestamp(),
            target=_side(target),
            legacy=_side(legacy),
            legacy_all=_all(legacy),
            breaker_open=broken,
            legacy_answers=answers,
        )
        setting = judgement.setting_of(
            state,
            {Role.TARGET: self._target.gives_reports, Role.LEGACY: self._legacy.gives_reports},
            self._delivery_age_s,
        )
        known = before.evidence if before else evidence.Evidence()
        return _Tick(known, tick, setting, evidence.observe(known, tick, setting)), counted

    async def _breakers(self) -> tuple[bool, bool]:
        """Whether most replicas call the target broken; then, whether legacy answers."""
        beats = await self._replicas.list()
        broken = _most(beats, self._target.id)
        if not broken:
            return False, False
        answers = not _most(beats, self._legacy.id) and (await self._legacy.check()).ok
        return True, answers

    async def _judged(self, known: Evidence, state: Snapshot) -> Judgement:
        if state.flags.rollback_policy is RollbackPolicy.EVIDENCE:
            return judgement.judge(known, state)
        window = await self._measuring.window(state.flags.thresholds.window_min)
        return judgement.judge_window(window, state)

    # --- what is done --------------------------------------------------------------------

    async def _act(
        self, found: Judgement, made: _Tick, number: int, state: Snapshot, tick: int, *, began: bool
    ) -> None:
        if not found.action.down:
            self._alerts.over("rollback-wanted", "the evidence asks for it no more")
        if found.action is Action.HOLD:
            if began:
                await self._hold(found, made, number, state, tick)
        elif found.action.down:
            await self._down(found, made, number, state, tick)
        elif state.flags.migration.auto_advance and not state.held:
            await self._up(made, number, state, tick)

    async def _hold(
        self, found: Judgement, made: _Tick, number: int, state: Snapshot, tick: int
    ) -> None:
        ruling = Ruling(True, "hold", found.reason)  # noqa: FBT003 - accepted
        if await self._append("hold", ruling, made, number, state, tick):
            self._alerts.raised(
                "hold",
                found.reason,
                suggested_command="sms-worker ctl status",
                evidence=judgement.shown(made.after),
            )

    async def _down(
        self, found: Judgement, made: _Tick, number: int, state: Snapshot, tick: int
    ) -> None:
        if not state.flags.automatic_rollback:
            self._alerts.raised(
                "rollback-wanted",
                f"{found.action}: {found.reason}; EnableAutomaticRollback is false",
                suggested_command="sms-worker ctl rollback",
                evidence=judgement.shown(made.after),
            )
            return
        after = judgement.went_down(found, state, self._clock.now())
        name = "automatic-rollback" if found.action is Action.ROLL_BACK else "automatic-step-back"
        text = f"{found.action}: {place(state)} -> {place(after)}: {found.reason}"
        ruling = Ruling(True, name, text, after)  # noqa: FBT003 - accepted
        if await self._append(name, ruling, made, number, state, tick):
            self._alerts.told(
                name,
                text,
                severity="critical",
                suggested_command="sms-worker ctl history",
                evidence=judgement.shown(made.after),
            )

    async def _up(self, made: _Tick, number: int, state: Snapshot, tick: int) -> None:
        """The next move upwards, where every gate is open; with approval, its proposal."""
        now = self._clock.now()
        waiting = state.proposal is not None and now < state.proposal.expires_at
        following = next_up(state, now)
        if following is None or waiting or not share(state):
            return
        order = Order(following[0], AUTOMATIC, Rank.ADMINISTRATOR, "every gate is open")
        ruling = decide(order, state, await self._measuring.since_change(state), now)
        if ruling.after is None or not ruling.accepted:
            return
        if await self._append(f"automatic-{order.name}", ruling, made, number, state, tick):
            self._alerts.told("state", ruling.text, suggested_command="sms-worker ctl status")

    async def _append(  # noqa: PLR0917 - what an entry is made of
        self, name: str, ruling: Ruling, made: _Tick, number: int, state: Snapshot, tick: int
    ) -> bool:
        """Append a decision; False: somebody else decided meanwhile, and stands."""
        after, now = ruling.after or state, self._clock.now()
        ident = str(uuid.uuid5(_NAMESPACE, f"{state.lineage} {tick} {name}"))
        entry = LogEntry(
            number=number + 1,
            user=AUTOMATIC,
            command_id=ident,
            command={"name": name, "commandId": ident, "reason": ruling.text},
            verdict="accepted",
            before=state,
            after=after,
            reply={"code": ruling.code, "text": ruling.text, "at": now.isoformat()},
            evidence={"gates": _shown(ruling.gates), **made.recorded()},
        )
        try:
            await self._log.append(entry)
        except Clash:
            return False
        _log.warning("automatic", name=name, text=ruling.text, version=after.version)
        if after.version != state.version:
            self._wake()
            announcement = StateAnnouncement(
                version=after.version, lineage=uuid.UUID(after.lineage), at=now
            )
            await self._replier.announce_state(encode(announcement))
        return True


def _shown(gates: tuple[Gate, ...]) -> list[dict[str, Any]]:
    return [views.gate(gate).model_dump() for gate in gates]


def _since(
    counted: Mapping[str, Counts], seen: Mapping[str, Mapping[str, int]], provider: str
) -> Counts:
    """What a provider's slots hold beyond what was counted."""
    sums = dict.fromkeys(_NAMES, 0)
    for key, counts in counted.items():
        if key.rpartition(" ")[0] == provider:
            before = seen.get(key, {})
            for name in _NAMES:
                sums[name] += max(0, counts[name] - before.get(name, 0))
    return sums


def _side(new: Counts) -> Side:
    delivered, undelivered = new["eligible_delivered"], new["eligible_undelivered"]
    return Side(
        failed=Seen(new["eligible_failed"], new["eligible_ok"] + new["eligible_failed"]),
        slow=Seen(new["eligible_slow"], new["eligible_ok"]),
        judged=Judged(
            undelivered,
            delivered + undelivered,
            delivered + undelivered - new["eligible_unreported"],
        ),
    )


def _all(new: Counts) -> Seen:
    errors = new["not_sent_provider"] + new["not_sent_account"] + new["unknown"] + new["skipped"]
    return Seen(errors, errors + new["accepted"])


def _most(beats: Sequence[Beat], provider: str) -> bool:
    """Whether a provider's breaker is not closed on more than half of the replicas."""
    states = [beat.heartbeat.breakers.get(provider, "closed") for beat in beats]
    return 2 * sum(state != "closed" for state in states) > len(states)
