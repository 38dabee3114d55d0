"""Commands and queries over the real broker and the real store."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiormq.exceptions import ChannelPreconditionFailed
from structlog.testing import capture_logs

from contracts import control
from contracts.codec import encode
from tests.integration.control_bench import Harness, bench, publish
from tests.support.proxy import Proxy
from tests.support.steering import Steering, command
from tests.support.waiting import until, until_equal
from worker.app.accounts import fingerprint
from worker.broker.control_client import ControlClient, NotAllowed
from worker.domain.detection.contrast import Contrast
from worker.domain.detection.criteria import criteria_of
from worker.domain.detection.evidence import METHOD, Evidence
from worker.domain.detection.rerun import document
from worker.domain.figures.periods import SLOT_S, SPANS, start_of
from worker.domain.migration.phases import Phase, Role
from worker.domain.migration.snapshot import AUTOMATIC
from worker.store.cohorts import COLLECTION as COHORTS
from worker.store.cohorts import CohortStore
from worker.store.slots import SlotStore
from worker.telemetry.cohorts import CohortRow
from worker.telemetry.slots import SlotRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aio_pika.abc import AbstractConnection

    Connect = Callable[[str], Awaitable[AbstractConnection]]

pytestmark = pytest.mark.usefixtures("empty_queues")
BAD = (((50.0,) * 5,) * 2, ((0.0,) * 5,), ((0.0,) * 5,))
KEY = "control.command.emergency-rollback"


@pytest.fixture
async def two(
    amqp_url: Callable[[str], str], mongo_url: str, database_name: str, empty_queues: None
) -> AsyncIterator[Harness]:
    del empty_queues
    async with bench(amqp_url, mongo_url, database_name) as made:
        yield made


def body(kind: type[control.ControlCommand] = control.EmergencyRollback, **fields: Any) -> bytes:
    return encode(command(kind, **fields))


async def phase(made: Harness) -> str:
    found = await made.log.last()
    assert found is not None
    return found[1].phase


async def recorded(made: Harness, count: int) -> None:
    async def enough() -> bool:
        return len(await made.entries()) >= count

    await until(enough, 10)


# --- the way up and down --------------------------------------------------------------------------


async def test_the_traffic_is_moved_by_message_and_every_replica_follows(two: Harness) -> None:
    version = await two.steer.to(Phase.GRADUAL_MIGRATION, 50)
    await until(lambda: all(r.follower.current.version >= version for r in two.replicas), 1)
    reply = await two.steer.do(control.EmergencyRollback)
    assert (reply.state.phase, reply.state.percentage) == ("Rollback", 0)
    await until(lambda: all(r.follower.current.version == reply.version for r in two.replicas), 1)


async def test_the_account_call_is_the_gate_out_of_zero(two: Harness) -> None:
    two.target.healthy = False
    reply = await two.steer.tell(control.Advance)
    assert (reply.verdict, reply.code, "401" in reply.text) == ("refused", "gates", True)
    two.target.healthy = True
    assert (await two.steer.tell(control.Advance)).state.phase == "ParallelSetup"


async def test_a_change_is_told_with_who_what_and_why(two: Harness) -> None:
    await two.steer.do(control.Advance, reason="the friday plan")
    told = [json.loads(found) for key, found in two.alerts if key == "metric.alert"]
    (alert,) = (each for each in told if each["code"] == "state")
    assert alert["severity"] == "info"
    for part in ("administrator", "NotStarted at 0 %", "ParallelSetup at 1 %", "the friday plan"):
        assert part in alert["reason"]


async def test_many_commands_at_once_are_each_done_once(two: Harness, connect: Connect) -> None:
    await two.steer.to(Phase.GRADUAL_MIGRATION, 50)
    begun = len(await two.entries())
    connection = await connect("administrator")
    bodies = [body(control.ResetBreaker, provider="target") for _ in range(40)]
    key = "control.command.reset-breaker"
    await asyncio.gather(
        *(publish(connection, key, each, user_id="administrator") for each in bodies * 2)
    )
    await recorded(two, begun + 40)
    await two.steer.do(control.Hold)  # whatever is doubled has come by now, or comes and is known
    entries = (await two.entries())[begun:]
    assert len(entries) == 41
    assert [e.number for e in entries] == list(range(entries[0].number, entries[0].number + 41))
    resets = entries[-1].after.breaker_resets
    assert list(resets.values()) == [40]


# --- what happens by itself -----------------------------------------------------------------------


async def test_at_100_per_cent_probes_of_legacy_alone_bring_the_rollback(two: Harness) -> None:
    await two.steer.to(Phase.COMPLETE_MIGRATION, 100)
    last = await two.log.last()
    assert last is not None
    state = last[1]
    bounds = criteria_of(state, dict.fromkeys(Role, True), 600.0).bounds
    cfg, now = two.cfg, datetime.now(UTC)
    start = datetime.fromtimestamp(start_of(int(now.timestamp()), SLOT_S), UTC)
    bad = Evidence(
        since=state.since.timestamp(),
        anew=state.anew,
        providers=(fingerprint(cfg.target), fingerprint(cfg.legacy)),
        absolute=BAD,
        apart=Contrast(start=start.timestamp()),
        bounds=bounds,
    )
    slot = SlotRow("legacy", 10, now.replace(microsecond=0), {"probe_accepted": 73})
    assert await SlotStore(two.database, "a sender", retention_days=1).write([slot], [])
    rows = [
        CohortRow("legacy", start, {"any_ok": 73}),
        CohortRow("africastalking", start, {"eligible_failed": 10}),
    ]
    assert await CohortStore(two.database[COHORTS], "a sender").write(rows)
    ago = now - timedelta(minutes=1)
    due = {"tick": 1_000, "at": ago, "stamped": ago, "method": METHOD, "counted": {}, "holds": {}}
    due |= {"holding": None, "topic": None}
    await two.database["evidence"].replace_one(
        {"_id": state.lineage}, due | {"evidence": document(bad)}, upsert=True
    )

    async def down() -> bool:
        return await phase(two) == Phase.ROLLBACK

    await until(down, 10)
    (made,) = (each for each in await two.entries() if each.user == AUTOMATIC)
    assert "legacy was proved good in the same time" in str(made.reply["text"])


# --- who may --------------------------------------------------------------------------------------


async def test_the_broker_refuses_a_command_of_who_may_not(
    two: Harness, amqp_url: Callable[[str], str]
) -> None:
    async with ControlClient(amqp_url("observer")) as client:
        with pytest.raises(NotAllowed):
            await Steering(client).tell(control.EmergencyRollback)
    assert await two.entries() == []


async def test_an_observer_may_ask(two: Harness, amqp_url: Callable[[str], str]) -> None:
    async with ControlClient(amqp_url("observer")) as client:
        reply = await Steering(client).ask(control.Status)
    assert (reply.verdict, reply.state.phase) == ("accepted", "NotStarted")
    assert two.replicas


async def test_a_borrowed_name_is_refused_by_the_broker(two: Harness, connect: Connect) -> None:
    connection = await connect("administrator")
    with pytest.raises(ChannelPreconditionFailed):
        await publish(connection, KEY, body(), user_id="worker")
    assert await two.entries() == []


async def test_a_command_without_a_vouched_user_is_refused_and_recorded(
    two: Harness, connect: Connect
) -> None:
    await publish(await connect("administrator"), KEY, body())
    await recorded(two, 1)
    (entry,) = await two.entries()
    assert (entry.user, entry.verdict, entry.reply["code"]) == (
        *("(unverified)", "refused"),
        "forbidden",
    )
    assert await phase(two) == "NotStarted"
    assert [key for key, found in two.alerts if b"control-refused" in found] == ["metric.alert"]


async def test_a_copied_command_is_refused_and_recorded(two: Harness, connect: Connect) -> None:
    connection = await connect("administrator")
    await publish(
        connection, KEY, body(), user_id="administrator", headers={"CC": ["control.query.status"]}
    )
    await recorded(two, 1)
    assert (await two.entries())[0].reply["code"] == "forbidden"
    assert await phase(two) == "NotStarted"


async def test_an_observers_blind_copy_to_the_commands_changes_nothing(
    two: Harness, connect: Connect
) -> None:
    await publish(
        await connect("observer"),
        "control.query.status",
        body(),
        user_id="observer",
        headers={"BCC": [KEY]},
    )
    await recorded(two, 1)
    (entry,) = await two.entries()
    assert (entry.user, entry.reply["code"]) == ("observer", "forbidden")
    assert await phase(two) == "NotStarted"


async def test_a_reply_is_read_by_who_asked_alone(
    two: Harness, connect: Connect, amqp_url: Callable[[str], str]
) -> None:
    channel = await (await connect("observer")).channel()
    mine = await channel.declare_queue("sms.reply.observer.mine", exclusive=True)
    await mine.bind("sms.replies", "reply.observer.s-1")
    await two.steer.do(control.Hold)
    async with ControlClient(amqp_url("observer")) as client:
        await Steering(client).ask(control.Status)
    assert await mine.get(fail=False) is None


async def test_an_upward_command_issued_long_ago_is_refused_and_recorded(two: Harness) -> None:
    reply = await two.steer.tell(control.Advance, issued_at="2026-01-01T00:00:00Z")
    assert (reply.verdict, reply.code) == ("refused", "stale")
    assert [entry.reply["code"] for entry in await two.entries()] == ["stale"]


# --- once only ------------------------------------------------------------------------------------


async def test_the_same_command_again_gets_the_stored_answer(two: Harness) -> None:
    asked = command(control.Advance)
    first = await two.steer.client.ask(asked, 10)
    for _ in range(3):  # whichever replica takes it
        again = await two.steer.client.ask(asked, 10)
        assert again.model_dump(exclude={"state"}) == first.model_dump(exclude={"state"})
    assert len(await two.entries()) == 1


async def test_a_replica_that_dies_in_the_middle_leaves_the_command_to_another(
    two: Harness, connect: Connect
) -> None:
    await two.replicas[0].kill()
    connection = await connect("administrator")
    await publish(connection, KEY, body(), user_id="administrator")
    await recorded(two, 1)
    assert await phase(two) == "Rollback"


# --- queries --------------------------------------------------------------------------------------


async def test_status_says_where_it_stands_who_follows_and_what_is_missing(two: Harness) -> None:
    version = await two.steer.to(Phase.GRADUAL_MIGRATION, 25)
    await until(lambda: all(r.follower.current.version == version for r in two.replicas), 10)

    async def applied() -> dict[str, int]:
        """What the heartbeats say, which come a moment after a version is in force."""
        told = await two.steer.ask(control.Status)
        return {each["replica"]: each["applied"] for each in told.data["replicas"]}

    await until_equal(applied, {"r-1": version, "r-2": version}, 10)
    reply = await two.steer.ask(control.Status)
    assert (reply.state.phase, reply.state.percentage) == ("GradualMigration", 25)
    following = reply.data["next"]
    assert (following["command"], following["to"]) == ("step", "GradualMigration at 50 %")
    assert "time" in following["shut"]
    assert {gate.gate for gate in reply.gates} >= {"lock", "time", "success", "response"}
    assert set(reply.data["providers"]) == {"africastalking", "legacy"}


async def test_the_gates_in_the_status_are_those_that_step_and_advance_ask(two: Harness) -> None:
    def asked(gates: Any) -> dict[str, str]:
        """What each gate requires; what is measured goes on."""
        return {each.gate: each.required for each in gates}

    await two.steer.to(Phase.GRADUAL_MIGRATION, 25)
    status = await two.steer.ask(control.Status)
    step = await two.steer.tell(control.Step, dry_run=True)
    advance = await two.steer.tell(control.Advance, dry_run=True)
    further = status.data["advance"]
    assert further["to"] == "LegacyDeprecation at 75 %"
    assert asked(status.gates) == asked(step.gates)
    assert asked(map(control.GateView.model_validate, further["gates"])) == asked(advance.gates)
    assert asked(step.gates) != asked(advance.gates)


async def test_figures_are_sums_over_the_slots_of_all_replicas(two: Harness) -> None:
    now = int((await two.log.last())[1].since.timestamp())
    counts = {"accepted": 98, "unknown": 1, "skipped": 1, "delivered": 45, "undelivered": 5}
    rows = [
        {
            "_id": f"{owner}:{span}",
            "provider": "africastalking",
            "span": span,
            "at": datetime.fromtimestamp(start_of(now, span), UTC),
            "counts": {**counts, "latency:4": 98, "duration_us": 9_800_000},
        }
        for owner in "ab"
        for span in SPANS
    ]
    await two.database["slots"].insert_many(rows)
    reply = await two.steer.ask(control.Health, hours=1)
    found = reply.data["providers"]["africastalking"]
    assert (found["accepted"], found["successRate"]["percent"]) == (196, 98.0)
    assert (found["p95Ms"], found["meanMs"]) == (100.0, 100.0)
    assert (found["deliveryRate"]["percent"], found["deliveryRate"]["sample"]) == (90.0, 100)
    assert found["errorsByClass"]["skipped"] == 2
    compared = await two.steer.ask(control.Comparison, hours=1)
    assert compared.data["providers"]["africastalking"] == found
    assert compared.data["difference"] == {"cost": {}}
    assert compared.data["providers"]["legacy"]["successRate"] == {"count": 0, "sample": 0}
    shown = (await two.steer.ask(control.Status)).data["providers"]["africastalking"]
    assert (shown["accepted"], shown["errors"], shown["successRate"]) == (196, 4, 98.0)


@pytest.mark.parametrize("query", [control.Health, control.Comparison])
async def test_a_period_longer_than_metrics_are_kept_is_refused_by_name(
    two: Harness, query: type[control.Health | control.Comparison]
) -> None:
    reply = await two.steer.ask(query, hours=24 * 30 + 1)
    assert (reply.verdict, reply.code) == ("refused", "invalid")
    assert "at most 720 hours" in reply.text
    assert "MetricsRetentionDays" in reply.text
    assert (await two.steer.ask(query, hours=24 * 30)).verdict == "accepted"


async def test_history_is_newest_first_and_pages(two: Harness) -> None:
    await two.steer.to(Phase.GRADUAL_MIGRATION, 25)
    reply = await two.steer.ask(control.History, limit=2)
    first, second = reply.data["entries"]
    assert (first["command"]["name"], first["user"]) == ("advance", "administrator")
    assert (first["from"], first["to"]) == ("ParallelSetup 1 %", "GradualMigration 25 %")
    older = await two.steer.ask(control.History, before=second["number"])
    assert [each["number"] for each in older.data["entries"]] == [1]


async def test_explain_says_which_way_and_why(two: Harness) -> None:
    await two.steer.to(Phase.GRADUAL_MIGRATION, 25)
    await two.steer.do(control.SetUserOverride, user="u-7", provider="legacy")
    version = (await two.log.last())[1].version
    await until(lambda: all(r.follower.current.version == version for r in two.replicas), 10)
    reply = await two.steer.ask(control.Explain, to="0977 123 456", user_id="u-7")
    assert reply.data["number"] == "+260977123456"
    assert reply.data["way"] == ["legacy", "africastalking"]
    assert reply.data["reason"] == "user override"
    refused = await two.steer.ask(control.Explain, to="12")
    assert (refused.verdict, refused.code) == ("refused", "invalid")


# --- the store is away ----------------------------------------------------------------------------


async def test_the_store_away_upwards_is_answered_and_downwards_waits_and_is_done(
    amqp_url: Callable[[str], str], mongo_url: str, database_name: str
) -> None:
    async with Proxy(mongo_url) as proxy:
        through = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        async with bench(amqp_url, mongo_url, database_name, through=through) as made:
            await made.steer.to(Phase.GRADUAL_MIGRATION, 25)
            begun = len(await made.entries())
            proxy.stalled = True
            up = command(control.Advance, override_gates="a test")
            reply = await made.steer.client.ask(up, 10)
            assert (reply.verdict, reply.code) == ("refused", "store unavailable")
            status = await made.steer.ask(control.Status)
            assert "store unavailable" in status.data["alerts"][0]
            with capture_logs() as lines:
                down = asyncio.create_task(made.steer.do(control.EmergencyRollback))
                await until(lambda: any("waits for the store" in each["event"] for each in lines))
            assert not down.done()
            assert len(await made.entries()) == begun
            proxy.stalled = False
            proxy.cut()
            assert (await asyncio.wait_for(down, 10)).state.phase == "Rollback"
            again = await made.steer.client.ask(up, 10)
            assert (again.verdict, again.state.phase) == ("accepted", "ParallelSetup")
