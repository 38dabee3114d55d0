"""Which provider follows upon proof, and how many rounds there are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fakes import BULK, Harness, names, snapshot
from tests.unit.handlers.rounds import BAD, MAYBE, NO_ROUTE, SICK, results, settled
from worker.domain.messages.consent import Wish
from worker.domain.messages.message import Result, State
from worker.domain.messages.outcome import Blame, NotSent, Outcome, Refused
from worker.handlers.round import RoundOptedOut, RoundWaits

NO_SENDER = NotSent(Blame.MESSAGE, "402", "no such sender id")


@pytest.fixture
def bench() -> Harness:
    return Harness()


@pytest.mark.parametrize("proof", [SICK, NO_ROUTE, NO_SENDER, NotSent(Blame.ACCOUNT, "401", "key")])
async def test_the_other_provider_follows_upon_proof(bench: Harness, proof: Outcome) -> None:
    bench.target.outcomes = [proof]
    ended = await settled(bench, bench.message())
    assert ended.state is State.ACCEPTED
    assert results(bench.record()) == [("at", Result.NOT_SENT), ("old", Result.ACCEPTED)]
    assert bench.record().attempts[1].reason.endswith("; fallback")
    assert [measured.fallback for measured in bench.meter.attempts] == [False, True]
    assert [measured.eligible for measured in bench.meter.attempts] == [True, False]


async def test_a_fallback_is_no_possible_duplicate(bench: Harness) -> None:
    bench.target.outcomes = [SICK]
    ended = await settled(bench, bench.message())
    assert '"possibleDuplicate":false' in ended.events[0].body


async def test_no_provider_follows_upon_refusal(bench: Harness) -> None:
    bench.target.outcomes = [BAD]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.FAILED, ["sms.failed"])
    assert results(bench.record()) == [("at", Result.REFUSED)]
    assert bench.legacy.sent == []


@pytest.mark.parametrize(
    ("own", "unwanted"), [("PROMO", "promo"), (None, "bank")], ids=["its own", "the configured"]
)
async def test_a_refusal_by_opt_out_is_recorded_for_the_sender_the_message_went_under(
    bench: Harness, own: str | None, unwanted: str
) -> None:
    bench.target.outcomes = [Refused("406", "opted out", opted_out=True)]
    message = bench.message(sender_id=own)
    await settled(bench, message)
    (wish,) = bench.suppressed.wishes[message.recipient.hash]
    assert wish == Wish(unwanted, stopped=True, at=bench.clock.now(), source="refused by at")


async def test_who_left_one_sender_still_gets_the_messages_of_another(bench: Harness) -> None:
    message = bench.message(sender_id="SHOP")
    await bench.suppressed.opt_out(message.recipient, "PROMO")
    assert (await settled(bench, message)).state is State.ACCEPTED


@pytest.mark.parametrize("left", ["PROMO", "promo ", None], ids=["it", "in any case", "all"])
async def test_who_left_a_sender_gets_nothing_of_it_by_any_provider(
    bench: Harness, left: str | None
) -> None:
    message = bench.message(sender_id="PROMO")
    await bench.suppressed.opt_out(message.recipient, left)
    assert await bench.hybrid.run(message, None) == RoundOptedOut()


@pytest.mark.parametrize("left", ["BANK", "OLDBANK"], ids=["the target's", "the other's"])
async def test_a_message_without_a_sender_id_is_stopped_by_the_configured_one_of_either(
    bench: Harness, left: str
) -> None:
    message = bench.message()
    await bench.suppressed.opt_out(message.recipient, left)
    assert await bench.hybrid.run(message, None) == RoundOptedOut()


async def test_an_opt_out_while_the_intent_is_written_keeps_the_sms_from_leaving(
    bench: Harness,
) -> None:
    message, real = bench.message(), bench.messages.claim

    async def slow(*given: Any, **more: Any) -> Any:
        await bench.suppressed.opt_out(message.recipient)
        return await real(*given, **more)

    bench.messages.claim = slow
    ended = await bench.hybrid.run(message, None)
    assert ended == RoundWaits(1, 0)
    assert (bench.target.sent, bench.legacy.sent, bench.idle) == ([], [], True)
    assert await bench.hybrid.run(message, bench.record()) == RoundOptedOut()


async def test_a_round_that_failed_everywhere_waits_and_counts(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [SICK], [NO_ROUTE]
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    record = bench.record()
    assert (record.state, record.round, record.failed_rounds) == (State.WAITING, 1, 1)
    assert results(record) == [("at", Result.NOT_SENT), ("old", Result.NOT_SENT)]


@pytest.mark.parametrize(
    ("first", "refused"), [(SICK, False), (NO_ROUTE, True), (NO_SENDER, True), (MAYBE, False)]
)
async def test_a_provider_is_asked_knowing_whether_another_one_refused_the_message(
    bench: Harness, first: Outcome, *, refused: bool
) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [first], [SICK]
    await bench.hybrid.run(bench.message(), None)
    assert bench.target.refused_elsewhere == [False]
    assert bench.legacy.refused_elsewhere == [refused]


async def test_a_later_round_knows_who_refused_the_message(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [SICK, SICK], [NO_ROUTE, SICK]
    message = bench.message()
    await bench.hybrid.run(message, None)
    await bench.hybrid.run(message, bench.record())
    assert bench.target.refused_elsewhere == [False, True]
    assert bench.legacy.refused_elsewhere == [False, False]


@pytest.mark.parametrize("second", [NO_ROUTE, NO_SENDER])
async def test_what_no_provider_takes_fails_at_once(bench: Harness, second: Outcome) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [NO_SENDER], [second]
    ended = await settled(bench, bench.message(**BULK))
    assert (ended.state, names(ended.events)) == (State.FAILED, ["sms.failed"])
    assert ended.reason == f"no provider takes it; last: {second.reason}"
    assert f'"code":"{second.code}"' in ended.events[0].body


async def test_what_the_only_provider_does_not_take_fails_at_once(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    bench.target.outcomes = [NO_ROUTE]
    assert (await settled(bench, bench.message())).state is State.FAILED


async def test_a_message_refused_by_one_waits_for_the_other_whose_breaker_is_open(
    bench: Harness,
) -> None:
    bench.target.outcomes, bench.legacy.is_open = [NO_SENDER], True
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)


async def test_the_last_round_of_the_budget_fails(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [SICK, SICK], [SICK, SICK]
    message = bench.message()
    await bench.hybrid.run(message, None)
    ended = await settled(bench, message, bench.record())
    assert (ended.state, names(ended.events)) == (State.FAILED, ["sms.failed"])
    assert ended.reason == "every round failed; last: unavailable"
    assert '"attempts":4' in ended.events[0].body


async def test_each_lane_has_its_own_budget(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [SICK] * 3, [SICK] * 3
    message = bench.message(**BULK)
    assert await bench.hybrid.run(message, None) == RoundWaits(1, 1)
    assert await bench.hybrid.run(message, bench.record()) == RoundWaits(2, 2)
    assert (await settled(bench, message, bench.record())).state is State.FAILED
