"""What the counters of a worker and of the webhook show."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts.names import Header
from tests.support.fakes import HandClock
from tests.support.measured import measured
from tests.support.scraped import Scraped
from worker.domain.detection import evidence
from worker.domain.detection.checkpoint import Checkpoint
from worker.domain.figures.tally import OUTCOMES
from worker.domain.messages.message import State
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Refused, Unknown
from worker.handlers.dead_letters import CAUSES, OTHER_CAUSE, cause_of
from worker.ports.broker import Incoming, Settlement
from worker.ports.messages import OpenRecords
from worker.ports.store import StoreUnavailable
from worker.service import Background
from worker.telemetry import instruments as show
from worker.telemetry import names
from worker.telemetry.backlog import Backlog
from worker.telemetry.callbacks import NO_PROVIDER, Answer, CallbackMetrics
from worker.telemetry.deliveries import BROKER_TIME, Deliveries
from worker.telemetry.evidence import ABSOLUTE, RELATIVE, EvidenceMetrics
from worker.telemetry.metrics import AttemptMetrics

BULK = "sms.send.bulk"


def incoming(**changes: object) -> Incoming:
    usual = {"queue": BULK, "body": b"{}", "redelivered": False, "headers": {}}
    return Incoming(**{**usual, **changes})  # type: ignore[arg-type]


# --- attempts --------------------------------------------------------------------------------


def test_attempts_are_counted_by_outcome_and_lane_and_probes_are_not() -> None:
    book = AttemptMetrics(HandClock(), ["target"], slow_ms=3_000)
    ends = (
        Accepted("id"), Refused("403", "no"), Unknown("t", "silence"),
        *(NotSent(blame, "x", "y") for blame in Blame),
    )  # fmt: skip
    for outcome in ends:
        book.attempt(measured(outcome, lane="transactional"))
    book.attempt(measured(Accepted("id"), probe=True))
    book.skipped("target", eligible=False, recipient_hash="a", lane="bulk")
    lanes = dict.fromkeys(OUTCOMES, "transactional") | {"skipped": "bulk"}
    assert book.by_lane == {("target", name, lane): 1 for name, lane in lanes.items()}
    total = book.total("target")
    assert [getattr(total, name) for name in OUTCOMES] == [1] * len(OUTCOMES)


def test_the_share_realised_counts_what_the_share_assigned_passed_over_or_not() -> None:
    book = AttemptMetrics(HandClock(), ["target", "legacy"], slow_ms=3_000)
    book.began("target", eligible=True)
    book.skipped("target", eligible=True, recipient_hash="a", lane="bulk")
    book.began("legacy", eligible=False)
    book.began("legacy", eligible=True)
    assert book.assigned == {"target": 2, "legacy": 1}


# --- deliveries ------------------------------------------------------------------------------


async def test_a_delivery_shows_how_long_it_waited_and_how_long_it_is_in_hand() -> None:
    clock = HandClock()
    deliveries = Deliveries(clock)
    ages: list[float] = []

    async def handler(_: Incoming) -> Settlement:
        clock.advance(20)
        ages.extend(value for value, _ in deliveries.oldest())
        return Settlement.ACK

    handle = deliveries.counted(handler, BULK)
    await handle(incoming(timestamp=clock.now() - timedelta(seconds=42)))

    (wait,), (handled,) = deliveries.waits(), deliveries.handled()
    assert (wait.total, sum(wait.buckets)) == (42, 1)
    assert wait.buckets[show.QUEUE_WAIT.bounds.index(60.0)] == 1
    assert (handled.total, handled.labels[names.DESTINATION]) == (20, BULK)
    assert ages == [20]
    assert [value for value, _ in deliveries.oldest()] == [0]


async def test_a_delivery_that_raises_is_in_hand_no_more() -> None:
    deliveries = Deliveries(HandClock())

    async def handler(_: Incoming) -> Settlement:
        raise KeyError

    with pytest.raises(KeyError):
        await deliveries.counted(handler, BULK)(incoming())
    assert [value for value, _ in deliveries.oldest()] == [0]
    assert [sum(each.buckets) for each in deliveries.handled()] == [1]


@pytest.mark.parametrize(
    ("changes", "waited"),
    [
        ({}, None),
        ({"redelivered": True}, None),
        ({"headers": {Header.FIRST_AT: "2026-01-01T00:00:00Z"}}, None),
        ({"headers": {BROKER_TIME: "soon"}}, 7.0),
        ({"headers": {BROKER_TIME: True}}, 7.0),
    ],
)
async def test_a_wait_counts_once_a_message_and_by_the_best_stamp(
    changes: dict[str, object], waited: float | None
) -> None:
    clock = HandClock()
    deliveries = Deliveries(clock)

    async def handler(_: Incoming) -> Settlement:
        return Settlement.ACK

    stamp = {"timestamp": clock.now() - timedelta(seconds=7)} if changes else {}
    await deliveries.counted(handler, BULK)(incoming(**{**stamp, **changes}))
    (wait,) = deliveries.waits()
    assert (wait.total if sum(wait.buckets) else None) == waited


async def test_the_stamp_of_the_broker_goes_before_that_of_the_publisher() -> None:
    clock = HandClock()
    deliveries = Deliveries(clock)

    async def handler(_: Incoming) -> Settlement:
        return Settlement.ACK

    by_broker = int((clock.now().timestamp() - 0.25) * 1_000)
    late = clock.now() - timedelta(hours=5)
    await deliveries.counted(handler, BULK)(
        incoming(headers={BROKER_TIME: by_broker}, timestamp=late)
    )
    assert [wait.total for wait in deliveries.waits()] == [pytest.approx(0.25, abs=0.01)]


# --- dead letters ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("failed: every round failed", "failed"),
        ("expired: its life ended before it could be sent", "expired"),
        ("id conflict: same id, other content", "id conflict"),
        ("our own error: KeyError", "our own error"),
        ("taken out of sms.send.bulk by the broker: delivery_limit", "taken out by the broker"),
        ("no such key: send.+260977123456", "no such key"),
        ("report not understood: expected a status", "report not understood"),
        ("to: expected a number, got +260977123456", OTHER_CAUSE),
        ("", OTHER_CAUSE),
    ],
)
def test_a_reason_is_counted_as_one_of_few_causes(reason: str, cause: str) -> None:
    assert cause_of(reason) == cause
    assert cause in CAUSES


# --- the backlog and the evidence ------------------------------------------------------------


class Records:
    def __init__(self, clock: HandClock) -> None:
        oldest = clock.now() - timedelta(seconds=90)
        self.open = {State.WAITING: OpenRecords(3, oldest), State.UNKNOWN: OpenRecords(0, None)}
        self.away = False

    async def open_records(self) -> dict[State, OpenRecords]:
        if self.away:
            raise StoreUnavailable("test")
        return self.open


async def test_the_backlog_ages_between_two_looks_and_is_unknown_while_the_store_is_away() -> None:
    clock = HandClock()
    records = Records(clock)
    backlog = Backlog(records, clock, Background())
    assert list(backlog.counts()) == []
    await backlog.look()
    clock.advance(5)
    assert list(backlog.counts()) == [
        (3, {show.STATE: "waiting"}), (0, {show.STATE: "unknown"}),
    ]  # fmt: skip
    assert [value for value, _ in backlog.ages()] == [95, 0]
    records.away = True
    await backlog.look()
    assert (list(backlog.counts()), list(backlog.ages())) == ([], [])


def test_evidence_has_a_level_for_each_strength_and_none_while_it_is_not_known() -> None:
    shown = EvidenceMetrics()
    assert list(shown.strengths()) == []
    clock = HandClock()
    shown.seen(Checkpoint(1, clock.now(), evidence.FRESH, {}))
    strengths, levels = list(shown.strengths()), list(shown.levels())
    assert [labels for _, labels in strengths] == [labels for _, labels in levels]
    assert {labels[show.DETECTOR] for _, labels in levels} == {RELATIVE, ABSOLUTE, "misassigned"}
    assert all(value < level for (value, _), (level, _) in zip(strengths, levels, strict=True))
    shown.seen(None)
    assert list(shown.strengths()) == []


# --- the webhook -----------------------------------------------------------------------------


def test_callbacks_are_counted_by_provider_and_answer() -> None:
    counts = CallbackMetrics(["target"], ["delivery", "optout"])
    for status, provider in ((200, "target"), (200, "target"), (404, NO_PROVIDER)):
        counts.answered(Answer("POST", "/reports/{provider}/{token}", status, provider), 0.02)
    counts.confirmed("target", "delivery", 0.003)
    served = {(d.labels[show.PROVIDER], d.labels[names.STATUS]): d for d in counts.served()}
    assert {key: sum(each.buckets) for key, each in served.items()} == {
        ("target", "200"): 2, (NO_PROVIDER, "404"): 1,
    }  # fmt: skip
    assert [(value, labels[show.KIND]) for value, labels in counts.reports()] == [
        (1, "delivery"), (0, "optout"),
    ]  # fmt: skip
    assert [each.total for each in counts.confirms()] == [0.003]


# --- the check of labels that the system test makes ------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        'sms_provider="at",sms_lane="bulk",sms_outcome="accepted",message_id="m-1"',
        'sms_provider="at",sms_lane="bulk",sms_outcome="to +260977123456"',
        'sms_provider="260977123456",sms_lane="bulk",sms_outcome="accepted"',
    ],
)
def test_a_label_that_has_no_bound_is_found(labels: str) -> None:
    text = f"# TYPE sms_attempts_total counter\nsms_attempts_total{{{labels}}} 1\n"
    assert len(Scraped(text).unbounded(["at"])) == 1


def test_a_metric_that_the_registry_lacks_is_found() -> None:
    found = Scraped(
        "# TYPE sms_surprise gauge\nsms_surprise 1\n# TYPE process_x gauge\nprocess_x 1\n"
    )
    assert found.unknown == ["sms_surprise"]
