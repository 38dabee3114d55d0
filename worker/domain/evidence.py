"""Evidence: is the target worse than legacy, is it bad in itself, has it proved itself?

Rules: pure and incremental: `observe` takes what became known in one tick and returns new evidence;
the same ticks give the same numbers, bit for bit, so every decision can be replayed. Everything is
a sum of logarithms (nats). Silence adds nothing; what is not known is never counted as zero.

Three signals (failed, slow, undelivered), and for each two detectors and two proofs:

- The relative detector blames only the target. Among the events (failures) of a tick, the one that
  is the target's has probability theta(r) = s r / (1 - s + s r), where s is the target's share of
  the outcomes known in that tick and r the ratio of the risks. It asks how much better r in
  `WORSE` explains the events than r = `TOLERATED` (Lindon & Malek 2022, arXiv 2011.03567). No base
  rate is needed, and the split may change in mid-stream.
- The absolute detector compares the rate itself with a bound p0.
- Both are e-detectors of the CUSUM kind (Shin, Ramdas & Rinaldo 2022, arXiv 2203.03532): each
  alternative's likelihood ratio starts anew from 1 with each tick, and the mean over the
  alternatives raises the alarm. The mean time to a false alarm is at least the level, in ticks.
- A proof is the same likelihood ratio the other way round and without starting anew, an e-process:
  under "still as bad as tolerated" it passes 20 with a probability of at most 1/20, however often
  one looks (Ville's inequality). It is reset at each change of the share or the bound.
- While legacy itself is bad, and for `AFTERMATH_S` after, nothing is compared, and the relative
  detectors start anew: an outage common to both neither begins nor ends for both in one tick
  (timeouts differ, breakers wait for their probes), and its first and last failures would be blamed
  on whoever's become known alone.

The budget of false alarms is one in `BUDGET_TICKS` for alarms that move traffic (relative) and one
for those that only hold (absolute), each shared between its detectors by `_PART`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from worker.domain.likelihood import (
    BETTER,
    HIGHER,
    LOWER,
    NOTHING,
    TOLERATED,
    WORSE,
    Logs,
    Seen,
    detected,
    plus,
    rate_gains,
    ratio_gains,
    reaches,
    strength,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

METHOD: Final = 2
"""Rises with every change that would replay to other numbers."""
TICK_S: Final = 10.0
BUDGET_TICKS: Final = 259_200.0
"""Ticks of 10 s in 30 days."""
NEGLIGIBLE: Final = 0.1
"""A rate proved below this part of its bound needs no comparison: there is nothing to compare."""
PROOF: Final = math.log(20.0)
"""Evidence an advance asks for: alpha 0.05."""
BREACH: Final = math.log(1_000.0)
"""Evidence that the share realised is not the one configured: alpha 0.001."""
HEALTHY: Final = math.log(20.0)
SILENT_AFTER: Final = 30
"""Judged attempts in a row without a single report before the reports themselves are missing."""
FRESH_S: Final = 60.0
"""Age at which evidence shows no more what is."""
AFTERMATH_S: Final = 120.0
"""Longer than a call may take (30 s) and a breaker waits for its next probe (60 s)."""
_SKEW: Final = (2.0, 4.0, 8.0)
_SETTLE_S: Final = 60.0
"""Messages assigned before a change of the share are still under way that long."""

Bounds = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""p0 by signal; failures have two."""
BOUNDS: Final[Bounds] = ((0.05, 0.10), (0.05,), (0.02,))
_Waiting = tuple[float, float]
_UNPROVED: Final[Logs] = (0.0,) * len(LOWER)
_UNSUSPECTED: Final[tuple[Logs, ...]] = ((0.0,) * len(WORSE),) * 3


class Signal(IntEnum):
    """What an attempt can show; the order of everything kept by signal."""

    FAILED = 0
    SLOW = 1
    UNDELIVERED = 2

    def __str__(self) -> str:
        """The word people read."""
        return self.name.lower()


_T = TypeVar("_T")
_SIGNALS: Final = tuple(Signal)
_PART: Final = (
    (0.5, 0.25, 0.25),  # relative, by signal
    (0.25, 0.25, 0.25),  # absolute, by signal and bound: failures have two bounds
)


