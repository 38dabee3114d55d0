"""Attempt by attempt: one round of a message, with scripted providers and a clock of our own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.fakes import BULK, Harness, names, quietly, snapshot
from worker.domain.messages.consent import Wish
from worker.domain.messages.message import Attempt, Lane, Message, OnUnknown, Record, Result, State
from worker.domain.messages.outcome import Accepted, Blame, NotSent, Outcome, Refused, Unknown
from worker.domain.migration.phases import Phase, Role
from worker.handlers import message_events
from worker.handlers.round import (
    PendingIntents,
    RoundBlocked,
    RoundNotBegun,
    RoundOptedOut,
    RoundSettled,
    RoundTooLate,
    RoundWaits,
)

SICK = NotSent(Blame.PROVIDER, "503", "unavailable")
NO_ROUTE = NotSent(Blame.RECIPIENT, "404", "no route")
NO_SENDER = NotSent(Blame.MESSAGE, "402", "no such sender id")
BAD = Refused("403", "invalid number")
MAYBE = Unknown("timeout", "no answer")


@pytest.fixture
def bench() -> Harness:
    return Harness()


def results(record: Record) -> list[tuple[str, Result | None]]:
    return [(attempt.provider, attempt.result) for attempt in record.attempts]


async def settled(bench: Harness, message: Message, base: Record | None = None) -> RoundSettled:
    ended = await bench.hybrid.run(message, base)
    assert isinstance(ended, RoundSettled), ended
    assert bench.idle
    return ended


async def unknown_record(bench: Harness, **changes: Any) -> Record:
    """What a process leaves behind that died in its first attempt, once somebody found it."""
    dead = bench.owned_by("a dead process")
    message = bench.message(**changes)
    await dead.claim(message, _first_attempt())
    bench.clock.advance(bench.LEASE_S + 1)
    found = await bench.messages.look(message.id)
    assert found is not None
    event = message_events.unknown(found, found.attempts[-1], "gone", bench.clock.now())
    assert await bench.messages.declare_unknown(found, (event,)) is None
    stands = await bench.messages.look(message.id)
    assert stands is not None
    return stands


def _first_attempt(provider: str = "at") -> Attempt:
    return Attempt(epoch=1, provider=provider, version=1, reason="percentage")


# --- the straight way ------------------------------------------------------------------------


async def test_the_first_candidate_takes_it(bench: Harness) -> None:
    bench.target.outcomes = [Accepted("at-1", parts=2)]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.ACCEPTED, ["sms.sent"])
    assert results(bench.record()) == [("at", Result.ACCEPTED)]
    assert bench.legacy.sent == []


async def test_the_provider_gets_what_was_asked_for(bench: Harness) -> None:
    await settled(bench, bench.message(sender_id="BANK", traceparent="00-1-2-01"))
    (sms,) = bench.target.sent
    assert (sms.message_id, sms.epoch, sms.to) == ("m-1", 1, "+260977123456")
    assert (sms.text, sms.sender_id, sms.valid_for_s) == ("Your code is 1234", "BANK", 600.0)
    assert sms.traceparent == "00-1-2-01"


async def test_the_intent_is_durable_before_the_call(bench: Harness) -> None:
    seen: list[Any] = []

    async def during() -> None:
        await asyncio.sleep(0)
        seen.append(bench.record())

    bench.target.during = during
    await settled(bench, bench.message())
    assert (seen[0].state, seen[0].epoch) == (State.SUBMITTING, 1)
    assert results(seen[0]) == [("at", None)]


async def test_an_attempt_is_measured_once_with_its_cost_and_reason(bench: Harness) -> None:
    await settled(bench, bench.message(branch_id=7))
    (measured,) = bench.meter.attempts
    assert (measured.provider, measured.eligible, measured.fallback) == ("at", True, False)
    assert (measured.duration_ms, measured.lane, measured.branch_id) == (12.5, "transactional", 7)


# --- fallback --------------------------------------------------------------------------------


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


# --- unknown ---------------------------------------------------------------------------------


async def test_bulk_is_held_and_announced_unknown(bench: Harness) -> None:
    bench.target.outcomes = [MAYBE]
    ended = await settled(bench, bench.message(**BULK))
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert bench.legacy.sent == []


async def test_policy_is_the_messages_own_whatever_its_lane(bench: Harness) -> None:
    bench.target.outcomes = [MAYBE]
    held = bench.message(on_unknown=OnUnknown.HOLD)
    assert (await settled(bench, held)).state is State.UNKNOWN


async def test_transactional_is_sent_once_more_and_marked(bench: Harness) -> None:
    bench.target.outcomes = [MAYBE]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.ACCEPTED, ["sms.sent"])
    assert '"possibleDuplicate":true' in ended.events[0].body
    record = bench.record()
    assert results(record) == [("at", Result.UNKNOWN), ("old", Result.ACCEPTED)]
    assert (record.resend_used, record.attempts[1].resend) == (True, True)


async def test_two_unknowns_are_held(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [MAYBE], [MAYBE]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert len(bench.target.sent) + len(bench.legacy.sent) == 2


async def test_an_unknown_fallback_has_nobody_left_to_resend_through(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [SICK], [MAYBE]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert (len(bench.target.sent), len(bench.legacy.sent)) == (1, 1)


@pytest.mark.parametrize("second", [BAD, SICK, NO_ROUTE])
async def test_after_an_unknown_nothing_is_announced_failed(
    bench: Harness, second: Outcome
) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [MAYBE], [second]
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert '"attempt":1' in ended.events[0].body  # the one that may have left


async def test_an_unknown_without_a_second_provider_is_held(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    bench.target.outcomes = [MAYBE]
    assert (await settled(bench, bench.message())).state is State.UNKNOWN


# --- the resend after a dead process -----------------------------------------------------------


async def test_a_resend_goes_through_what_was_not_tried(bench: Harness) -> None:
    record = await unknown_record(bench)
    ended = await settled(bench, bench.message(), record)
    assert ended.state is State.ACCEPTED
    assert '"possibleDuplicate":true' in ended.events[-1].body
    assert (len(bench.target.sent), len(bench.legacy.sent)) == (0, 1)


async def test_a_resend_that_is_unknown_too_is_not_announced_twice(bench: Harness) -> None:
    bench.legacy.outcomes = [MAYBE]
    record = await unknown_record(bench)
    ended = await settled(bench, bench.message(), record)
    assert (ended.state, ended.events) == (State.UNKNOWN, ())


@pytest.mark.parametrize("second", [BAD, SICK])
async def test_a_resend_that_was_not_taken_leaves_it_unknown(
    bench: Harness, second: Outcome
) -> None:
    bench.legacy.outcomes = [second]
    record = await unknown_record(bench)
    assert (await settled(bench, bench.message(), record)).state is State.UNKNOWN


async def test_with_nobody_left_to_resend_through_the_stored_events_stand(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    record = await unknown_record(bench)
    ended = await settled(bench, bench.message(), record)
    assert (ended.state, ended.events) == (State.UNKNOWN, record.events)


async def test_a_resend_does_not_wait_for_the_breaker_of_what_was_tried(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    bench.target.is_open = True
    record = await unknown_record(bench)
    assert (await settled(bench, bench.message(), record)).events == record.events


async def test_a_resend_waits_for_the_breaker_of_what_was_not(bench: Harness) -> None:
    bench.legacy.is_open, bench.legacy.due_in_s = True, 4.0
    record = await unknown_record(bench)
    # The lane goes on: others have the target.
    assert await bench.hybrid.run(bench.message(), record) == RoundBlocked(4.0, lane=False)
    assert bench.record().state is State.UNKNOWN


# --- breakers --------------------------------------------------------------------------------


async def test_an_open_breaker_is_passed_over_and_counted(bench: Harness) -> None:
    bench.target.is_open = True
    ended = await settled(bench, bench.message())
    assert ended.state is State.ACCEPTED
    assert results(bench.record()) == [("old", Result.ACCEPTED)]
    assert bench.meter.passed_over == [("at", True)]
    assert bench.record().attempts[0].eligible is False


async def test_a_fallback_nobody_reached_is_not_counted_as_passed_over(bench: Harness) -> None:
    bench.legacy.is_open = True
    assert (await settled(bench, bench.message())).state is State.ACCEPTED
    assert bench.meter.passed_over == []


async def test_a_fallback_that_was_reached_is_counted_once(bench: Harness) -> None:
    bench.legacy.is_open = True
    bench.target.outcomes = [SICK]
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert bench.meter.passed_over == [("old", False)]


async def test_every_breaker_open_blocks_until_the_first_probe(bench: Harness) -> None:
    bench.target.is_open = bench.legacy.is_open = True
    bench.target.due_in_s, bench.legacy.due_in_s = 9.0, 3.0
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(3.0)
    assert bench.shelf == {}
    assert bench.meter.passed_over == [("at", True), ("old", False)]


async def test_a_provider_without_a_role_does_not_shorten_the_pause(bench: Harness) -> None:
    bench.snapshots.current = snapshot(0, Phase.ROLLBACK)
    bench.legacy.is_open, bench.legacy.due_in_s = True, 9.0
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(9.0)


async def test_a_probe_somebody_else_took_sends_to_the_other(bench: Harness) -> None:
    async def closes() -> None:
        bench.target.is_open = True

    bench.target.probes, bench.target.waiting = [False], closes
    ended = await settled(bench, bench.message())
    assert ended.state is State.ACCEPTED
    assert (bench.target.sent, len(bench.legacy.sent)) == ([], 1)


async def test_nobody_with_a_role_is_blocked_for_no_time(bench: Harness) -> None:
    bench.snapshots.current = snapshot(0, Phase.ROLLBACK, legacy_enabled=False)
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(0.0)


# --- decided again ---------------------------------------------------------------------------


async def test_a_change_while_waiting_at_the_limiter_is_decided_again(bench: Harness) -> None:
    async def rollback() -> None:
        bench.snapshots.current = snapshot(0, Phase.ROLLBACK, version=2)

    bench.target.waiting = rollback
    await settled(bench, bench.message())
    assert results(bench.record()) == [("old", Result.ACCEPTED)]
    assert (bench.record().attempts[0].version, bench.target.sent) == (2, [])


async def test_a_snapshot_gone_stale_while_waiting_is_waited_for(bench: Harness) -> None:
    stales: list[bool] = []

    async def stale() -> None:
        bench.snapshots.stale = not stales
        stales.append(bench.snapshots.stale)

    bench.target.waiting = stale
    await settled(bench, bench.message())
    assert stales == [True, False]
    assert len(bench.target.sent) == 1


async def test_a_rollback_moves_what_waits_for_a_retry(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.outcomes = [SICK], [SICK]
    message = bench.message()
    await bench.hybrid.run(message, None)
    bench.snapshots.current = snapshot(0, Phase.ROLLBACK, version=2)
    await settled(bench, message, bench.record())
    assert bench.record().attempts[-1].provider == "old"
    assert len(bench.target.sent) == 1


async def test_a_rollback_between_two_candidates_counts_for_the_second(bench: Harness) -> None:
    bench.snapshots.current = snapshot(0)  # legacy first

    async def rollback() -> None:
        bench.snapshots.current = snapshot(0, Phase.ROLLBACK, version=2)

    bench.legacy.outcomes, bench.legacy.during = [SICK], rollback
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert bench.target.sent == []


# --- not begun, too late, opted out ------------------------------------------------------------


async def test_a_drain_begins_nothing(bench: Harness) -> None:
    bench.draining = True
    assert await bench.hybrid.run(bench.message(), None) == RoundNotBegun()
    assert bench.shelf == {}


async def test_a_drain_at_the_limiter_begins_nothing(bench: Harness) -> None:
    async def drain() -> None:
        bench.draining = True

    bench.target.waiting = drain
    assert await bench.hybrid.run(bench.message(), None) == RoundNotBegun()
    assert (bench.shelf, bench.idle) == ({}, True)


async def test_a_drain_after_a_proof_begins_no_other_call_and_does_not_count(
    bench: Harness,
) -> None:
    async def drain() -> None:
        bench.draining = True

    bench.target.outcomes, bench.target.during = [SICK], drain
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert (bench.record().state, bench.record().failed_rounds) == (State.WAITING, 0)
    assert results(bench.record()) == [("at", Result.NOT_SENT)]
    assert (bench.legacy.sent, bench.idle) == ([], True)


async def test_a_drain_does_not_put_off_the_resend_of_what_may_have_left(bench: Harness) -> None:
    async def drain() -> None:
        bench.draining = True

    bench.target.outcomes, bench.target.during = [MAYBE], drain
    assert (await settled(bench, bench.message())).state is State.ACCEPTED
    assert len(bench.legacy.sent) == 1


async def test_a_life_that_is_over_begins_nothing(bench: Harness) -> None:
    message = bench.message()
    bench.clock.advance(600)
    assert await bench.hybrid.run(message, None) == RoundTooLate()
    assert bench.shelf == {}


async def test_a_life_that_ends_at_the_limiter_begins_nothing(bench: Harness) -> None:
    async def wait() -> None:
        bench.clock.advance(600)

    bench.target.waiting = wait
    assert await bench.hybrid.run(bench.message(), None) == RoundTooLate()
    assert (bench.shelf, bench.idle) == ({}, True)


async def test_a_life_that_ends_in_mid_round_fails(bench: Harness) -> None:
    async def wait() -> None:
        bench.clock.advance(600)

    bench.target.outcomes, bench.target.during = [SICK], wait
    ended = await settled(bench, bench.message())
    assert (ended.state, names(ended.events)) == (State.FAILED, ["sms.failed"])
    assert ended.reason == "its life ended; last: unavailable"


async def test_an_opted_out_recipient_is_asked_of_nobody(bench: Harness) -> None:
    message = bench.message()
    await bench.suppressed.opt_out(message.recipient)
    assert await bench.hybrid.run(message, None) == RoundOptedOut()
    assert bench.shelf == {}


async def test_an_opt_out_in_mid_round_ends_it(bench: Harness) -> None:
    message = bench.message()

    async def opt_out() -> None:
        await bench.suppressed.opt_out(message.recipient)

    bench.target.outcomes, bench.target.during = [SICK], opt_out
    ended = await settled(bench, message)
    assert (ended.state, bench.legacy.sent) == (State.FAILED, [])
    assert ended.reason == "recipient opted out; last: unavailable"


async def test_an_opt_out_after_an_unknown_does_not_make_it_failed(bench: Harness) -> None:
    message = bench.message()

    async def opt_out() -> None:
        await bench.suppressed.opt_out(message.recipient)

    bench.target.outcomes, bench.target.during = [MAYBE], opt_out
    ended = await settled(bench, message)
    assert (ended.state, names(ended.events)) == (State.UNKNOWN, ["sms.unknown"])
    assert bench.legacy.sent == []


# --- between intent and POST -------------------------------------------------------------------


def slow_store(bench: Harness, seconds: float) -> None:
    """Each intent takes that long to become durable."""
    for name in ("claim", "intend"):
        real = getattr(bench.messages, name)

        async def slow(*args: Any, _real: Any = real, **kwargs: Any) -> Any:
            held = await _real(*args, **kwargs)
            bench.clock.advance(seconds)
            return held

        setattr(bench.messages, name, slow)


@pytest.mark.parametrize(
    ("seconds", "life_s"),
    [
        (Harness.LEASE_S - Harness.DEADLINE_S, 600),  # the lease would end before the provider must
        (20, 10),
    ],
)
async def test_an_intent_that_came_too_late_is_withdrawn_uncounted(
    bench: Harness, seconds: float, life_s: float
) -> None:
    slow_store(bench, seconds)
    message = bench.message(expires_at=bench.clock.now() + timedelta(seconds=life_s))
    assert await bench.hybrid.run(message, None) == RoundWaits(1, 0)
    assert (bench.target.sent, bench.idle) == ([], True)
    record = bench.record()
    assert (record.state, record.failed_rounds) == (State.WAITING, 0)
    assert results(record) == [("at", Result.NOT_SENT)]


async def test_a_lease_just_long_enough_is_used(bench: Harness) -> None:
    slow_store(bench, Harness.LEASE_S - Harness.DEADLINE_S - 0.001)
    assert (await settled(bench, bench.message())).state is State.ACCEPTED


async def test_a_resend_that_came_too_late_leaves_it_unknown(bench: Harness) -> None:
    record = await unknown_record(bench)
    slow_store(bench, 40)
    ended = await settled(bench, bench.message(), record)
    assert (ended.state, bench.legacy.sent) == (State.UNKNOWN, [])


async def test_the_version_of_an_intent_is_known_while_it_is_written(bench: Harness) -> None:
    real, seen = bench.messages.claim, []

    async def claim(*args: Any) -> Any:
        seen.append(bench.pending_intents.oldest())
        return await real(*args)

    bench.messages.claim = claim
    await settled(bench, bench.message())
    assert seen == [1]


def test_the_oldest_of_several_versions_is_the_one_left_behind() -> None:
    pending = PendingIntents()
    with pending.writing(3), pending.writing(2), pending.writing(2):
        assert pending.oldest() == 2
    assert pending.oldest() is None


# --- lost to another ---------------------------------------------------------------------------


async def declared_meanwhile(bench: Harness, *, resent: bool) -> None:
    """Our lease runs out in mid-call, and another process finds the record."""
    bench.clock.advance(bench.LEASE_S + 1)
    theirs = bench.owned_by("theirs")
    found = await theirs.look("m-1")
    assert found is not None
    event = message_events.unknown(found, found.attempts[-1], "gone", bench.clock.now())
    assert await theirs.declare_unknown(found, (event,)) is None
    if resent:
        stands = await theirs.look("m-1")
        assert stands is not None
        attempt = replace(_first_attempt("old"), epoch=stands.epoch + 1, resend=True)
        assert not isinstance(await theirs.intend(stands, attempt, lane=Lane.TRANSACTIONAL), Record)


@pytest.mark.parametrize("outcome", [Accepted("at-1"), BAD, MAYBE, SICK])
async def test_what_another_took_over_stands_and_our_outcome_is_late(
    bench: Harness, outcome: Outcome
) -> None:
    bench.target.outcomes = [outcome]
    bench.target.during = lambda: declared_meanwhile(bench, resent=True)
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert (stands.owner, stands.epoch) == ("theirs", 2)
    (late,) = bench.shelf["m-1"].late[1]
    assert (late.outcome, bench.legacy.sent, bench.idle) == (outcome, [], True)


async def test_a_last_candidates_proof_is_late_too(bench: Harness) -> None:
    bench.snapshots.current = snapshot(100, legacy_enabled=False)
    bench.target.outcomes = [SICK]
    bench.target.during = lambda: declared_meanwhile(bench, resent=True)
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert [late.outcome for late in bench.shelf["m-1"].late[1]] == [SICK]


async def test_an_answer_after_the_lease_still_counts_where_nobody_went_on(bench: Harness) -> None:
    bench.target.outcomes = [Accepted("at-1")]
    bench.target.during = lambda: declared_meanwhile(bench, resent=False)
    assert (await settled(bench, bench.message())).state is State.ACCEPTED


async def test_proof_after_the_lease_still_falls_back(bench: Harness) -> None:
    bench.target.outcomes = [SICK]
    bench.target.during = lambda: declared_meanwhile(bench, resent=False)
    long = bench.message(expires_at=bench.clock.now().replace(year=2030))
    assert (await settled(bench, long)).state is State.ACCEPTED
    assert results(bench.record()) == [("at", Result.NOT_SENT), ("old", Result.ACCEPTED)]


async def test_a_claim_that_lost_calls_nobody(bench: Harness) -> None:
    await bench.owned_by("theirs").claim(bench.message(), _first_attempt())
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert (stands.owner, bench.target.sent, bench.idle) == ("theirs", [], True)


async def test_two_processes_with_one_retry_copy_call_once() -> None:
    one = Harness()
    one.target.outcomes, one.legacy.outcomes = [SICK], [SICK]
    message = one.message()
    await one.hybrid.run(message, None)
    other = Harness(shelf=one.shelf)
    base = one.record()
    ends = await asyncio.gather(one.hybrid.run(message, base), other.hybrid.run(message, base))
    assert sorted(type(end).__name__ for end in ends) == ["Record", "RoundSettled"]
    assert len(one.target.sent) + len(other.target.sent) == 2  # the first round, and one of them


async def test_a_failing_store_gives_the_place_back(bench: Harness) -> None:
    async def broken(*_: Any) -> Any:
        raise ValueError("cannot be encoded")

    bench.messages.claim = broken
    with pytest.raises(ValueError, match="encoded"):
        await bench.hybrid.run(bench.message(), None)
    assert bench.idle


async def test_a_cancelled_round_gives_the_place_back(bench: Harness) -> None:
    forever = asyncio.Event()
    bench.target.during = forever.wait
    task = asyncio.create_task(bench.hybrid.run(bench.message(), None))
    while not bench.target.sent:
        await asyncio.sleep(0)
    task.cancel()
    await quietly(task)
    assert bench.idle


# --- busy: passed over, and no failure ----------------------------------------------------------


async def test_a_busy_provider_is_passed_over_as_no_failure_of_its_own(bench: Harness) -> None:
    bench.target.busy_s = 5.0
    ended = await settled(bench, bench.message())
    assert ended.state is State.ACCEPTED
    (attempt,) = bench.record().attempts
    assert (attempt.provider, attempt.eligible) == ("old", False)
    assert attempt.reason.endswith("; target takes no more now; fallback")
    assert bench.meter.passed_over == []
    assert [measured.fallback for measured in bench.meter.attempts] == [True]
    assert (bench.target.sent, bench.target.waits) == ([], 0)


async def test_who_waited_for_one_provider_in_vain_goes_to_the_other(bench: Harness) -> None:
    bench.target.full = True
    await settled(bench, bench.message())
    assert results(bench.record()) == [("old", Result.ACCEPTED)]
    assert bench.target.waits == 1
    assert "target takes no more now" in bench.record().attempts[0].reason


@pytest.mark.parametrize("busy_s", [0.0, 5.0])
async def test_where_nobody_takes_more_nothing_is_tried_nor_written(
    bench: Harness, busy_s: float
) -> None:
    for guard, longer in ((bench.target, 0), (bench.legacy, 2)):
        guard.full, guard.busy_s = True, busy_s and busy_s + longer
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(busy_s)
    assert (bench.shelf, bench.idle) == ({}, True)
    assert bench.target.waits == bench.legacy.waits == (0 if busy_s else 1)


async def test_one_busy_and_one_open_pause_until_the_first_of_both(bench: Harness) -> None:
    bench.target.is_open, bench.legacy.busy_s = True, 5.0
    assert await bench.hybrid.run(bench.message(), None) == RoundBlocked(5.0)
    assert bench.meter.passed_over == [("at", True)]


async def test_a_probe_of_a_busy_provider_comes_again_and_pauses_nobody(bench: Harness) -> None:
    bench.target.busy_s = 5.0
    message = bench.message(probe=Role.TARGET)
    assert await bench.hybrid.run(message, None) == RoundBlocked(0.0, lane=False)
    assert (bench.shelf, bench.meter.probes_passed_over) == ({}, [])


# --- a proof is not kept in memory ----------------------------------------------------------------


async def test_a_fallback_that_is_free_at_once_costs_no_further_write(bench: Harness) -> None:
    async def never(*_: Any, **__: Any) -> None:
        raise AssertionError("expected two intents and an outcome only")

    bench.messages.wait = bench.messages.look = never
    bench.target.outcomes = [SICK]
    await settled(bench, bench.message())
    assert results(bench.record()) == [("at", Result.NOT_SENT), ("old", Result.ACCEPTED)]


async def test_while_the_fallback_is_waited_for_the_proof_is_written(bench: Harness) -> None:
    seen: list[Record] = []

    async def look() -> None:
        seen.append(bench.record())

    bench.target.outcomes, bench.legacy.waiting = [SICK], look
    await settled(bench, bench.message())
    assert (seen[0].state, seen[0].round, seen[0].failed_rounds) == (State.WAITING, 1, 0)
    assert results(seen[0]) == [("at", Result.NOT_SENT)]
    assert results(bench.record()) == [("at", Result.NOT_SENT), ("old", Result.ACCEPTED)]
    assert bench.record().attempts[1].reason.endswith("; fallback")


@pytest.mark.parametrize("how", ["busy", "full"])
async def test_a_fallback_that_takes_no_more_leaves_the_message_waiting_uncounted(
    bench: Harness, how: str
) -> None:
    bench.target.outcomes = [SICK]
    bench.legacy.busy_s, bench.legacy.full = (5.0, False) if how == "busy" else (0.0, True)
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert (bench.record().state, bench.record().failed_rounds) == (State.WAITING, 0)
    assert (len(bench.target.sent), bench.legacy.sent, bench.idle) == (1, [], True)


async def test_the_copies_of_what_waits_uncounted_come_ever_later(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.busy_s = [NO_ROUTE] * 9, 5.0
    message = bench.message(lane=Lane.BULK)
    base = None
    for calls in (1, 2, 3, 4, 5):
        assert await bench.hybrid.run(message, base) == RoundWaits(calls, calls)
        base = bench.record()
    assert base.failed_rounds == 0


async def test_a_round_whose_last_candidate_fails_after_the_wait_counts_once(
    bench: Harness,
) -> None:
    async def wait() -> None:
        pass

    bench.target.outcomes, bench.legacy.outcomes = [SICK], [SICK]
    bench.legacy.waiting = wait
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(2, 1)
    assert bench.record().failed_rounds == 1


async def test_a_proof_is_written_before_a_fresh_state_is_waited_for(bench: Harness) -> None:
    seen: list[State] = []
    real = bench.snapshots.fresh

    async def stale() -> None:
        bench.snapshots.stale = True

    async def fresh() -> Any:
        if bench.shelf:
            seen.append(bench.record().state)
        return await real()

    bench.snapshots.fresh = fresh
    bench.target.outcomes, bench.target.during = [SICK], stale
    await settled(bench, bench.message())
    assert seen == [State.WAITING]
    assert results(bench.record())[1] == ("old", Result.ACCEPTED)


async def test_a_life_that_ends_at_the_fallback_leaves_the_end_to_the_copy(bench: Harness) -> None:
    async def wait() -> None:
        bench.clock.advance(600)

    bench.target.outcomes, bench.legacy.waiting = [SICK], wait
    assert await bench.hybrid.run(bench.message(), None) == RoundWaits(1, 1)
    assert bench.legacy.sent == []


async def test_who_goes_on_from_the_written_proof_elsewhere_is_left_alone(bench: Harness) -> None:
    async def taken_over() -> None:
        theirs = bench.owned_by("theirs")
        attempt = Attempt(2, "old", 1, "fallback")
        await theirs.intend(bench.record(), attempt, lane=Lane.TRANSACTIONAL)

    bench.target.outcomes, bench.legacy.waiting = [SICK], taken_over
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert (stands.state, stands.owner) == (State.SUBMITTING, "theirs")
    assert (bench.legacy.sent, bench.idle) == ([], True)


async def test_a_proof_that_lost_its_record_is_kept_as_a_late_one(bench: Harness) -> None:
    async def taken_over() -> None:
        bench.clock.advance(bench.LEASE_S + 1)
        found = await bench.messages.look("m-1")
        assert found is not None
        assert await bench.owned_by("theirs").declare_unknown(found, ()) is None
        unknown, attempt = bench.record(), Attempt(2, "old", 1, "resend", resend=True)
        await bench.owned_by("theirs").intend(unknown, attempt, lane=Lane.TRANSACTIONAL)

    bench.target.outcomes, bench.target.during = [SICK], taken_over
    bench.legacy.full = True
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert stands.owner == "theirs"
    assert [late.outcome for late in bench.shelf["m-1"].late[1]] == [SICK]


async def test_a_resend_waits_for_who_is_busy_only(bench: Harness) -> None:
    bench.target.outcomes, bench.legacy.busy_s = [MAYBE], 5.0
    stands = await bench.hybrid.run(bench.message(), None)
    assert isinstance(stands, Record)
    assert (stands.state, stands.resend_used) == (State.UNKNOWN, False)
    assert names(stands.events) == ["sms.unknown"]
    assert await bench.hybrid.run(bench.message(), stands) == RoundBlocked(5.0, lane=False)
    bench.legacy.busy_s = 0.0
    assert (await settled(bench, bench.message(), stands)).state is State.ACCEPTED
