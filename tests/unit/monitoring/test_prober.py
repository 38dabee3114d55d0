"""The prober: one probe a slot whoever looks, and an alert by what the last ones came to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contracts.commands import decode_send
from tests.support.fakes import KEY, HandClock, Publisher, Snapshots, snapshot
from tests.support.waiting import until
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.detection.evidence import Evidence
from worker.domain.messages import masking
from worker.domain.messages.message import Attempt, Delivery, Lane, OnUnknown, Record, Result, State
from worker.domain.migration.flags import MigrationSettings
from worker.domain.migration.phases import Phase, Role
from worker.domain.probes.settings import ValidationTraffic
from worker.monitoring import prober
from worker.monitoring.prober import Prober
from worker.ports.store import StoreUnavailable
from worker.service import Background

if TYPE_CHECKING:
    from worker.domain.migration.snapshot import Snapshot

AGE_S = 600.0
NUMBERS = ("+260971000001", "+260971000002")
BAD = Evidence(absolute=(((50.0,) * 5,) * 2, ((0.0,) * 5,), ((0.0,) * 5,)))


def probing(phase: Phase = Phase.GRADUAL_MIGRATION, **asked: Any) -> Snapshot:
    traffic = replace(ValidationTraffic(enabled=True, numbers=NUMBERS), **asked)
    return snapshot(50, phase, migration=MigrationSettings(validation=traffic))


@dataclass
class Provider:
    id: str
    gives_reports: bool = True


@dataclass
class Records:
    """What became of each probe, as the test says; shared by replicas as a store is."""

    by_id: dict[str, Record] = field(default_factory=dict)

    async def find(self, message_id: str) -> Record | None:
        return self.by_id.get(message_id)

    def keep(self, ident: str, state: State, delivery: Delivery) -> None:
        attempt = Attempt(1, "x", 1, "", result=Result.ACCEPTED, delivery=delivery)
        self.by_id[ident] = Record(
            id=ident,
            fingerprint="",
            recipient=masking.recipient(KEY, NUMBERS[0]),
            lane=Lane.TRANSACTIONAL,
            on_unknown=OnUnknown.HOLD,
            state=state,
            expires_at=HandClock().now(),
            attempts=(attempt,),
        )


class Standing:
    """Alerts that are not over, by code and provider."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str | None], str] = {}

    def raise_alert(
        self,
        code: AlertCode,
        reason: str,
        *,
        provider: str | None = None,
        suggested_command: str | None = None,
    ) -> None:
        assert (code.severity, suggested_command) == ("warning", "sms-worker ctl health")
        self.open.setdefault((code, provider), reason)

    def resolve(self, code: str, reason: str, *, provider: str | None = None) -> None:
        del reason
        self.open.pop((code, provider), None)


class Harness:
    """Replicas over one store; every probe ends at once, as the test says."""

    def __init__(self, replicas: int = 1) -> None:
        self.clock = HandClock()
        self.records = Records()
        self.publisher = Publisher()
        self.snapshots = Snapshots(probing())
        self.alerts = Standing()
        self.providers = {Role.TARGET: Provider("at"), Role.LEGACY: Provider("old")}
        self.evidence: Evidence | None = None
        self.probers = [self._prober() for _ in range(replicas)]
        self.ended = 0

    def _prober(self) -> Prober:
        return Prober(
            snapshots=self.snapshots,
            records=self.records,
            evidence_of=self._known,
            publisher=self.publisher,
            providers=self.providers,
            alerts=self.alerts,
            clock=self.clock,
            background=Background(),
            delivery_age_s=AGE_S,
            max_age_s=5.0,
        )

    async def _known(self, lineage: str) -> Evidence | None:
        assert lineage == "lineage"
        return self.evidence

    async def settle(self) -> None:
        """Every replica has known for long what is probed; the next slot begins."""
        await self.look()
        self.clock.advance(60)

    async def look(
        self, state: State = State.ACCEPTED, delivery: Delivery = Delivery.DELIVERED
    ) -> None:
        """Every replica looks; then what they published ends in `state`."""
        for each in self.probers:
            await each.look()
            for event in self.publisher.events[self.ended :]:
                self.records.keep(event.id, state, delivery)
            self.ended = len(self.publisher.events)

    async def minutes(
        self,
        count: int,
        state: State = State.ACCEPTED,
        delivery: Delivery = Delivery.DELIVERED,
    ) -> None:
        for _ in range(count):
            await self.look(state, delivery)
            self.clock.advance(60)

    @property
    def asked(self) -> list[str]:
        """Whom the probes are about, in order."""
        found = []
        for event in self.publisher.events:
            command = decode_send(event.body, message_id=event.id, type_=event.type)
            assert command.metadata is not None
            found.append(command.metadata["ValidationProvider"])
        return found


@pytest.fixture
async def bench() -> Harness:
    made = Harness()
    await made.settle()
    return made


@pytest.mark.parametrize(("seen", "first"), [(40, 60), (55, 60), (56, 120), (60, 120)])
async def test_the_first_slot_begins_when_every_replica_knows_that_it_is_probed(
    seen: int, first: int
) -> None:
    bench = Harness()
    bench.clock.advance(seen - 40)  # the clock starts at second 40 of a slot
    for second in range(seen, first):
        await bench.look()
        assert bench.asked == [], second
        bench.clock.advance(1)
    await bench.look()
    assert bench.asked == ["target", "legacy"]


