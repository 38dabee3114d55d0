"""Compares the promises with the facts.

Rules: pure. A broken row names the messages that broke it. Bounds that depend on the speed of the
machine are far above what a slow one needs, or the row has no bound (`holds` is None).
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from worker.lab.demo.facts import DELIVERED, ENDS_UNSENT, SENT, SETTLES, TARGET, UNKNOWN
from worker.lab.demo.messages import bucket
from worker.lab.demo.rollbacks import rolled_back, rolled_back_by_itself, untouched
from worker.lab.demo.rows import Row
from worker.lab.demo.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker.lab.demo.facts import Facts, Scene

LONGEST_GAP_S: Final = 10.0
"""A provider that hangs takes its deadline (3 s). The rest is for a slow machine."""
LEAST_DELIVERED: Final = 0.99
P95_ROOM_S: Final = 2.0
"""So large that only a message that waited for a retry exceeds it, not a noisy machine."""
CALLER_GONE: Final = "caller is gone"
"""A part of the reason of an `sms.unknown` that another worker had to declare."""


def judge(facts: Facts) -> list[Row]:
    """All rows, the most important first."""
    seen = Seen(facts)
    return [
        *(
            [Row("the story ran to its end", facts.broke_off, holds=False)]
            if facts.broke_off
            else []
        ),
        *_accounts(seen),
        *_doubles(seen),
        *(row for scene in facts.scenes for row in _share(seen, scene)),
        _breaker(facts),
        _fallback(seen),
        _killed(seen),
        rolled_back(facts),
        untouched(facts),
        rolled_back_by_itself(facts),
        _dead_letters(seen),
        _gap(facts),
        _delivered(seen),
        *_latency(seen),
    ]


def headline(rows: Sequence[Row], facts: Facts) -> str:
    """The verdict in one line."""
    promises = [row for row in rows if row.holds is not None]
    broken = sum(not row.holds for row in promises)
    if broken:
        return f"FAIL: {broken} of {len(promises)} promises broken"
    total = len(facts.published)
    return f"PASS: {len(promises)} promises held for {total} messages, none lost"


def _none(promise: str, ids: tuple[str, ...], of: int) -> Row:
    return Row(promise, f"{len(ids)} of {of}", not ids, ids)


def _accounts(seen: Seen) -> Iterable[Row]:
    total = len(seen.published)
    sent = seen.ids(lambda m: SENT in seen.events(m))
    taken = seen.ids(lambda m: bool(seen.taken.get(m)))
    unsettled = seen.ids(lambda m: not seen.events(m) & SETTLES)
    lost = tuple(each for each in unsettled if not seen.taken.get(each))
    yield _none("lost: neither taken nor settled", lost, total)
    yield _none("left without a settled event", unsettled, total)
    false = tuple(each for each in sent if not seen.taken.get(each))
    yield _none("announced as sent, in no journal", false, len(sent))
    ended = tuple(each for each in taken if seen.events(each) & ENDS_UNSENT)
    yield _none("taken, yet announced as not sent", ended, len(taken))
    strangers = tuple(sorted(seen.taken.keys() - seen.published.keys()))
    if strangers:
        yield _none("taken, but never published", strangers, len(seen.taken))
    held = seen.ids(lambda m: UNKNOWN in seen.events(m) and SENT not in seen.events(m))
    proved = seen.ids(lambda m: UNKNOWN in seen.events(m) and SENT in seen.events(m))
    hidden = tuple(each for each in held if seen.taken.get(each))
    yield Row(
        "unknown, taken, and never proved",
        f"{len(hidden)} of {len(held) + len(proved)}, {len(proved)} proved",
        not hidden,
        hidden,
    )


def _doubles(seen: Seen) -> Iterable[Row]:
    twice = seen.ids(lambda m: len(seen.taken.get(m, ())) > 1)
    bulk = tuple(filter(seen.lane("bulk"), twice))
    yield _none("bulk taken twice", bulk, len(seen.ids(seen.lane("bulk"))))
    doubled = tuple(filter(seen.lane("transactional"), twice))
    unmarked = tuple(each for each in doubled if not seen.marked(each))
    yield Row(
        "transactional taken twice, unmarked",
        f"{len(unmarked)} of {len(doubled)} doubled",
        not unmarked,
        unmarked,
    )
    differing = seen.ids(lambda m: len(seen.sent_ids(m)) > 1)
    yield _none("two different sms.sent for one message", differing, len(seen.published))


def _share(seen: Seen, scene: Scene) -> Iterable[Row]:
    """Compare the messages published and taken in the scene with the hash of their number."""
    if scene.percentage is None:
        return
    percentage = scene.percentage
    first_at: dict[str, float] = {}
    for entry in seen.facts.taken:
        first_at[entry.id] = min(entry.at, first_at.get(entry.id, entry.at))
    judged = seen.ids(
        lambda m: (
            scene.began <= seen.published[m].at and first_at.get(m, float("inf")) <= scene.ended
        )
    )
    due = {each for each in judged if bucket(seen.published[each].to) < percentage}
    got = {each for each in judged if seen.taken[each][0] == TARGET}
    yield Row(
        f"share at {percentage} %, number by number",
        f"{len(got)} of {len(judged)}, hash {len(due)}",
        due == got and bool(judged),
        tuple(sorted(due ^ got)),
    )


def _breaker(facts: Facts) -> Row:
    faults = [scene for scene in facts.scenes if scene.opens_breaker]
    target = [each for each in facts.changes if each.provider == TARGET]
    opened = [
        scene
        for scene in faults
        if any(each.to == "open" and scene.began <= each.at <= scene.ended for each in target)
    ]
    until = max((scene.ended for scene in facts.scenes), default=0.0)
    # After the automatic rollback no traffic goes there, so an open breaker stays open.
    last = {each.replica: each.to for each in target if each.at <= until}
    closed = all(state == "closed" for state in last.values())
    return Row(
        "breaker opened in each fault and closed",
        f"{len(opened)} of {len(faults)}, {'all closed' if closed else 'not closed'}",
        bool(faults) and len(opened) == len(faults) and closed,
    )


def _fallback(seen: Seen) -> Row:
    """The row about messages in the faults that belonged to the target and went to legacy only."""
    faults = [scene for scene in seen.facts.scenes if scene.opens_breaker]
    ids = seen.ids(
        lambda m: any(scene.began <= seen.published[m].at <= scene.ended for scene in faults)
    )
    carried = [each for each in ids if seen.taken.get(each) and TARGET not in seen.taken[each]]
    return Row(
        "fallback carried messages in the faults", f"{len(carried)} of {len(ids)}", bool(carried)
    )


def _killed(seen: Seen) -> Row:
    kill = seen.facts.kill
    if kill is None:
        return Row("calls under way in the killed worker", "nobody was killed", holds=False)
    killed_at, flying = kill.at, kill.in_flight
    orphaned = [
        each
        for each in flying
        if any(
            event.at > killed_at and (CALLER_GONE in event.reason or event.possible_duplicate)
            for event in seen.told.get(each, ())
        )
    ]
    return Row(
        "calls under way in the killed worker",
        f"{len(orphaned)} of {len(flying)} in flight",
        bool(orphaned),
    )


def _dead_letters(seen: Seen) -> Row:
    expected = set(seen.ids(lambda m: bool(seen.events(m) & ENDS_UNSENT))) | seen.facts.broken
    dead = seen.facts.dead.keys()
    wrong = tuple(sorted(expected ^ dead))
    return Row(
        "dead letters: the ended and the broken",
        f"{len(dead)} of {len(expected)}",
        not wrong and seen.facts.broken <= dead,
        wrong,
    )


def _gap(facts: Facts) -> Row:
    """The row about the longest gap while messages were published."""
    if not (facts.published and facts.taken):
        return Row("longest gap without a send", "nothing sent", holds=False)
    began = min(each.at for each in facts.published)
    ended = max(each.at for each in facts.published)
    inside = sorted(each.at for each in facts.taken if began < each.at < ended)
    longest = max(later - sooner for sooner, later in pairwise([began, *inside, ended]))
    return Row(
        f"longest gap without a send, under {LONGEST_GAP_S:g} s",
        f"{longest:.1f} s",
        longest < LONGEST_GAP_S,
    )


def _delivered(seen: Seen) -> Row:
    sent = seen.ids(lambda m: SENT in seen.events(m))
    missing = tuple(each for each in sent if DELIVERED not in seen.events(each))
    share = 1 - len(missing) / len(sent) if sent else 0.0
    return Row(
        f"delivered, at least {LEAST_DELIVERED:.0%} of the sent",
        f"{share:.1%} of {len(sent)}",
        share >= LEAST_DELIVERED,
        missing if share < LEAST_DELIVERED else (),
    )


def _latency(seen: Seen) -> Iterable[Row]:
    """The rows about the time from publishing to `sms.sent` in the healthy scenes."""
    healthy = [scene for scene in seen.facts.scenes if scene.percentage is not None]
    waits = {scene.name: sorted(_waits(seen, scene)) for scene in healthy}
    p95 = {name: _p95(all_) for name, all_ in waits.items() if all_}
    for name, value in p95.items():
        figures = f"{median(waits[name]) * 1000:.0f} ms, {value * 1000:.0f} ms"
        yield Row(f"median, p95 to sms.sent: {name}", figures)
    if len(p95) > 1:
        first, *_, last = p95.values()
        yield Row(
            f"p95 at last, at most {P95_ROOM_S:g} s above the first",
            f"{(last - first) * 1000:+.0f} ms",
            last - first <= P95_ROOM_S,
        )


def _p95(ordered: Sequence[float]) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def _waits(seen: Seen, scene: Scene) -> Iterable[float]:
    for message_id, published in seen.published.items():
        if scene.began <= published.at <= scene.ended:
            at = [each.at for each in seen.told.get(message_id, ()) if each.event == SENT]
            if at:
                yield min(at) - published.at
