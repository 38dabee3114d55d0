"""Delivery reports early, late, doubled, out of order, or never: each fact is told once.

All messages are published at once, each with a text its fault rule knows; then each is judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from contracts import control
from tests.support.otlp_receiver import Receiver, receiving
from tests.support.recipients import new_number, number_for
from tests.support.scraped import Scraped
from tests.support.waiting import until
from tests.support.whole_system import PROVIDERS, System
from worker.domain.migration.phases import Phase
from worker.lab.local.parts import PRIVATE_WEBHOOK
from worker.telemetry import instruments as show
from worker.telemetry.resource import WEBHOOK, WORKER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from worker.telemetry.instrument import Instrument

PROFILE: Final = {
    "SMS_REPORT_DEADLINE_S": "6",
    "SMS_DELIVERY_AGE_S": "3",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "SMS_TRACE_RATIO": "1",
}
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SPANS: Final = (
    "process sms.send.transactional",
    "send africastalking",
    "process sms.reports",
)
"""Of a message and its report: the first is the publisher's child, the others are its own."""
AFTER_DEADLINE_MS: Final = 10_000
WITHIN_S: Final = 30.0
TAKEN: Final = "POST /reports/{provider}/{token}"
"""The webhook's span. A callback begins a trace; that of the message links to it."""
MAY_BE_EMPTY: Final = {show.ALERTS, show.COST}
"""Metrics without a value while nothing is wrong, and where nothing has a price."""

SENT: Final = "sms.sent"
DELIVERED: Final = "sms.delivered"
PLANS: Final[Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]]] = {
    "early": ({"before_answer": True}, (SENT, DELIVERED)),
    "soon": ({"delay_ms": 20}, (SENT, DELIVERED)),
    "late": ({"delay_ms": 1500}, (SENT, DELIVERED)),
    "doubled": ({"copies": 3}, (SENT, DELIVERED)),
    "in-order": ({"intermediate": True}, (SENT, DELIVERED)),
    "out-of-order": ({"intermediate": True, "reversed": True, "copies": 2}, (SENT, DELIVERED)),
    "failing": ({"status": "failed"}, (SENT, "sms.undelivered")),
    "absent": ({"status": "absent"}, (SENT, "sms.undelivered")),
    "never": ({"send": False}, (SENT, "sms.unreported")),
    "never-final": ({"status": "submitted"}, (SENT, "sms.unreported")),
    "undocumented": ({"raw_status": "Teleported"}, (SENT, "sms.unreported")),
    "after-deadline": ({"delay_ms": AFTER_DEADLINE_MS}, (SENT, "sms.unreported", DELIVERED)),
}
"""Name in the text -> what the provider reports, and the events that upstream must see."""


def name_of(plan: str, provider: str, lane: str) -> str:
    return f"{plan}_{provider}_{lane}"