@dataclass(frozen=True, slots=True)
class Judged:
    """Accepted eligible attempts judged at the delivery age."""

    undelivered: float = 0
    total: float = 0
    reported: float = 0
    """With any final report: what shows that reports come at all."""


NONE_JUDGED: Final = Judged()
_NOTHING_SEEN: Final = ((NOTHING, NOTHING),) * 3


@dataclass(frozen=True, slots=True)
class Side:
    """One provider in one tick."""

    failed: Seen = NOTHING
    slow: Seen = NOTHING
    judged: Judged = NONE_JUDGED


@dataclass(frozen=True, slots=True)
class Tick:
    """What became known since the tick before."""

    at: float
    """Seconds since the epoch."""
    target: Side
    legacy: Side
    legacy_all: Seen = NOTHING
    """Every attempt at legacy, fallbacks and probes too: whether there is a way back."""
    breaker_open: bool = False
    """The target's breaker is not closed on most replicas."""
    legacy_open: bool = False
    """So is legacy's."""
    legacy_answers: bool = False
    """Legacy's breaker is closed on most replicas, and its account call succeeded."""
    account_fault: str = ""
    """What is wrong with our account at the target, as any replica was told; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the outcomes are held against: from the flags and state in force."""

    share: int
    """The target's share, per cent."""
    since: float | None
    """When that share began, seconds since the epoch."""
    acted: float | None = None
    """When automation last went down, seconds since the epoch."""
    bounds: Bounds = BOUNDS
    slow_ms: float = 5_000.0
    """What counted as slow."""
    reports: tuple[bool, bool] = (True, True)
    """Whether target and legacy give delivery reports at all."""
    delivery_age_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known so far. Logarithms of likelihood ratios, one an alternative."""

    at: float = 0.0
    since: float | None = None
    """Of the share the proofs are about."""
    bounds: Bounds = BOUNDS
    """In force at the last tick; so is `slow_ms`."""
    slow_ms: float = 5_000.0
    relative: tuple[Logs, ...] = _UNSUSPECTED
    """Detectors by signal."""
    absolute: tuple[tuple[Logs, ...], ...] = (((0.0,) * 5,) * 2, ((0.0,) * 5,), ((0.0,) * 5,))
    """Detectors by signal and bound."""
    no_worse: tuple[Logs, ...] = ((0.0,) * len(BETTER),) * 3
    """Proofs by signal: the ratio of risks is below `TOLERATED`."""
    low: tuple[Logs, ...] = ((0.0,) * len(LOWER),) * 3
    """Proofs by signal: the rate is below its first bound."""
    negligible: tuple[Logs, ...] = ((0.0,) * len(LOWER),) * 3
    """Proofs by signal: the rate is below `NEGLIGIBLE` times its first bound."""
    skew: Logs = (0.0,) * (2 * len(_SKEW))
    """The share realised is not the one configured."""
    counted: tuple[tuple[float, float, float, float], ...] = ((0.0, 0.0, 0.0, 0.0),) * 3
    """By signal since the share began: events and outcomes of the target, then of legacy."""
    waiting: tuple[_Waiting, _Waiting] = ((0.0, 0.0), (0.0, 0.0))
    """Judged without a report, of target and legacy: in the last tick in which reports came, and
    since then. They count as undelivered once reports go on."""
    unreported: tuple[bool, bool] = (False, False)
    """Reports are missing altogether, of target and legacy."""
    legacy_bad: Logs = (0.0,) * 5
    """Detector: legacy fails more than the second bound."""
    legacy_bad_at: float | None = None
    """When it last was, seconds since the epoch."""
    legacy_good: Logs = (0.0,) * len(LOWER)
    """Proof: legacy kept its bound since the target's own detector last stood at its floor."""
    breaker_since: float | None = None
    """Since when the target's breaker is open on most replicas and nothing got through, legacy
    having answered all along or not at all: what both met at once does not end for both at once.
    Begins with a failure: a breaker nobody has asked for since is no news."""
    legacy_open: bool = False
    """As of the last tick; so are the two below."""
    legacy_answers: bool = False
    account_fault: str = ""


