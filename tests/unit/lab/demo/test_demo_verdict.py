"""The demo's verdict: each promise fails for what breaks it, and names the messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from worker.lab.demo.facts import (
    LEGACY,
    TARGET,
    Automatic,
    Change,
    Facts,
    Kill,
    Published,
    Scene,
    Standing,
    Taken,
    Told,
)
from worker.lab.demo.verdict import Row, headline, judge

TO_TARGET, TO_LEGACY = "+260977123456", "+260955000001"
"""Buckets 24 and 62."""


def published(ident: str, at: float, lane: str = "bulk", to: str = TO_LEGACY) -> Published:
    return Published(ident, lane, to, at)


def told(ident: str, event: str, at: float, **more: Any) -> Told:
    return Told(ident, event, at, event_id=f"{ident} {event}", **more)


def well(ident: str, at: float, provider: str) -> dict[str, Any]:
    """What is seen of a message all goes well with, but for its publication."""
    return {
        "taken": (Taken(ident, provider, at + 0.01),),
        "told": (
            told(ident, "sms.sent", at + 0.02, provider=provider),
            told(ident, "sms.delivered", at + 0.03),
        ),
    }


def held(ident: str, at: float) -> tuple[Told, ...]:
    """The killed worker's bulk message: unknown, as somebody else declared."""
    return (told(ident, "sms.unknown", at, reason="africastalking: its caller is gone"),)


def good() -> Facts:
    """A run that keeps every promise: a share, a fault, a kill, a broken command."""
    first, second, third = well("a", 1.0, TARGET), well("b", 2.0, LEGACY), well("c", 6.0, LEGACY)
    return Facts(
        published=(
            published("a", 1.0, "transactional", TO_TARGET),
            published("b", 2.0),
            published("x", 3.0),
            published("c", 6.0, "transactional", TO_TARGET),
            published("k", 8.0),
        ),
        taken=(*first["taken"], *second["taken"], *third["taken"]),
        told=(
            *(*first["told"], *second["told"], *third["told"]),
            told("x", "sms.rejected", 3.1),
            *held("k", 12.0),
        ),
        changes=(
            Change(TARGET, "one", "open", 5.5),
            Change(TARGET, "one", "half_open", 6.5),
            Change(TARGET, "one", "closed", 6.6),
        ),
        dead={"x": "branchId"},
        broken=frozenset({"x"}),
        scenes=(
            Scene("25 % moved", "25%", 0.5, 4.0, percentage=25),
            Scene("down", "down", 5.0, 7.0, opens_breaker=True),
        ),
        kill=Kill(8.5, frozenset({"k"})),
        rollback_s=1.0,
        automatic=Automatic(Standing("GradualMigration", 25), 20.0, 11.0, 32.0),
    )


def row(facts: Facts, begins: str) -> Row:
    (found,) = (each for each in judge(facts) if each.promise.startswith(begins))
    return found


def add(facts: Facts, **more: tuple[Any, ...]) -> Facts:
    return replace(facts, **{name: (*getattr(facts, name), *new) for name, new in more.items()})


def test_a_good_run_breaks_no_promise() -> None:
    assert [each for each in judge(good()) if each.holds is False] == []
    assert headline(judge(good()), good()).startswith("PASS: ")


def test_a_broken_promise_is_the_headline() -> None:
    facts = add(good(), published=(published("l", 7.0),))
    assert headline(judge(facts), facts).startswith("FAIL: 2 of ")


def test_a_story_that_broke_off_fails() -> None:
    facts = replace(good(), broke_off="the breaker did not close")
    assert judge(facts)[0] == Row("the story ran to its end", "the breaker did not close", False)  # noqa: FBT003 - a row as it is printed


def without_delivery(facts: Facts) -> Facts:
    return replace(facts, told=tuple(e for e in facts.told if e.event != "sms.delivered"))


