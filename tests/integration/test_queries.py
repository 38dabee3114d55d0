"""What a console asks, over the real broker and the real store: who I am, the past, a preview."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contracts import control
from contracts.answers import PreviewAnswer, SeriesAnswer
from contracts.codec import encode
from contracts.names import MAX_BODY_BYTES
from tests.integration.control_bench import Harness, bench
from tests.support.steering import Steering, command
from worker.broker.control_client import ControlClient
from worker.domain.figures.periods import SPANS, start_of
from worker.domain.migration.access import AccessRole, commands_of
from worker.domain.migration.phases import Phase
from worker.store.slots import SlotStore
from worker.telemetry.slots import SlotRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from contracts.control import ControlReply

pytestmark = pytest.mark.usefixtures("empty_queues")
TARGET = {"accepted": 7, "unknown": 1, "eligible_ok": 6, "latency:4": 7, "duration_us": 700_000}
LEGACY = {"accepted": 20, "delivered": 9, "undelivered": 1, "eligible_ok": 18}


@pytest.fixture
async def one(
    amqp_url: Callable[[str], str], mongo_url: str, database_name: str, empty_queues: None
) -> AsyncIterator[Harness]:
    del empty_queues
    async with bench(amqp_url, mongo_url, database_name, count=1) as made:
        yield made


# --- who asks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", AccessRole)
async def test_who_asks_is_told_the_role_and_its_commands(
    amqp_url: Callable[[str], str], mongo_url: str, database_name: str, role: AccessRole
) -> None:
    roles = {"administrator": role, "observer": AccessRole.OBSERVER}
    async with bench(amqp_url, mongo_url, database_name, count=1, roles=roles) as made:
        reply = await made.steer.ask(control.Status)
        assert reply.you is not None
        assert (reply.you.user, reply.you.role) == ("administrator", role.value)
        assert reply.you.commands == tuple(map(str, commands_of(role)))
        hold = await made.steer.tell(control.Hold)
        assert (hold.verdict == "accepted") is ("hold" in reply.you.commands)


async def test_an_observer_may_ask_for_a_series_and_a_preview(
    one: Harness, amqp_url: Callable[[str], str]
) -> None:
    async with ControlClient(amqp_url("observer")) as client:
        observer = Steering(client)
        series = await observer.ask(control.Series, hours=1.0)
        preview = await observer.ask(control.Preview, command={"name": "advance"})
    assert (series.verdict, preview.verdict) == ("accepted", "accepted")
    found = PreviewAnswer.model_validate(preview.data)
    assert (found.accepted, found.code, found.share_after) == (False, "forbidden", 1)
    assert await one.entries() == []
    assert not any(b"control-refused" in body for _, body in one.alerts)


# --- series ---------------------------------------------------------------------------------------


async def counted(made: Harness, at: datetime) -> None:
    """Two replicas count the same at a moment."""
    for owner in ("a", "b"):
        store = SlotStore(made.database, f"{owner} {at}", retention_days=30)
        await store.create_indexes()
        rows = [
            SlotRow(provider, span, _slot(at, span), counts)
            for span in SPANS
            for provider, counts in (("africastalking", TARGET), ("legacy", LEGACY))
        ]
        assert await store.write(rows, [])


def _slot(at: datetime, span: int) -> datetime:
    return datetime.fromtimestamp(start_of(int(at.timestamp()), span), UTC)


async def test_a_series_shows_both_providers_and_the_moves_of_its_period(one: Harness) -> None:
    now = datetime.now(UTC)
    for minutes in (5, 40, 500):
        await counted(one, now - timedelta(minutes=minutes))
    await one.steer.to(Phase.GRADUAL_MIGRATION, 25)
    await one.steer.tell(control.Advance, dry_run=True)
    await one.steer.tell(control.SetPercentage, percentage=99)
    await one.steer.do(control.Hold)
    await one.steer.do(control.SetPercentage, percentage=10, reason="complaints")
    for hours, times in ((1.0, 2), (24.0, 3)):
        reply = await one.steer.ask(control.Series, hours=hours)
        found = SeriesAnswer.model_validate(reply.data)
        target, legacy = found.providers[found.target], found.providers[found.legacy]
        assert sum(target.attempts) == times * 2 * 8
        assert (sum(target.assigned), sum(legacy.assigned)) == (times * 2 * 6, times * 2 * 18)
        assert (sum(legacy.delivered), sum(legacy.judged)) == (times * 2 * 9, times * 2 * 10)
        assert {each for each in target.p95_ms if each is not None} == {100.0}
        slots = (found.until - found.since).total_seconds() / found.slot_s
        assert len(target.attempts) == len(legacy.p50_ms) == slots
        assert len(encode(reply)) < MAX_BODY_BYTES / 2
        steps = [(each.share_before, each.share_after) for each in found.changes]
        assert (found.share, steps) == (0, [(0, 1), (1, 25), (25, 10)])
        assert (found.changes[-1].user, found.changes[-1].reason) == (
            "administrator",
            "complaints",
        )


async def test_a_series_longer_than_metrics_are_kept_is_refused_by_name(one: Harness) -> None:
    reply = await one.steer.ask(control.Series, hours=24 * 30 + 1)
    assert (reply.verdict, reply.code) == ("refused", "invalid")
    assert "MetricsRetentionDays" in reply.text


# --- preview --------------------------------------------------------------------------------------

WISHES: list[tuple[type[control.ControlCommand], dict[str, Any]]] = [
    (control.Advance, {}),
    (control.Advance, {"override_gates": "a test cannot wait"}),
    (control.Step, {}),
    (control.Step, {"override_gates": "a test cannot wait"}),
    (control.SetPercentage, {"percentage": 10}),
    (control.SetPercentage, {"percentage": 60, "override_gates": "a test cannot wait"}),
    (control.Rollback, {}),
    (control.EmergencyRollback, {}),
    (control.Hold, {}),
    (control.Resume, {}),
    (control.Approve, {"proposal": 3}),
    (control.DisableProvider, {"provider": "target"}),
    (control.EnableProvider, {"provider": "target"}),
    (control.EnableProvider, {"provider": "target", "override_gates": "a test cannot wait"}),
    (control.SetUserOverride, {"user": "u-7", "provider": "legacy"}),
    (control.SetFlags, {"flags": {}}),
    (control.SetFlags, {"flags": {"SmsFeatureFlags": {"EnableLegacy": "perhaps", "No": 1}}}),
    (control.Backup, {"label": "friday"}),
    (control.Restore, {"to": "friday"}),
    (control.Restore, {"to": "last-known-good"}),
    (control.Ack, {"alert": "account"}),
    (control.AddSuppression, {"number": "0977123456"}),
]
_FIGURE = re.compile(r"[0-9]+(\.[0-9]+)?")


def timeless(text: str) -> str:
    """Words without their figures, some of which count the minutes."""
    return _FIGURE.sub("N", text)


def asked(reply: ControlReply) -> list[tuple[str, str, str]]:
    return [(each.gate, each.required, each.verdict) for each in reply.gates]


@pytest.mark.parametrize("seed", range(3))
async def test_a_preview_foretells_each_command_of_a_random_course_and_records_nothing(
    one: Harness, seed: int
) -> None:
    chance = random.Random(seed)
    accepted = refused = 0
    for _ in range(40):
        kind, fields = chance.choice(WISHES)
        wish = command(kind, **fields)
        whole = wish.model_dump(mode="json", by_alias=True, exclude_none=True)
        before = await one.log.last()
        alerts = len(one.alerts)
        preview = await one.steer.ask(control.Preview, command=whole)
        assert await one.log.last() == before
        assert len(one.alerts) == alerts
        found = PreviewAnswer.model_validate(preview.data)
        reply = await one.steer.client.ask(wish, 10)
        assert (found.accepted, found.code) == (reply.verdict == "accepted", reply.code)
        assert timeless(found.text) == timeless(reply.text)
        assert list(map(timeless, found.problems)) == list(map(timeless, reply.problems))
        assert asked(preview) == asked(reply)
        after = await one.log.last()
        assert before is not None
        assert after is not None
        assert after[0] == before[0] + 1
        if after[1].version != before[1].version:
            assert found.after is not None
            assert reply.state is not None
            ours, theirs = (
                each.model_copy(update={"since": None, "started_at": None})
                for each in (found.after, reply.state)
            )
            assert ours == theirs
            accepted += 1
        refused += reply.verdict == "refused"
    assert min(accepted, refused) >= 5
