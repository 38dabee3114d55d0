"""The command handler: who may, once only, what is refused is on record, the store may be away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from contracts import control
from tests.support.alert_fakes import MemoryBook
from tests.support.control_fakes import PROVEN, MemoryLog, Told, asked, begun, handler
from tests.support.fakes import HandClock
from worker.domain.alerts.notices import AlertObservation, identity
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Phase
from worker.ports.broker import Settlement

FINE = Measures(
    evidence=PROVEN,
    accepted=10_000,
    errors=0,
    p95_ms=150.0,
    delivered=5_000,
    judged=5_000,
    account_ok=True,
)


class Harness:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.log, self.told = MemoryLog(self.clock), Told()
        self.book = MemoryBook(self.clock)
        self.handle = handler(self.log, self.told, FINE, self.book)

    async def take(self, *given: object, **more: object) -> control.ControlReply:
        assert await self.handle(asked(self.clock, *given, **more)) is Settlement.ACK
        return self.told.last

    @property
    def state(self) -> object:
        return self.log.entries[-1].after


@pytest.fixture
async def bench() -> Harness:
    made = Harness()
    await begun(made.log)
    return made


async def test_a_command_is_decided_recorded_announced_and_answered(bench: Harness) -> None:
    reply = await bench.take(control.Step, correlation_id="s-1")
    assert (reply.verdict, reply.code, reply.version) == ("accepted", "ok", 2)
    assert (reply.state.percentage, len(reply.gates)) == (50, 13)
    entry = bench.log.entries[-1]
    assert (entry.user, entry.command["name"], entry.verdict) == ("ann", "step", "accepted")
    assert entry.command["reason"] == "because"
    assert len(entry.evidence["gates"]) == 13
    assert bench.told.announced == [2]
    assert bench.told.replies[-1][:2] == ("ann", "s-1")
    ((before, after, user),) = bench.told.changes
    assert (before.percentage, after.percentage, user) == (25, 50, "ann")


async def test_a_refusal_is_an_entry_that_raises_no_version(bench: Harness) -> None:
    reply = await bench.take(control.SetPercentage, percentage=80)
    assert (reply.verdict, reply.code, reply.version) == ("refused", "range", 1)
    assert (len(bench.log.entries), bench.state.version) == (2, 1)
    assert bench.told.announced == []


async def test_a_command_delivered_again_gets_the_stored_answer(bench: Harness) -> None:
    first = await bench.take(control.Step)
    again = await bench.take(control.Step)
    assert again == first
    assert (len(bench.log.entries), bench.state.percentage) == (2, 50)
    assert bench.told.announced == [2, 2]  # the first may have died with its replica


async def test_the_same_id_with_other_content_is_refused(bench: Harness) -> None:
    await bench.take(control.SetPercentage, percentage=10)
    reply = await bench.take(control.SetPercentage, percentage=11)
    assert (reply.verdict, reply.code) == ("refused", "id conflict")
    assert (len(bench.log.entries), bench.state.percentage) == (2, 10)


async def test_ids_of_two_users_do_not_meet(bench: Harness) -> None:
    await bench.take(control.SetPercentage, percentage=10)
    await bench.take(control.SetPercentage, by="ben", percentage=5)
    assert bench.state.percentage == 5


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"by": None}, "user_id"),
        ({"by": "Ann.Smith"}, "user_id"),
        ({"by": "mallory"}, "SMS_ROLES"),
        ({"headers": {"CC": ["x"]}}, "CC"),
        ({"headers": {"BCC": ["x"]}}, "BCC"),
        ({"headers": {"x-death": [{}]}}, "x-death"),
        ({"routing_key": "control.query.status"}, "control.command."),
        ({"by": "eve"}, "observer"),
    ],
)
async def test_whom_or_what_cannot_be_trusted_is_refused_recorded_and_told(
    bench: Harness, more: dict[str, object], named: str
) -> None:
    await bench.handle(asked(bench.clock, control.EmergencyRollback, **more))
    entry = bench.log.entries[-1]
    assert (entry.verdict, entry.reply["code"]) == ("refused", "forbidden")
    assert named in entry.reply["text"]
    assert bench.state.phase is Phase.GRADUAL_MIGRATION
    assert len(bench.told.suspicions) == 1


async def test_nobody_gets_an_answer_where_nobody_is_vouched_for(bench: Harness) -> None:
    for _ in range(2):
        await bench.handle(asked(bench.clock, control.EmergencyRollback, by=None))
    assert bench.told.replies == []
    assert [entry.user for entry in bench.log.entries[1:]] == ["(unverified)"]


async def test_a_name_that_differs_from_the_key_is_refused(bench: Harness) -> None:
    key = "control.command.hold"
    await bench.handle(asked(bench.clock, control.EmergencyRollback, routing_key=key))
    assert (bench.told.last.code, bench.told.last.verdict) == ("invalid", "refused")
    assert bench.state.phase is Phase.GRADUAL_MIGRATION


async def test_an_unknown_field_is_refused_with_every_problem(bench: Harness) -> None:
    wrong = asked(bench.clock, control.SetPercentage, percentage=10)
    body = json.loads(wrong.body) | {"percentage": 101, "everywhere": True}
    await bench.handle(replace(wrong, body=json.dumps(body).encode()))
    reply = bench.told.last
    assert (reply.code, reply.command_id) == ("invalid", "c-1")
    assert {problem.split(":")[0] for problem in reply.problems} == {"percentage", "everywhere"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"commandId": 7}'])
async def test_what_is_no_command_is_acknowledged_and_changes_nothing(
    bench: Harness, body: bytes
) -> None:
    wrong = replace(asked(bench.clock, control.Hold), body=body)
    assert await bench.handle(wrong) is Settlement.ACK
    assert len(bench.log.entries) == 1


async def test_wrong_flags_list_every_problem_and_change_nothing(bench: Harness) -> None:
    document = {
        "SmsFeatureFlags": {
            "EnableLegacy": "yes",
            "RollbackThresholds": {"MaxErrorRate": 120, "MinSuccesRate": 90},
            "UserOverrides": {"u-1": "twilio"},
            "BranchOverrides": {"north": "legacy"},
        },
        "MigrationSettings": {"MetricsRetentionDays": 0},
        "More": {},
    }
    reply = await bench.take(control.SetFlags, flags=document)
    assert reply.code == "invalid"
    for named in (
        *("EnableLegacy", "MaxErrorRate", "MinSuccesRate", "u-1", "north"),
        *("MetricsRetentionDays", "More"),
    ):
        assert any(named in problem for problem in reply.problems), named
        assert named in reply.text
    assert not any(problem.startswith("set-flags") for problem in reply.problems)
    assert bench.state.version == 1


async def test_an_upward_command_older_than_thirty_seconds_is_refused(bench: Harness) -> None:
    late = asked(bench.clock, control.Step)
    bench.clock.advance(31)
    await bench.handle(late)
    assert bench.told.last.code == "stale"
    assert len(bench.told.suspicions) == 1
    late = asked(bench.clock, control.EmergencyRollback, "c-2")
    bench.clock.advance(86_400)
    await bench.handle(late)
    assert bench.state.phase is Phase.ROLLBACK


# --- versions -------------------------------------------------------------------------------------


async def test_another_version_than_expected_refuses(bench: Harness) -> None:
    await bench.take(control.Hold)
    reply = await bench.take(control.SetPercentage, "c-2", percentage=5, expected_version=1)
    assert (reply.code, "2 is in force" in reply.text) == ("version", True)


async def test_a_downward_command_is_decided_again_whatever_it_expected(bench: Harness) -> None:
    await bench.take(control.Hold)
    reply = await bench.take(control.EmergencyRollback, "c-2", expected_version=1)
    assert reply.verdict == "accepted"


async def test_a_relative_command_is_refused_where_the_version_moved_under_it(
    bench: Harness,
) -> None:
    other = handler(bench.log, Told(), FINE)
    raced = False

    async def race() -> None:
        nonlocal raced
        if not raced and len(bench.log.entries) == 1:
            raced = True
            await other(asked(bench.clock, control.SetPercentage, by="ben", percentage=10))

    deciding = bench.handle.deciding

    async def measures(state: object) -> Measures:
        await race()
        return await deciding.measures(state)

    bench.handle = replace(bench.handle, deciding=replace(deciding, measures=measures))
    reply = await bench.take(control.Step)
    assert (reply.code, bench.state.percentage) == ("version", 10)


# --- the store is away ----------------------------------------------------------------------------


async def test_an_upward_command_is_answered_that_the_store_is_away_and_may_come_again(
    bench: Harness,
) -> None:
    bench.log.away = True
    assert (await bench.take(control.Step)).code == "store unavailable"
    bench.log.away = False
    assert (await bench.take(control.Step)).verdict == "accepted"
    assert len(bench.log.entries) == 2


async def test_a_downward_command_waits_for_the_store(
    bench: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.control.commands.RETRY_S", 0.001)
    bench.log.away = True
    asks = asyncio.Semaphore(0)

    async def count() -> None:
        asks.release()
        await asyncio.sleep(0)

    bench.log.between = count
    task = asyncio.create_task(bench.handle(asked(bench.clock, control.EmergencyRollback)))
    for _ in range(3):  # it asks the store again and again
        await asyncio.wait_for(asks.acquire(), 5)
    assert (task.done(), bench.told.replies) == (False, [])
    bench.log.away = False
    assert await asyncio.wait_for(task, 5) is Settlement.ACK
    assert bench.state.phase is Phase.ROLLBACK


async def test_who_is_not_trusted_does_not_wait_for_the_store(bench: Harness) -> None:
    bench.log.away = True
    reply = await bench.take(control.EmergencyRollback, by="mallory")
    assert reply.code == "forbidden"


# --- alerts ---------------------------------------------------------------------------------------


async def raised(bench: Harness, provider: str = "legacy") -> str:
    """An open trouble; its id."""
    ident = identity("account", provider, bench.clock.now())
    now = bench.clock.now()
    await bench.book.record(
        AlertObservation(ident, "account", provider, "critical", "401", now, ends=True)
    )
    return ident


async def test_an_alert_is_acknowledged_on_record_and_no_version_rises(bench: Harness) -> None:
    ident = await raised(bench)
    reply = await bench.take(control.Ack, by="oda", alert="account")
    assert (reply.verdict, reply.code, reply.version) == ("accepted", "ok", 1)
    taken = bench.book.alerts[ident].acknowledged
    assert (taken.by, taken.reason) == ("oda", "because")
    assert bench.log.entries[-1].evidence["acknowledges"] == ident
    assert (bench.told.announced, bench.told.changes) == ([], [])


@pytest.mark.parametrize("by", ["eve", "mallory"])
async def test_who_may_not_acknowledges_nothing(bench: Harness, by: str) -> None:
    ident = await raised(bench)
    assert (await bench.take(control.Ack, by=by, alert="account")).code == "forbidden"
    assert bench.book.alerts[ident].acknowledged is None


async def test_an_acknowledgement_that_died_half_way_is_finished_when_it_comes_again(
    bench: Harness,
) -> None:
    ident = await raised(bench)
    done, bench.book.acknowledge = bench.book.acknowledge, _dies
    with pytest.raises(ZeroDivisionError):
        await bench.take(control.Ack, alert="account")
    bench.book.acknowledge = done
    assert (await bench.take(control.Ack, alert="account")).code == "ok"
    assert bench.book.alerts[ident].acknowledged.by == "ann"
    assert len(bench.log.entries) == 2


async def _dies(*_: object) -> None:
    raise ZeroDivisionError


async def test_of_several_the_provider_or_the_id_says_which(bench: Harness) -> None:
    first, second = await raised(bench, "legacy"), await raised(bench, "africastalking")
    assert (await bench.take(control.Ack, "c-1", alert="account")).code == "several"
    await bench.take(control.Ack, "c-2", alert="account", provider="target")
    await bench.take(control.Ack, "c-3", alert=first[:8])
    assert all(bench.book.alerts[each].acknowledged for each in (first, second))
    again = await bench.take(control.Ack, "c-4", by="ben", alert=first[:8])
    assert (again.verdict, again.code) == ("accepted", "unchanged")
    assert again.text == "ack: ann acknowledged account (legacy) already"


async def test_a_provider_nobody_knows_is_named(bench: Harness) -> None:
    await raised(bench)
    reply = await bench.take(control.Ack, alert="account", provider="twilio")
    assert (reply.code, "'twilio'" in reply.text) == ("invalid", True)


async def test_without_the_store_an_acknowledgement_may_come_again(bench: Harness) -> None:
    await raised(bench)
    bench.book.away = True
    assert (await bench.take(control.Ack, alert="account")).code == "store unavailable"
    bench.book.away = False
    assert (await bench.take(control.Ack, alert="account")).code == "ok"


# --- versions that stood --------------------------------------------------------------------------


async def test_a_backup_is_restored_by_its_name_and_a_version_by_its_number(bench: Harness) -> None:
    await bench.take(control.Backup, label="friday")
    await bench.take(control.SetPercentage, "c-2", percentage=10)
    sure = {"override_gates": "a test"}
    assert (await bench.take(control.Restore, "c-3", to="friday", **sure)).verdict == "accepted"
    assert (bench.state.percentage, bench.state.version) == (25, 4)
    assert (await bench.take(control.Restore, "c-4", to="3")).state.percentage == 10
    assert (await bench.take(control.Restore, "c-5", to="99")).code == "unknown version"


async def test_last_known_good_stood_for_half_an_hour(bench: Harness) -> None:
    bench.clock.advance(1800)
    await bench.take(control.SetPercentage, percentage=10)
    bench.clock.advance(1799)
    await bench.take(control.SetPercentage, "c-2", percentage=5)
    bench.clock.advance(1801)  # the present version is not what it is restored from
    reply = await bench.take(control.Restore, "c-3", to="last-known-good")
    assert reply.state.percentage == 25
