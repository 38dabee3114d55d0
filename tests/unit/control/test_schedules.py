"""Two active handlers over one log, killed between any two steps: the history stays linear.

Each seed is a schedule: who goes on at each step, where a replica dies, where the store answers
too late (what it was asked to do may be done), which deliveries come twice and in which order.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from contracts import control
from contracts.control import ControlReply
from tests.support.control_fakes import PROVEN, MemoryLog, Told, asked, begun, handler
from tests.support.fakes import HandClock
from worker.domain.migration.change_names import DOWNWARD
from worker.domain.migration.gates import Measures
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from worker.domain.migration.control_log import LogEntry
    from worker.ports.broker import Incoming

SCHEDULES, BATCHES = 1_000, 20
FINE = Measures(
    evidence=PROVEN,
    accepted=10_000,
    errors=0,
    p95_ms=150.0,
    delivered=5_000,
    judged=5_000,
    account_ok=True,
)
SURE = {"override_gates": "a test"}


class Killed(Exception):  # noqa: N818 - what happens to a replica, no failure of ours
    """The replica died here."""


@dataclass
class Schedule:
    """One run: a queue with unacknowledged redelivery, and two replicas that die and return."""

    seed: int
    clock: HandClock = field(default_factory=HandClock)
    entries: list[LogEntry] = field(default_factory=list)
    waiting: list[Incoming] = field(default_factory=list)
    answers: dict[tuple[str, str], list[ControlReply]] = field(default_factory=dict)
    kills: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.trouble = True

    async def between(self) -> None:
        """What may happen between any two steps."""
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)
        dice = self.random.random() if self.trouble else 1.0
        if dice < 0.04:
            self.kills += 1
            raise Killed
        if dice < 0.06:
            raise StoreUnavailable("test")

    async def turn(self) -> None:
        """As `between`, where no store is asked."""
        try:
            await self.between()
        except StoreUnavailable:
            return

    async def replica(self) -> None:
        """Take one delivery at a time; a death leaves it to be delivered again."""
        while self.waiting:
            incoming = self.waiting.pop(self.random.randrange(len(self.waiting)))
            log, told = MemoryLog(self.clock, self.entries), Told()
            log.between, told.between = self.between, self.turn
            try:
                await handler(log, told, FINE)(incoming)
            except Killed:
                self.waiting.append(incoming)
            for user, _, reply in told.replies:
                self.answers.setdefault((user, reply.command_id), []).append(reply)
                if reply.code == "store unavailable":
                    self.waiting.append(incoming)  # its client asks again

    async def run(self) -> None:
        await begun(MemoryLog(self.clock, self.entries), 25)
        self.waiting = self.commands()
        # A client without an answer sends the same id again.
        self.waiting += self.random.sample(self.waiting, len(self.waiting) // 2)
        await asyncio.gather(self.replica(), self.replica())
        self.trouble = False

    def commands(self) -> list[Incoming]:
        choices: list[tuple[Any, dict[str, Any]]] = [
            (control.Advance, SURE),
            (control.Step, SURE),
            (control.Rollback, {"leaving": "GradualMigration"}),
            (control.Rollback, {}),
            (control.EmergencyRollback, {}),
            (control.Hold, {}),
            (control.Resume, {}),
            (control.SetUserOverride, {"user": "u", "provider": "legacy"}),
            (control.ResetBreaker, {"provider": "target"}),
            (control.Backup, {"label": "friday"}),
        ]
        made = []
        for number in range(self.random.randint(4, 9)):
            kind, fields = self.random.choice(choices)
            if self.random.random() < 0.3:
                kind, fields = (
                    control.SetPercentage,
                    {
                        "percentage": self.random.choice((0, 1, 5, 25, 50)),
                        **SURE,
                    },
                )
            if self.random.random() < 0.4:
                fields = fields | {"expected_version": self.random.randint(1, 4)}
            user = self.random.choice(("ann", "ben", "eve"))
            made.append(asked(self.clock, kind, f"c-{number}", user, **fields))
        return made


def check(run: Schedule) -> None:
    entries = run.entries
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    for earlier, later in pairwise(entries):  # linear: each builds on the one before, whole
        assert later.before == earlier.after
        rise = later.after.version - earlier.after.version
        assert rise == (later.after != earlier.after)
        assert rise == 0 or later.verdict == "accepted"
    names = [(entry.user, entry.command_id) for entry in entries]
    assert len(names) == len(set(names))  # none twice
    assert set(names[1:]) == set(run.answers)  # none lost, none answered that is not on record
    for entry in entries[1:]:
        stored = ControlReply.model_validate(entry.reply)
        for reply in run.answers[entry.user, entry.command_id]:
            if reply.code != "store unavailable":
                assert (reply.verdict, reply.code, reply.version, reply.text) == (
                    *(stored.verdict, stored.code, stored.version),
                    stored.text,
                )
        expected = entry.command.get("expectedVersion")
        if entry.verdict == "accepted" and entry.command["name"] not in DOWNWARD:
            assert expected in (None, entry.before.version)  # nobody's change is overwritten


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_whatever_happens_the_history_is_linear_and_nothing_lost_or_doubled(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.control.commands.RETRY_S", 0)
    size = SCHEDULES // BATCHES
    kills = accepted = refused = 0
    for seed in range(batch * size, (batch + 1) * size):
        run = Schedule(seed)
        await run.run()
        try:
            check(run)
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
        kills += run.kills
        accepted += sum(entry.verdict == "accepted" for entry in run.entries)
        refused += sum(entry.verdict == "refused" for entry in run.entries)
    assert kills > size
    assert min(accepted, refused) > size  # the schedules are not idle