BREAKS = {
    "lost": (lambda f: add(f, published=(published("l", 7.0),)), "lost", ("l",)),
    "taken but never settled": (
        lambda f: add(f, published=(published("l", 7.0),), taken=(Taken("l", LEGACY, 7.1),)),
        "left without a settled",
        ("l",),
    ),
    "announced as sent, not taken": (
        lambda f: add(f, told=(told("k", "sms.sent", 9.0), told("k", "sms.delivered", 9.1))),
        "announced as sent, in no",
        ("k",),
    ),
    "taken, announced as failed": (
        lambda f: add(f, told=(told("b", "sms.failed", 9.0),)),
        "taken, yet announced",
        ("b",),
    ),
    "taken, announced as expired": (
        lambda f: add(f, told=(told("b", "sms.expired", 9.0),)),
        "taken, yet announced",
        ("b",),
    ),
    "taken, but nobody published it": (
        lambda f: add(f, taken=(Taken("stranger", LEGACY, 7.0),)),
        "taken, but never published",
        ("stranger",),
    ),
    "unknown, taken, no report matched": (
        lambda f: add(f, taken=(Taken("k", TARGET, 8.2),)),
        "unknown, taken",
        ("k",),
    ),
    "bulk twice": (
        lambda f: add(f, taken=(Taken("b", TARGET, 7.0),)),
        "bulk taken twice",
        ("b",),
    ),
    "transactional twice without a mark": (
        lambda f: add(f, taken=(Taken("a", LEGACY, 7.0),)),
        "transactional taken twice",
        ("a",),
    ),
    "two different facts for one send": (
        lambda f: add(f, told=(replace(told("a", "sms.sent", 9.0), event_id="another"),)),
        "two different sms.sent",
        ("a",),
    ),
    "a number on the wrong side": (
        lambda f: replace(
            f, taken=tuple(replace(e, provider=TARGET) if e.id == "b" else e for e in f.taken)
        ),
        "share at 25 %",
        ("b",),
    ),
    "an ended message without a dead letter": (
        lambda f: replace(f, dead={}),
        "dead letters",
        ("x",),
    ),
    "a dead letter nobody announced": (
        lambda f: replace(f, dead={**f.dead, "b": "why"}),
        "dead letters",
        ("b",),
    ),
    "sent but not delivered": (without_delivery, "delivered", ("a", "b", "c")),
}


@pytest.mark.parametrize("case", BREAKS)
def test_what_breaks_a_promise_fails_it_and_is_named(case: str) -> None:
    change, promise, ids = BREAKS[case]
    found = row(change(good()), promise)
    assert found.holds is False
    assert found.broken_by == ids


def test_a_marked_double_on_the_transactional_lane_is_no_broken_promise() -> None:
    marked = told("a", "sms.sent", 9.0, possible_duplicate=True)
    facts = add(good(), taken=(Taken("a", LEGACY, 7.0),), told=(marked,))
    found = row(facts, "transactional taken twice")
    assert found.holds
    assert found.measured == "0 of 1 doubled"


def test_an_event_told_twice_with_one_id_is_one_fact() -> None:
    assert row(add(good(), told=(told("a", "sms.sent", 9.0),)), "two different sms.sent").holds


def test_an_unknown_that_a_report_proved_is_settled() -> None:
    facts = add(good(), taken=(Taken("k", TARGET, 8.2),), told=(told("k", "sms.sent", 13.0),))
    assert row(facts, "unknown, taken").measured == "0 of 1, 1 proved"


def test_a_share_leaves_out_what_was_taken_after_its_scene() -> None:
    late = add(good(), published=(published("l", 3.9),), taken=(Taken("l", TARGET, 4.1),))
    assert row(late, "share at 25 %").measured == "1 of 2, hash 1"


def test_a_share_nobody_was_measured_for_fails() -> None:
    facts = replace(good(), scenes=(Scene("25 % moved", "25%", 20.0, 21.0, percentage=25),))
    assert row(facts, "share at 25 %").holds is False


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (Change(TARGET, "one", "open", 1.0), Change(TARGET, "one", "closed", 1.5)),
        (Change(TARGET, "one", "open", 5.5),),
        (Change(LEGACY, "one", "open", 5.5), Change(LEGACY, "one", "closed", 6.5)),
    ],
    ids=["never opened", "opened outside the fault", "stayed open", "the wrong provider's"],
)
def test_a_breaker_that_does_not_open_in_the_fault_and_close_fails(
    changes: tuple[Change, ...],
) -> None:
    assert row(replace(good(), changes=changes), "breaker opened").holds is False