@cache
def level(*, relative: bool, signal: Signal, budget: float = BUDGET_TICKS) -> float:
    """The evidence at which a detector alarms, nats."""
    return math.log(budget / _PART[0 if relative else 1][signal])


# --- one tick ------------------------------------------------------------------------------


def observe(before: Evidence, tick: Tick, setting: Setting) -> Evidence:
    """Take one tick into the evidence."""
    known = _for_bounds(_for_share(before, setting), setting)
    pairs, waiting, unreported = _pairs(known, tick, setting)
    if not setting.share or _acted_since(before, setting):
        pairs = _NOTHING_SEEN  # nobody's, or of messages that were acted on already
    elif tick.account_fault or known.account_fault:
        pairs = ((NOTHING, NOTHING), *pairs[1:])  # refused for our own fault, and passed over
    bounds = setting.bounds
    legacy_bad, legacy_bad_at = _legacy_bad(known, tick, bounds[Signal.FAILED][-1])
    comparable = legacy_bad_at is None or tick.at > legacy_bad_at + AFTERMATH_S
    compared = pairs if comparable else _NOTHING_SEEN
    suspected = known.relative if comparable else _UNSUSPECTED
    absolute = tuple([_absolute(known.absolute[s], pairs[s][0], bounds[s], s) for s in _SIGNALS])
    return Evidence(
        at=tick.at,
        since=known.since,
        bounds=bounds,
        slow_ms=setting.slow_ms,
        relative=tuple([_relative(suspected[s], compared[s], s) for s in _SIGNALS]),
        absolute=absolute,
        no_worse=tuple([
            plus(known.no_worse[s], ratio_gains(*compared[s], BETTER)) for s in _SIGNALS
        ]),
        low=tuple([
            plus(known.low[s], rate_gains(pairs[s][0], bounds[s][0], LOWER)) for s in _SIGNALS
        ]),
        negligible=tuple([
            plus(known.negligible[s], rate_gains(pairs[s][0], NEGLIGIBLE * bounds[s][0], LOWER))
            for s in _SIGNALS
        ]),
        skew=_skewed(known.skew, tick, setting),
        counted=tuple([_counted(known.counted[s], *pairs[s]) for s in _SIGNALS]),
        waiting=waiting,
        unreported=unreported,
        legacy_bad=legacy_bad,
        legacy_bad_at=legacy_bad_at,
        legacy_good=_legacy_good(known, absolute[Signal.FAILED], tick, setting),
        breaker_since=_breaker_since(known, tick),
        legacy_open=tick.legacy_open,
        legacy_answers=tick.legacy_answers,
        account_fault=tick.account_fault if setting.share else "",
    )  # fmt: skip


def _for_share(known: Evidence, setting: Setting) -> Evidence:
    """What still counts under the share in force.

    Detectors outlive a change of the share; at a share of 0, and where automation went down since,
    whatever was done after that, what was acted on must not be acted on again.
    """
    kept = setting.share > 0 and not _acted_since(known, setting)
    if kept and known.since == setting.since:
        return known
    fresh = Evidence(
        since=setting.since,
        bounds=known.bounds,
        slow_ms=known.slow_ms,
        waiting=known.waiting,
        unreported=known.unreported,
        legacy_bad=known.legacy_bad,
        legacy_bad_at=known.legacy_bad_at,
        breaker_since=known.breaker_since if kept else None,
    )
    if not kept:
        return fresh
    return replace(
        fresh,
        relative=known.relative,
        absolute=known.absolute,
        legacy_good=known.legacy_good,
        legacy_answers=known.legacy_answers,
    )


def _for_bounds(known: Evidence, setting: Setting) -> Evidence:
    """What was held against another bound, or counted other events, says nothing about this one."""
    same_slow = known.slow_ms == setting.slow_ms
    events = [same_slow or s is not Signal.SLOW for s in _SIGNALS]
    bound = [events[s] and known.bounds[s] == setting.bounds[s] for s in _SIGNALS]
    if all(bound):
        return known
    new = Evidence()
    return replace(
        known,
        relative=_kept(events, known.relative, new.relative),
        no_worse=_kept(events, known.no_worse, new.no_worse),
        absolute=_kept(bound, known.absolute, new.absolute),
        low=_kept(bound, known.low, new.low),
        negligible=_kept(bound, known.negligible, new.negligible),
    )