def rules(provider: str) -> list[dict[str, Any]]:
    """One rule a plan, and those of the messages that may have been taken."""
    unclear = {
        "proved_": {"do": "close", "reports": {"delay_ms": 500}},
        "twice_africastalking": {"do": "close", "reports": {"delay_ms": 2500}},
    }
    if provider == "legacy":
        unclear["twice_africastalking"] = {"do": "close", "reports": {"send": False}}
    plans = {f"{name}_": {"do": "answer", "reports": plan} for name, (plan, _) in PLANS.items()}
    return [
        {"match": {"text_regex": f"#{name}"}, "action": action}
        for name, action in {**plans, **unclear}.items()
    ]


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    """Takes the spans of the workers."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def profile(collector: Receiver) -> Mapping[str, str]:
    return {**PROFILE, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}


@pytest.fixture(scope="module")
async def told(system: System) -> System:
    """Everything is published and sent; its reports are on their way."""
    await system.put(Phase.GRADUAL_MIGRATION, 50)
    for provider in PROVIDERS:
        await system.faults(provider, *rules(provider))
    for provider in PROVIDERS:
        to = [number_for(provider) for _ in range(len(PLANS) + 2)]
        for plan in PLANS:
            await system.send(name_of(plan, provider, "bulk"), lane="bulk", to=to.pop())
        await system.send(name_of("proved", provider, "bulk"), lane="bulk", to=to.pop())
    await system.send("twice_africastalking", to=number_for("africastalking"))
    return system


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("plan", PLANS)
async def test_reports_are_told_as_facts_once_each(told: System, plan: str, provider: str) -> None:
    name, (_, expected) = name_of(plan, provider, "bulk"), PLANS[plan]

    await told.told(name, expected[-1], WITHIN_S)

    assert sorted(told.events.names(name)) == sorted(expected)
    assert told.takers(name) == [provider]
    delivered = told.events.first(name, DELIVERED)
    assert delivered is None or delivered["matchedBy"] == "reference"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_report_proves_that_a_held_message_was_taken(told: System, provider: str) -> None:
    name = name_of("proved", provider, "bulk")

    delivered = await told.told(name, DELIVERED, WITHIN_S)

    assert set(told.events.names(name)) == {"sms.unknown", SENT, DELIVERED}
    assert delivered["matchedBy"] == ("recipient" if provider == "africastalking" else "reference")
    assert told.takers(name) == [provider]
    sent = told.events.first(name, SENT)
    assert sent is not None
    assert not sent["possibleDuplicate"]


async def test_what_two_providers_may_have_is_marked_when_a_report_proves_one(
    told: System,
) -> None:
    sent = await told.told("twice_africastalking", SENT, WITHIN_S)

    assert sorted(told.takers("twice_africastalking")) == sorted(PROVIDERS)
    assert (sent["provider"], sent["attempt"]) == ("africastalking", 1)
    assert sent["possibleDuplicate"], await told.story(["twice_africastalking"])


OWN_NUMBERS: Final = (new_number(), new_number())


async def accepted(system: System) -> dict[str, tuple[int, int, int]]:
    """By provider: messages accepted, then validation messages accepted and delivered."""
    reply = await system.steer.ask(control.Health)
    assert reply.data is not None
    return {
        provider: (
            found["accepted"],
            found["validation"]["successRate"]["count"],
            found["validation"]["deliveryRate"]["count"],
        )
        for provider, found in reply.data["providers"].items()
    }


def ends(system: System) -> dict[str, list[str]]:
    """What was told of each probe, by what is marked as one."""
    marked = {each["messageId"] for each in system.events.all if each.get("validation")}
    return {name: system.events.names(name) for name in marked}


async def test_probes_are_sent_marked_and_counted_apart_until_they_have_arrived(
    told: System,
) -> None:
    before = await accepted(told)

    async def counted() -> bool:
        return all(sent and arrived for _, sent, arrived in (await accepted(told)).values())

    await told.steer.validation(Enabled=True, Numbers=OWN_NUMBERS, IntervalSeconds=10)
    await until(counted, WITHIN_S, lambda: str(ends(told)))
    await told.steer.validation(Enabled=False)
    await until(lambda: all(len(each) == len((SENT, DELIVERED)) for each in ends(told).values()), 5)
    after = await accepted(told)
    assert [sums[0] for sums in after.values()] == [sums[0] for sums in before.values()]
    assert all(sorted(each) == [DELIVERED, SENT] for each in ends(told).values())
    journal = [line for line in told.taken() if line["to"] in OWN_NUMBERS]
    assert {line["provider"] for line in journal} == set(PROVIDERS)
    assert len(journal) == len(ends(told))


async def test_one_trace_spans_publisher_worker_provider_event_and_report(
    told: System, collector: Receiver
) -> None:
    ours = f"00-{TRACE}-00f067aa0ba902b7-01"
    await told.send("traced", to=number_for("africastalking"), trace=ours)
    events = [await told.told("traced", name) for name in (SENT, DELIVERED)]

    def of_the_message() -> set[str]:
        return {span.name for span in collector.spans if span.trace_id.hex() == TRACE}

    await until(lambda: of_the_message() == set(SPANS), WITHIN_S, lambda: str(of_the_message()))
    spans = {span.name: span for span in collector.spans if span.trace_id.hex() == TRACE}
    processed = spans[SPANS[0]]
    assert processed.parent_span_id.hex() == ours.split("-")[2]
    assert {spans[name].parent_span_id for name in SPANS[1:]} == {processed.span_id}
    assert {told.events.traces[event["eventId"]].split("-")[1] for event in events} == {TRACE}


async def test_the_trace_of_a_message_leads_to_the_webhook_that_took_its_report(
    told: System, collector: Receiver
) -> None:
    def found() -> bool:
        by_id = {span.span_id: span for span in collector.spans}
        reports = [s for s in by_id.values() if s.trace_id.hex() == TRACE and s.name == SPANS[2]]
        causes = [by_id.get(link.span_id) for report in reports for link in report.links]
        taken = [by_id.get(cause.parent_span_id) for cause in causes if cause is not None]
        return [span.name for span in taken if span is not None] == [TAKEN]

    await until(found, WITHIN_S, lambda: str({span.name for span in collector.spans}))
    served = [span for span in collector.spans_of(WEBHOOK) if span.name == TAKEN]
    assert served
    assert not any(span.parent_span_id for span in served)
    tokens = [told.stack.secrets[f"{each}_report_token"] for each in PROVIDERS]
    assert not any(token in str(span) for span in served for token in tokens)


async def scraped(system: System, part: str) -> Scraped:
    async with system.http.get(f"{system.stack.http[part]}/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        return Scraped(await answer.text())


@pytest.mark.parametrize(
    ("service", "expected"), [(WORKER, show.OF_WORKER), (WEBHOOK, show.OF_WEBHOOK)]
)
async def test_prometheus_and_a_collector_get_the_same_metrics_with_bounded_labels(
    told: System, collector: Receiver, service: str, expected: tuple[Instrument, ...]
) -> None:
    part = told.workers()[0][0] if service == WORKER else PRIVATE_WEBHOOK
    wanted = {each.name for each in expected if each not in MAY_BE_EMPTY}
    empty = {each.name for each in MAY_BE_EMPTY}

    def exported() -> set[str]:
        return {name for name in collector.metrics_of(service) if name not in empty}

    await until(lambda: exported() >= wanted, WITHIN_S, lambda: str(wanted - exported()))
    found = await scraped(told, part)

    assert {each.name for each in found.values if each not in MAY_BE_EMPTY} == wanted
    assert exported() == wanted
    assert found.unknown == []
    assert found.unbounded(PROVIDERS) == []


async def test_the_figures_of_both_processes_are_those_of_the_messages(told: System) -> None:
    workers = [await scraped(told, name) for name, _ in told.workers()]
    webhook = await scraped(told, PRIVATE_WEBHOOK)
    accepted = {
        (provider, lane): sum(
            each.value(show.ATTEMPTS, sms_provider=provider, sms_outcome="accepted", sms_lane=lane)
            for each in workers
        )
        for provider in PROVIDERS
        for lane in ("bulk", "transactional")
    }
    assert accepted["legacy", "bulk"] >= len(PLANS)
    assert accepted["africastalking", "bulk"] >= len(PLANS)
    assert accepted["africastalking", "transactional"] >= 1
    assert all(webhook.value(show.REPORTS, sms_provider=each) > 0 for each in PROVIDERS)
    assert webhook.value(show.SERVED, "_count", http_response_status_code="200") > 0
    assert webhook.value(show.CONFIRMED, "_count") == webhook.value(show.REPORTS)


async def test_all_reports_have_found_their_message(told: System) -> None:
    """Last: nothing repeats, and what came is matched, but for what nobody documented."""

    async def unmatched() -> list[dict[str, Any]]:
        query = {"matched": False, "status": {"$ne": "Teleported"}}
        return await told.store["reports"].find(query).to_list(None)

    async def none() -> bool:
        return not await unmatched()

    async def why() -> str:
        return str(await unmatched())

    await until(none, WITHIN_S, why)
    for plan, (_, expected) in PLANS.items():
        for provider in PROVIDERS:
            names = told.events.names(name_of(plan, provider, "bulk"))
            assert sorted(names) == sorted(expected)