def test_faults_that_the_target_carried_itself_show_no_fallback() -> None:
    facts = replace(
        good(), taken=tuple(replace(e, provider=TARGET) if e.id == "c" else e for e in good().taken)
    )
    assert row(facts, "fallback").holds is False


@pytest.mark.parametrize("took_s", [None, 10.0])
def test_a_rollback_that_was_slow_or_never_came_fails(took_s: float | None) -> None:
    assert row(replace(good(), rollback_s=took_s), "rolled back on every worker").holds is False


def rolled_back(**changes: Any) -> Facts:
    """A good run but for its automatic rollback."""
    found = good().automatic
    assert found is not None
    return replace(good(), automatic=replace(found, **changes))


def test_an_automatic_rollback_that_came_late_or_never_breaks_its_promise() -> None:
    late = row(rolled_back(zero_at=50.1), "rolled back by itself")
    assert (late.measured, late.holds) == ("30.1 s from the first failure to 0 %", False)
    never = replace(good(), automatic=None)
    assert row(never, "rolled back by itself").holds is False
    assert row(never, "nothing moved before the fault").holds is False


def test_an_automatic_rollback_before_its_fault_breaks_its_promise() -> None:
    early = rolled_back(entry_after_s=-3.2, zero_at=20.0)
    found = row(early, "rolled back by itself")
    assert (found.measured, found.holds) == ("3.2 s before the fault", False)
    assert headline(judge(early), early).startswith("FAIL: 1 of ")


@pytest.mark.parametrize(
    ("standing", "measured"),
    [
        (Standing("Rollback", 0, ("automatic-rollback",)), "Rollback at 0 %, automatic-rollback"),
        (Standing("Rollback", 0), "Rollback at 0 %"),
        (Standing("GradualMigration", 10), "GradualMigration at 10 %"),
        (Standing("LegacyDeprecation", 25), "LegacyDeprecation at 25 %"),
        (
            Standing("GradualMigration", 25, ("hold", "automatic-step")),
            "GradualMigration at 25 %, hold, automatic-step",
        ),
    ],
)
def test_whatever_automation_did_before_the_fault_breaks_a_promise(
    standing: Standing, measured: str
) -> None:
    moved = rolled_back(before=standing)
    found = row(moved, "nothing moved before the fault")
    assert (found.measured, found.holds) == (measured, False)
    assert headline(judge(moved), moved).startswith("FAIL: 1 of ")


def test_the_seconds_count_from_the_first_message_of_the_target_after_the_fault() -> None:
    late = add(
        good(),
        published=(published("f", 20.5), published("g", 21.0, to=TO_TARGET)),
        taken=(Taken("f", LEGACY, 20.6), Taken("g", LEGACY, 21.1)),
    )
    measured = row(late, "rolled back by itself").measured
    assert measured == "11.0 s from the first failure to 0 %"


def test_a_kill_that_hit_no_call_fails() -> None:
    missed = replace(good(), kill=Kill(8.5, frozenset({"a"})))
    assert row(missed, "calls under way").holds is False
    assert row(replace(good(), kill=None), "calls under way").holds is False


def test_a_gap_is_measured_only_while_messages_are_published() -> None:
    facts = add(good(), published=(published("l", 21.0),))
    assert row(facts, "longest gap").measured == "15.0 s"
    assert row(facts, "longest gap").holds is False


def test_a_run_without_any_message_fails() -> None:
    assert headline(judge(Facts()), Facts()).startswith("FAIL")


def test_a_slower_last_share_breaks_only_the_bar_above_the_first() -> None:
    late = Told("s", "sms.sent", 33.0, event_id="s")
    scene = Scene("100 % moved", "100%", 29.0, 31.0, percentage=100)
    facts = add(good(), published=(published("s", 30.0),), told=(late,), scenes=(scene,))
    assert row(facts, "median, p95 to sms.sent: 100 %").measured == "3000 ms, 3000 ms"
    assert row(facts, "median, p95 to sms.sent: 100 %").holds is None
    assert row(facts, "p95 at last").holds is False