def _kept(same: Sequence[bool], known: tuple[_T, ...], new: tuple[_T, ...]) -> tuple[_T, ...]:
    """By signal."""
    return tuple(known[s] if same[s] else new[s] for s in _SIGNALS)


def _acted_since(known: Evidence, setting: Setting) -> bool:
    """Whether automation went down after that tick."""
    return setting.acted is not None and known.at <= setting.acted


def _pairs(
    known: Evidence, tick: Tick, setting: Setting
) -> tuple[tuple[tuple[Seen, Seen], ...], tuple[_Waiting, _Waiting], tuple[bool, bool]]:
    """Outcomes of target and legacy by signal; delivery only as far as reports come.

    Then what of both waits until reports go on, and whose reports are missing.
    """
    target, theirs, ours_missing = _released(
        known.waiting[0], tick.target.judged, missing=known.unreported[0]
    )
    legacy, also, legacy_missing = _released(
        known.waiting[1], tick.legacy.judged, missing=known.unreported[1]
    )
    waiting, unreported = (theirs, also), (ours_missing, legacy_missing)
    settled = setting.acted is None or tick.at >= setting.acted + setting.delivery_age_s
    if not setting.reports[0] or not settled:
        target = legacy = NOTHING  # what is judged now was accepted before we acted
    elif not setting.reports[1]:
        legacy = NOTHING
    return (
        (
            (tick.target.failed, tick.legacy.failed),
            (tick.target.slow, tick.legacy.slow),
            (target, legacy),
        ),
        waiting,
        unreported,
    )


def _released(waiting: _Waiting, judged: Judged, *, missing: bool) -> tuple[Seen, _Waiting, bool]:
    """What may be counted, what waits until reports go on, whether reports are missing.

    What has no report counts as undelivered only where reports came before it and go on after it:
    what was judged in the ticks in which they ceased and in which they came back is not known.
    """
    if not judged.total:
        return NOTHING, waiting, missing
    before, silent = waiting
    without = judged.total - judged.reported
    if not judged.reported:
        silent += judged.total
        missing = missing or silent > SILENT_AFTER
        return NOTHING, (0.0, 0.0) if missing else (before, silent), missing
    told = judged.undelivered - without
    if missing:
        return Seen(told, judged.reported), (0.0, 0.0), False
    known = before + silent
    return Seen(told + known, judged.reported + known), (without, 0.0), False


def _relative(logs: Logs, pair: tuple[Seen, Seen], signal: Signal) -> Logs:
    return detected(logs, ratio_gains(*pair, WORSE), level(relative=True, signal=signal))


def _absolute(
    by_bound: tuple[Logs, ...], seen: Seen, bounds: tuple[float, ...], signal: Signal
) -> tuple[Logs, ...]:
    top = level(relative=False, signal=signal)
    return tuple(
        detected(logs, rate_gains(seen, bound, HIGHER), top)
        for logs, bound in zip(by_bound, bounds, strict=True)
    )


def _skewed(logs: Logs, tick: Tick, setting: Setting) -> Logs:
    """The share realised, held against the one configured; within `TOLERATED` odds all is well.

    A few busy numbers move the share of messages a little off the share of numbers: hence odds.
    """
    settling = setting.since is not None and tick.at < setting.since + _SETTLE_S
    target, legacy = tick.target.failed.total, tick.legacy.failed.total
    if settling or not 0 < setting.share < 100 or not target + legacy:  # noqa: PLR2004 - per cent
        return logs
    gains = tuple([
        target * ours + legacy * theirs for ours, theirs in _skew_odds(setting.share)
    ])  # fmt: skip
    return plus(logs, gains)


@cache
def _skew_odds(share: int) -> tuple[tuple[float, float], ...]:
    """Gain of each skew on a message of the target and on one of legacy."""
    odds = share / (100.0 - share)
    skews = [(to, TOLERATED) for to in _SKEW]
    both = [pair for to, edge in skews for pair in ((to, edge), (1.0 / to, 1.0 / edge))]
    chances = [(_chance(odds * to), _chance(odds * edge)) for to, edge in both]
    return tuple(
        (math.log(chance / at_edge), math.log((1.0 - chance) / (1.0 - at_edge)))
        for chance, at_edge in chances
    )