async def test_other_numbers_are_probed_when_every_replica_knows_them(bench: Harness) -> None:
    bench.snapshots.current = probing(numbers=("+260971000003",))
    await bench.look()
    assert bench.asked == []
    bench.clock.advance(60)
    await bench.look()
    assert bench.asked == ["target", "legacy"]


async def test_a_probe_is_a_command_as_any_other(bench: Harness) -> None:
    await bench.look()
    event = bench.publisher.events[0]
    command = decode_send(event.body, message_id=event.id, type_=event.type)
    assert (event.exchange, event.key) == ("sms.commands", "send.transactional")
    assert (command.message_type, command.metadata) == (
        "Validation",
        {"ValidationProvider": "target"},
    )
    assert command.to in NUMBERS
    assert command.expires_at is not None
    assert command.expires_at - bench.clock.now() <= timedelta(seconds=120)


async def test_both_providers_are_probed_once_a_slot(bench: Harness) -> None:
    for _ in range(60):
        await bench.look()
        bench.clock.advance(1)
    assert bench.asked[:2] == ["target", "legacy"]
    assert len({event.id for event in bench.publisher.events}) == len(bench.asked) == 4


async def test_of_several_replicas_one_publishes() -> None:
    bench = Harness(replicas=3)
    await bench.settle()
    await bench.minutes(5)
    assert bench.asked == ["target", "legacy"] * 5


async def test_after_a_restart_the_slot_is_not_probed_again(bench: Harness) -> None:
    await bench.look()
    bench.probers = [bench._prober()]
    await bench.look()
    assert bench.asked == ["target", "legacy"]


@pytest.mark.parametrize(
    ("state", "asked"),
    [
        (snapshot(50), set()),
        (probing(enabled=False), set()),
        (probing(Phase.ROLLBACK), {"legacy"}),
        (probing(providers=(Role.TARGET,)), {"target"}),
    ],
)
async def test_who_is_not_to_be_probed_is_not(
    bench: Harness, state: Snapshot, asked: set[str]
) -> None:
    bench.snapshots.current = state
    await bench.settle()
    await bench.minutes(1)
    assert set(bench.asked) == asked


async def test_nothing_is_published_on_a_stale_state(bench: Harness) -> None:
    bench.snapshots.stale = True
    await bench.look()
    assert bench.asked == []


async def test_legacy_is_probed_every_5_s_while_the_target_is_in_trouble(bench: Harness) -> None:
    bench.evidence = BAD
    for _ in range(60):
        await bench.look()
        bench.clock.advance(1)
    assert 12 <= bench.asked.count("legacy") <= 13
    assert bench.asked.count("target") <= 2


# --- alerts ----------------------------------------------------------------------------------


async def test_three_probes_in_a_row_that_are_not_accepted_are_told(bench: Harness) -> None:
    await bench.minutes(3, State.FAILED)
    assert bench.alerts.open == {}
    await bench.look()
    assert set(bench.alerts.open) == {(AlertCode.VALIDATION, "at"), (AlertCode.VALIDATION, "old")}
    reason = bench.alerts.open[AlertCode.VALIDATION, "at"]
    assert reason.startswith("3 probes in a row were not accepted, last validation-")


async def test_it_is_over_when_one_is_accepted(bench: Harness) -> None:
    await bench.minutes(4, State.FAILED)
    await bench.minutes(2)
    assert bench.alerts.open == {}


async def test_what_was_never_sent_is_no_trouble(bench: Harness) -> None:
    await bench.minutes(10, State.EXPIRED)
    assert bench.alerts.open == {}


async def test_what_has_not_arrived_by_the_delivery_age_is_told_where_reports_come(
    bench: Harness,
) -> None:
    bench.providers[Role.LEGACY].gives_reports = False
    await bench.minutes(13, delivery=Delivery.SUBMITTED)
    assert bench.alerts.open == {}
    await bench.minutes(1)
    assert set(bench.alerts.open) == {(AlertCode.VALIDATION_DELIVERY, "at")}
    await bench.minutes(14)
    assert bench.alerts.open == {}


async def test_alerts_survive_a_restart(bench: Harness) -> None:
    await bench.minutes(4, State.FAILED)
    bench.alerts.open.clear()
    bench.probers = [bench._prober()]
    await bench.look()
    assert len(bench.alerts.open) == 2


async def test_an_alert_is_over_when_its_provider_is_no_longer_probed(bench: Harness) -> None:
    await bench.minutes(4, State.FAILED)
    bench.snapshots.current = probing(Phase.ROLLBACK)
    await bench.look(State.FAILED)
    assert set(bench.alerts.open) == {(AlertCode.VALIDATION, "old")}


async def test_it_goes_on_when_the_store_is_back(
    bench: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def find(message_id: str) -> Record | None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreUnavailable(message_id)
        return None

    monkeypatch.setattr(prober, "_LOOK_S", 0.0)
    monkeypatch.setattr(bench.records, "find", find)
    (service,) = bench.probers
    await service.start()
    await until(lambda: len(bench.asked) >= 2, 5)
    await service.stop()
    assert bench.asked == ["target", "legacy"]


async def test_it_stops_though_never_started_and_twice(bench: Harness) -> None:
    (service,) = bench.probers
    await service.stop()
    await service.start()
    await service.drain()
    await service.stop()
    await service.stop()