def _chance(odds: float) -> float:
    return odds / (1.0 + odds)


def _legacy_bad(known: Evidence, tick: Tick, bound: float) -> tuple[Logs, float | None]:
    """The detector of legacy's own trouble, and when it last stood."""
    top = level(relative=False, signal=Signal.FAILED)
    logs = detected(known.legacy_bad, rate_gains(tick.legacy_all, bound, HIGHER), top)
    return logs, tick.at if reaches(logs, top) else known.legacy_bad_at


def _breaker_since(known: Evidence, tick: Tick) -> float | None:
    seen = tick.target.failed
    if not tick.breaker_open or seen.total > seen.events:
        return None
    recovered = tick.legacy_answers and not known.legacy_answers
    if known.breaker_since is None:
        return tick.at if seen.events else None
    return tick.at if recovered else known.breaker_since


def _legacy_good(known: Evidence, absolute: tuple[Logs, ...], tick: Tick, setting: Setting) -> Logs:
    """Whether legacy does well in the very time in which the target does not."""
    if all(max(logs) <= 0.0 or strength(logs) <= 0.0 for logs in absolute):
        return _UNPROVED
    gains = rate_gains(tick.legacy_all, setting.bounds[Signal.FAILED][0], LOWER)
    logs = plus(known.legacy_good, gains)
    return tuple(min(BREACH, log) for log in logs)


def _counted(
    sums: tuple[float, float, float, float], target: Seen, legacy: Seen
) -> tuple[float, float, float, float]:
    return (
        sums[0] + target.events,
        sums[1] + target.total,
        sums[2] + legacy.events,
        sums[3] + legacy.total,
    )


# --- what it says --------------------------------------------------------------------------


def relative_alarm(known: Evidence, signal: Signal) -> bool:
    """The target is worse than legacy."""
    return reaches(known.relative[signal], level(relative=True, signal=signal))


def relative_suspicion(known: Evidence, signal: Signal) -> bool:
    """The target may be worse than legacy: above the root of the level."""
    return strength(known.relative[signal]) >= level(relative=True, signal=signal) / 2.0


def absolute_alarm(known: Evidence, signal: Signal) -> bool:
    """The target is bad in itself."""
    wanted = level(relative=False, signal=signal)
    return any(reaches(logs, wanted) for logs in known.absolute[signal])


def absolute_strength(known: Evidence, signal: Signal) -> float:
    """The stronger of a signal's absolute detectors, nats."""
    return max(strength(logs) for logs in known.absolute[signal])


def about(known: Evidence | None, since: float | None, now: float) -> Evidence | None:
    """The evidence, where it is about the share that began then and not older than `FRESH_S`."""
    if known is None or known.since != since or now - known.at > FRESH_S:
        return None
    return known


def suspicious(known: Evidence) -> tuple[str, ...]:
    """Detectors above the root of their level: no time to advance."""
    found = []
    for signal in Signal:
        if relative_suspicion(known, signal):
            found.append(f"{signal}: worse than legacy")
        if absolute_strength(known, signal) >= level(relative=False, signal=signal) / 2.0:
            found.append(f"{signal}: bad in itself")
    return tuple(found)


def legacy_is_bad(known: Evidence) -> bool:
    """Legacy fails more than the second bound: no place to go back to."""
    return reaches(known.legacy_bad, level(relative=False, signal=Signal.FAILED))


def legacy_is_good(known: Evidence) -> bool:
    """Legacy was proved good in the time of the target's trouble."""
    return strength(known.legacy_good) >= HEALTHY


def misassigned(known: Evidence) -> bool:
    """The share realised is not the one configured."""
    return reaches(known.skew, BREACH)


def low_proof(known: Evidence, signal: Signal) -> float:
    """Evidence that the target keeps its bound, nats."""
    return strength(known.low[signal])


def no_worse_proof(known: Evidence, signal: Signal) -> float:
    """Evidence that the target is no worse than legacy, or too good to compare, nats.

    The mean of both is an e-process of "worse, and not negligible".
    """
    both = strength(known.no_worse[signal]), strength(known.negligible[signal])
    return strength(both)
