"""Evidence: is the target worse than legacy, is it bad in itself, has it proved itself?

Rules: pure and incremental: `observe` takes what became known in one tick and returns new evidence;
the same ticks give the same numbers, bit for bit, so every decision can be replayed. Everything is
a sum of logarithms (nats). Silence adds nothing; what is not known is never counted as zero.

Three signals (failed, slow, undelivered), and for each two detectors and two proofs:

- The relative detector blames only the target. Among the events (failures) of a block, the one that
  is the target's has probability theta(r) = s r / (1 - s + s r), where s is the target's share of
  the outcomes in that block and r the ratio of the risks. It asks how much better r in
  `WORSE` explains the events than r = `TOLERATED` (Lindon & Malek 2022, arXiv 2011.03567). No base
  rate is needed, and the split may change in mid-stream.
- The absolute detector compares the rate itself with a bound p0.
- Both are e-detectors of the CUSUM kind (Shin, Ramdas & Rinaldo 2022, arXiv 2203.03532): each
  alternative's likelihood ratio starts anew from 1 with each tick or block, and the mean over the
  alternatives raises the alarm. The mean time to a false alarm is at least the level, in ticks.
- A proof does not start anew, an e-process: under "still as bad as tolerated" it passes 20 with a
  probability of at most 1/20, however often one looks (Ville's inequality). One says that the rate
  is below its bound, the other that it is hardly worse than legacy's (`margin`). It is reset at
  each change of the share or the bound.
- Both are compared in blocks: outcomes of several ticks, closed once there are `margin.LEAST` and
  both providers have some. A tick alone would have to be thrown away where one of them had none,
  which is most of them at some thousand messages a day. Only counts close a block, never events.
- Calls are compared by when they began (`cohorts`): an outage can show at once at one provider and
  by timeouts at the other. The alarm counts legacy's calls under way as failed.
- Blame must stand under both ways of counting, because providers call one thing by different names:
  failed, and refused for whatever reason; lost of what was accepted, and of all that was tried. The
  weaker of two detectors raises the alarm.
- While legacy itself is bad, and for `AFTERMATH_S` after, nothing is compared, and the relative
  detectors start anew: an outage common to both neither begins nor ends for both in one tick
  (timeouts differ, breakers wait for their probes), and its first and last failures would be blamed
  on whoever's become known alone.

Evidence is used for the state it was collected in alone. A number in the state itself tells states
apart (`Snapshot.anew`), never a time: commands and ticks are stamped by different clocks.

- Another number, another provider, or no share at all: everything of the target starts anew, and so
  do the comparisons. The outcomes of the tick that sees it first are not counted, because some are
  from before, nor those of the next one that are not known to have begun since; nor are judgements
  of delivery for one delivery age. What is known of legacy's own trouble survives.
- A breaker of the target that is open from before another state says nothing, nor does what it
  keeps from the target, until a call that began in this state failed.
- Another share and the same number is a move upwards: the detectors go on, the proofs start anew.
  Judgements of delivery count for them after one delivery age.
- Other bounds: whatever was held against the old ones starts anew.
- Legacy starts anew while it is disabled. What is known of it, and the comparison, lapse when no
  outcome of legacy came for long (`_lapse_s`); the comparison lapses at a share of 100 % too.
- An alarm moves traffic only while what it is about goes on (`NEWS_S`).
- While an alarm about failed calls stands, the replica is named that alone cannot reach the target,
  if there is one (`sick_replica`). When that is over, all that is known of failed calls starts
  anew: it is the replica's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from worker.domain.detection import margin
from worker.domain.detection.cohorts import (
    SETTLED_AFTER_S,
    WORST_S,
    WRITTEN_AFTER_S,
    all_of_legacy,
    bad_starts,
    ended,
    outcomes,
)
from worker.domain.detection.comparing import Step, detecting
from worker.domain.detection.contrast import NOTHING_APART, CallsOfBoth, Contrast, contrasted
from worker.domain.detection.likelihood import (
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
    reaches,
    strength,
)
from worker.domain.detection.margin import Block
from worker.domain.detection.sick_replica import SickReplica, is_over, sick_replica
from worker.domain.detection.signals import SIGNALS, Signal, level
from worker.domain.detection.silence import NO_SILENCE, NONE_JUDGED, Judged, Silence, released
from worker.domain.figures.periods import SLOT_S
from worker.domain.migration.phases import FULL_SHARE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker.domain.detection.cohorts import Cohort, Outcomes

METHOD: Final = 6
"""Rises with every change that would replay to other numbers."""
TICK_S: Final = 10.0
PROOF: Final = math.log(20.0)
"""Evidence an advance asks for: alpha 0.05."""
BREACH: Final = math.log(1_000.0)
"""Evidence that the share realised is not the one configured: alpha 0.001."""
FRESH_S: Final = 60.0
"""Age at which evidence shows no more what is."""
AFTERMATH_S: Final = 120.0
"""Longer than a call may take (30 s) and a breaker waits for its next probe (60 s)."""
LAPSE_S: Final = 600.0
"""What nobody has heard of for that long is not known any more..."""
_LONG_GAPS: Final = 20.0
"""...or for so many times the usual gap between two outcomes, where little is sent..."""
_LONGEST_LAPSE_S: Final = 43_200.0
"""...but never for longer than this."""
NEWS_S: Final = 60.0
"""An alarm without an event of the target for longer than that is shown, and not acted on."""
_JUDGED_LATE_S: Final = 5.0
"""By when a delivery that is due is judged, and the judgement written."""
_SKEW: Final = (2.0, 4.0, 8.0)
_SETTLE_S: Final = 60.0
"""Messages assigned before a change of the share are still under way that long."""

Bounds = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
"""p0 by signal; failures have two."""
BOUNDS: Final[Bounds] = ((0.05, 0.10), (0.05,), (0.02,))
Margins = tuple[float, float, float]
"""By how much the target's rate may exceed legacy's, by signal, 0 to 1."""
MARGINS: Final[Margins] = (0.02, 0.02, 0.01)
_Pairs = tuple[tuple[Seen, Seen], ...]
"""Target and legacy, by signal."""
_UNPROVED: Final[Logs] = (0.0,) * len(LOWER)
_NO_BLOCKS: Final[tuple[Block, ...]] = (margin.EMPTY,) * 3
_UNSUSPECTED: Final[tuple[Logs, ...]] = ((0.0,) * len(WORSE),) * 3


_T = TypeVar("_T")
_NOTHING_SEEN: Final = ((NOTHING, NOTHING),) * 3


@dataclass(frozen=True, slots=True)
class Side:
    """One provider in one tick."""

    failed: Seen = NOTHING
    slow: Seen = NOTHING
    judged: Judged = NONE_JUDGED
    refused: float = 0
    """By the fault of the recipient or the message: no failure of the provider's."""


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
    cohorts: tuple[Cohort, ...] | None = None
    """Calls by the slot in which they began, of the last minute, in the order of their start.
    None: not recorded; what became known in the tick then stands for them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the outcomes are held against: from the flags and state in force."""

    share: int
    """The target's share, per cent."""
    since: float | None
    """When that share began, seconds since the epoch."""
    anew: int = 0
    """Of the state (`Snapshot.anew`): another one, and the evidence starts anew."""
    providers: tuple[str, str] = ("", "")
    """Which accounts target and legacy are."""
    legacy_enabled: bool = True
    bounds: Bounds = BOUNDS
    margins: Margins = MARGINS
    slow_ms: float = 5_000.0
    """What counted as slow."""
    reports: tuple[bool, bool] = (True, True)
    """Whether target and legacy give delivery reports at all."""
    delivery_age_s: float = 600.0
    grace_s: float = 0.0
    """How long failing calls are waited out: a restart of the target (`RollbackGraceSeconds`)."""


@dataclass(frozen=True)  # without slots: see `_changed`
class Evidence:
    """What is known so far. Logarithms of likelihood ratios, one an alternative."""

    at: float = 0.0
    since: float | None = None
    """Of the share the proofs are about."""
    begun: float | None = None
    """When that share was first seen, by the clock of the ticks."""
    anew: int = 0
    """Of the state all of it is about; so is `providers`."""
    anew_at: float | None = None
    """When that state was first seen, by the clock of the ticks."""
    providers: tuple[str, str] = ("", "")
    bounds: Bounds = BOUNDS
    """In force at the last tick; so are the two below."""
    margins: Margins = MARGINS
    slow_ms: float = 5_000.0
    relative: tuple[Logs, ...] = _UNSUSPECTED
    """Detectors by signal, with what is known of calls that have not all ended."""
    settled: tuple[Logs, ...] = _UNSUSPECTED
    """The same detectors by settled cohorts alone."""
    other_way: tuple[Logs, Logs] = (_UNSUSPECTED[0], _UNSUSPECTED[0])
    """Detectors of the other way of counting, by settled cohorts: refused for whatever reason, and
    not arrived of all that was tried."""
    other_block: tuple[Block, Block] = (margin.EMPTY, margin.EMPTY)
    """Their open blocks."""
    not_accepted: tuple[tuple[float, float, float], ...] = ()
    """Failed or refused at target and legacy, by tick, until what was accepted then is judged."""
    unsettled: float | None = None
    """Cohorts that began earlier are counted, or count no more."""
    compare_from: float | None = None
    """Cohorts that began earlier are not compared."""
    failed_from: float | None = None
    """Failures of cohorts that began earlier are our own account's or one replica's."""
    legacy_bad_cohorts: tuple[float, ...] = ()
    """Starts of the cohorts of late in which legacy may have done badly."""
    target_failed: tuple[tuple[float, int], ...] = ()
    """Calls to the target known to have failed, by start of their cohort, as of the last tick."""
    absolute: tuple[tuple[Logs, ...], ...] = (((0.0,) * 5,) * 2, ((0.0,) * 5,), ((0.0,) * 5,))
    """Detectors by signal and bound."""
    block: tuple[Block, ...] = _NO_BLOCKS
    """What both did since the last block was closed, by signal."""
    compared: tuple[Block, ...] = _NO_BLOCKS
    """The blocks closed since the share began, added up, by signal."""
    no_worse: tuple[Logs, ...] = (margin.UNPROVED,) * 3
    """Proofs by signal: the rate is below the wider of legacy's plus the margin and `TOLERATED`
    times legacy's."""
    low: tuple[Logs, ...] = ((0.0,) * len(LOWER),) * 3
    """Proofs by signal: the rate is below its first bound."""
    skew: Logs = (0.0,) * (2 * len(_SKEW))
    """The share realised is not the one configured."""
    counted: tuple[Block, ...] = _NO_BLOCKS
    """What the proofs are made of, by signal."""
    news: tuple[float | None, ...] = (None, None, None)
    """When the target's last event became known, by signal; None: not known."""
    silences: tuple[Silence, Silence] = (NO_SILENCE, NO_SILENCE)
    """Delivery reports that did not come, of target and legacy."""
    failed_call: bool = False
    """A call to the target that began in this state is known to have failed. Until then its open
    breaker, and what that keeps from it, are of another state."""
    legacy_bad: Logs = (0.0,) * 5
    """Detector: legacy fails more than the second bound."""
    legacy_bad_at: float | None = None
    """When it last was, seconds since the epoch."""
    legacy_heard: float | None = None
    """When an outcome of legacy last became known."""
    apart: Contrast = NOTHING_APART
    """Proof that legacy does well and the target does not, since the target's own detector reached
    half its level."""
    breaker_since: float | None = None
    """Since when the target's breaker is open on most replicas and nothing got through, legacy
    having kept its second bound all along or not answered at all: what both met at once does not
    end for both at once. Begins with a call that failed, never with one passed over."""
    grace_since: float | None = None
    """Since when failing calls are waited out (`Setting.grace_s`); None: they are not."""
    graced_at: float | None = None
    """When the last such wait ended."""
    legacy_open: bool = False
    """As of the last tick; so are the two below."""
    legacy_answers: bool = False
    account_fault: str = ""
    sick_replica: SickReplica | None = None
    """The replica that alone fails, named when an alarm about failed calls stood."""

    @property
    def unreported(self) -> tuple[bool, bool]:
        """Whether reports are missing altogether, of target and legacy."""
        ours, theirs = self.silences
        return ours.missing, theirs.missing


_FRESH: Final = Evidence()


# --- one tick ------------------------------------------------------------------------------


def observe(before: Evidence, tick: Tick, setting: Setting) -> Evidence:
    """Take one tick into the evidence."""
    known = _for_bounds(_for_state(_for_legacy(before, tick, setting), tick, setting), setting)
    pairs, silences = _pairs(known, tick, setting)
    if _of_another_state(before, setting) or _all_began_before(known, tick):
        pairs = _NOTHING_SEEN  # nobody's, or partly from before the change
    elif tick.account_fault or known.account_fault:
        pairs = ((NOTHING, NOTHING), *pairs[1:])  # refused for our own fault, and passed over
        known = replace(known, failed_from=tick.at)
    if not _failed_call(known, tick):
        pairs = _without_failures(pairs)  # kept from the target by a breaker open from before
    elif not known.failed_call:
        known = _changed(known, failed_call=True)
    bounds = setting.bounds
    known = _with_trouble_of_legacy(known, tick, bounds[Signal.FAILED][-1])
    absolute = tuple([_absolute(known.absolute[s], pairs[s][0], bounds[s], s) for s in SIGNALS])
    known = _changed(
        known,
        **_compared(known, pairs, tick, setting),
        apart=_apart(known, absolute[Signal.FAILED], tick, setting),
        at=tick.at,
        absolute=absolute,
        skew=_skewed(known, tick, setting),
        news=tuple([tick.at if pairs[s][0].events else known.news[s] for s in SIGNALS]),
        silences=silences,
        legacy_heard=tick.at if tick.legacy_all.total else known.legacy_heard,
        breaker_since=_breaker_since(known, tick),
        target_failed=tuple([(c.start, c.target.failed) for c in tick.cohorts or ()]),
        legacy_open=tick.legacy_open,
        legacy_answers=tick.legacy_answers,
        account_fault=tick.account_fault if setting.share else "",
    )  # fmt: skip
    known = _with_sick_replica(known, tick, bounds[Signal.FAILED][0])
    return _with_grace(known, tick, setting.grace_s)


def _with_sick_replica(known: Evidence, tick: Tick, bound: float) -> Evidence:
    """With the replica named that alone fails; without its failures, once that is over."""
    cohorts, before, failed = tick.cohorts or (), known.sick_replica, Signal.FAILED
    stands = relative_alarm(known, failed) or absolute_alarm(known, failed)
    looked = stands or before is not None
    named = sick_replica(cohorts, tick.at, bound, before) if looked else None
    if before is not None and named is None and is_over(before, cohorts, tick.at, bound):
        return _failed_anew(known, tick.at)
    return _changed(known, sick_replica=named) if named != before else known


def _failed_anew(known: Evidence, now: float) -> Evidence:
    """Without anything that is known of failed calls of the target."""
    kept = [signal is not Signal.FAILED for signal in SIGNALS]
    return replace(
        known,
        failed_from=now,
        relative=_kept(kept, known.relative, _FRESH.relative),
        settled=_kept(kept, known.settled, _FRESH.settled),
        other_way=(_FRESH.other_way[0], known.other_way[1]),
        other_block=(_FRESH.other_block[0], known.other_block[1]),
        absolute=_kept(kept, known.absolute, _FRESH.absolute),
        block=_kept(kept, known.block, _FRESH.block),
        compared=_kept(kept, known.compared, _FRESH.compared),
        no_worse=_kept(kept, known.no_worse, _FRESH.no_worse),
        low=_kept(kept, known.low, _FRESH.low),
        counted=_kept(kept, known.counted, _FRESH.counted),
        apart=NOTHING_APART,
        sick_replica=None,
    )


def _with_grace(known: Evidence, tick: Tick, grace_s: float) -> Evidence:
    """With the wait for a target whose calls fail: it begins, goes on, or ends.

    At its end all that is known of calls starts anew, so that a restart leaves nothing behind and
    a target that is still dead is found at once. Then none begins for `LAPSE_S`.
    """
    if known.grace_since is None:
        again = known.graced_at is not None and tick.at - known.graced_at <= LAPSE_S
        begins = grace_s > 0.0 and not again and _calls_in_trouble(known, tick)
        return _changed(known, grace_since=tick.at) if begins else known
    if tick.at - known.grace_since < grace_s:
        return known
    return _calls_anew(known, tick.at)


def _calls_in_trouble(known: Evidence, tick: Tick) -> bool:
    of_calls = (Signal.FAILED, Signal.SLOW)
    alarm = any(relative_alarm(known, s) or absolute_alarm(known, s) for s in of_calls)
    return alarm or (tick.breaker_open and known.failed_call)


def _calls_anew(known: Evidence, now: float) -> Evidence:
    """Without suspicion of the target from calls; what they prove, or do not, is kept."""
    kept = [signal is Signal.UNDELIVERED for signal in SIGNALS]
    return replace(
        known,
        grace_since=None,
        graced_at=now,
        unsettled=now,
        relative=_kept(kept, known.relative, _FRESH.relative),
        settled=_kept(kept, known.settled, _FRESH.settled),
        other_way=(_FRESH.other_way[0], known.other_way[1]),
        other_block=(_FRESH.other_block[0], known.other_block[1]),
        absolute=_kept(kept, known.absolute, _FRESH.absolute),
        block=_kept(kept, known.block, _FRESH.block),
        breaker_since=None,
        apart=NOTHING_APART,
    )


def _all_began_before(known: Evidence, tick: Tick) -> bool:
    """Whether no call of the state in force is known yet: what ended began before it."""
    if tick.cohorts is None or known.anew_at is None:
        return False
    young = tick.at < known.anew_at + SETTLED_AFTER_S
    return young and all(cohort.start < known.anew_at for cohort in tick.cohorts)


def _failed_call(known: Evidence, tick: Tick) -> bool:
    """Whether a call to the target that began in the state in force is known to have failed."""
    if known.failed_call or known.anew_at is None:
        return True  # nobody saw the state begin
    if tick.cohorts is None:
        return tick.at > known.anew_at and tick.target.failed.events > 0
    return any(c.target.failed and not _before(c, known.anew_at) for c in tick.cohorts)


def _without_failures(pairs: _Pairs) -> _Pairs:
    """Calls that failed at the target left out."""
    (target, legacy), *others = pairs
    return ((Seen(0, target.total - target.events), legacy), *others)


def _with_trouble_of_legacy(known: Evidence, tick: Tick, bound: float) -> Evidence:
    logs, at = _legacy_bad(known, tick, bound)
    cohorts = bad_starts(known.legacy_bad_cohorts, tick.cohorts or (), tick.at, bound)
    return _changed(known, legacy_bad=logs, legacy_bad_at=at, legacy_bad_cohorts=cohorts)


def _changed(known: Evidence, **changes: Any) -> Evidence:
    """As `dataclasses.replace`, in a tenth of the time: simulations spend theirs here."""
    made = object.__new__(Evidence)
    made.__dict__.update(known.__dict__, **changes)
    return made


# --- comparing -----------------------------------------------------------------------------


def _compared(known: Evidence, pairs: _Pairs, tick: Tick, setting: Setting) -> dict[str, Any]:
    """What comparing and proving come to after one tick more, by the name of their field."""
    comparable = _comparable(known, tick, setting)
    known = _kept_for_comparing(known, comparable, tick, setting)
    failed, refused, slow, unsettled = _calls(known, pairs, tick, setting, comparable=comparable[0])
    proves = _delivery_age_over(known.begun, known, setting)  # of delivery: accepted at this share
    counts = (*pairs[:2], pairs[-1] if proves else (NOTHING, NOTHING))
    late = Step(*pairs[Signal.UNDELIVERED], compared=comparable[-1], proves=proves)
    not_accepted, never = _not_accepted(known, pairs, tick, setting)
    lost = late._replace(target=_with(late.target, never[0]), legacy=_with(late.legacy, never[1]))
    steps = (failed, slow, [late])
    found = [detecting(known.settled[s], known.block[s], steps[s], s) for s in SIGNALS]
    ways = (Signal.FAILED, refused), (Signal.UNDELIVERED, [lost])
    others = [
        found[s]
        if taken == steps[s]
        and known.other_way[n] == known.settled[s]
        and known.other_block[n] == known.block[s]
        else detecting(known.other_way[n], known.other_block[n], taken, s)
        for n, (s, taken) in enumerate(ways)
    ]
    shown = [each.shown for each in found]
    for (signal, _), other in zip(ways, others, strict=True):
        if max(shown[signal]) > 0.0:  # blame must stand both ways
            shown[signal] = min(shown[signal], other.shown, key=strength)
    proofs = [_proofs(known, s, steps[s], found[s].closed, setting) for s in SIGNALS]
    return {
        "unsettled": unsettled,
        "compare_from": known.compare_from,
        "counted": tuple([known.counted[s].plus(_block(*counts[s])) for s in SIGNALS]),
        "not_accepted": not_accepted,
        "relative": tuple(shown),
        "settled": tuple([each.settled for each in found]),
        "block": tuple([each.block for each in found]),
        "other_way": tuple([each.settled for each in others]),
        "other_block": tuple([each.block for each in others]),
        "compared": tuple([compared for compared, _, _ in proofs]),
        "no_worse": tuple([no_worse for _, no_worse, _ in proofs]),
        "low": tuple([low for _, _, low in proofs]),
    }  # fmt: skip


def _not_accepted(
    known: Evidence, pairs: _Pairs, tick: Tick, setting: Setting
) -> tuple[tuple[tuple[float, float, float], ...], tuple[float, float]]:
    """What was not accepted, kept until the rest of its tick is judged; then what that is now."""
    ours, theirs = pairs[Signal.FAILED]
    new = (tick.at, ours.events + tick.target.refused, theirs.events + tick.legacy.refused)
    kept = (*known.not_accepted, new) if new[1] or new[2] else known.not_accepted
    if not kept or kept[0][0] > tick.at - setting.delivery_age_s:
        return kept, (0.0, 0.0)
    due = [each for each in kept if each[0] <= tick.at - setting.delivery_age_s]
    return kept[len(due) :], (sum(each[1] for each in due), sum(each[2] for each in due))


def _with(seen: Seen, events: float) -> Seen:
    return Seen(seen.events + events, seen.total + events) if events else seen


def _comparable(known: Evidence, tick: Tick, setting: Setting) -> tuple[bool, bool, bool]:
    """Whether target and legacy may be compared now, by signal.

    After legacy's own trouble not for a while: what is judged then was accepted during it.
    """
    if setting.share >= FULL_SHARE:
        return (False,) * 3
    if known.legacy_bad_at is None:
        return (True,) * 3
    over = known.legacy_bad_at + AFTERMATH_S
    calls = tick.at > over
    return (calls, calls, tick.at > over + setting.delivery_age_s)


def _kept_for_comparing(
    known: Evidence, comparable: tuple[bool, bool, bool], tick: Tick, setting: Setting
) -> Evidence:
    """What was known, without what may not be compared."""
    whole = (*comparable[:2], comparable[-1] and not _partly_of_another_share(known, setting))
    if all(whole):
        return known
    failed, late = comparable[0], comparable[-1]
    return replace(
        known,
        settled=_kept(comparable, known.settled, _UNSUSPECTED),
        block=_kept(whole, known.block, _NO_BLOCKS),
        other_way=(
            known.other_way[0] if failed else _UNSUSPECTED[0],
            known.other_way[1] if late else _UNSUSPECTED[0],
        ),
        other_block=(
            known.other_block[0] if failed else margin.EMPTY,
            known.other_block[1] if whole[-1] else margin.EMPTY,
        ),
        compare_from=known.compare_from if failed else tick.at,
    )


def _partly_of_another_share(known: Evidence, setting: Setting) -> bool:
    """Whether deliveries begin to prove something, and the open blocks hold some from before."""
    if known.begun is None or known.counted[Signal.UNDELIVERED] != margin.EMPTY:
        return False
    held = (known.block[Signal.UNDELIVERED], known.other_block[1])
    return held != (margin.EMPTY,) * 2 and _delivery_age_over(known.begun, known, setting)


def _calls(
    known: Evidence, pairs: _Pairs, tick: Tick, setting: Setting, *, comparable: bool
) -> tuple[list[Step], list[Step], list[Step], float | None]:
    """Steps of failed, of refused for whatever reason, of slow; and the first unsettled cohort."""
    if tick.cohorts is None:
        failed, slow = (Step(*pairs[s], compared=comparable) for s in SIGNALS[:2])
        refused = failed._replace(
            target=_with(failed.target, tick.target.refused),
            legacy=_with(failed.legacy, tick.legacy.refused),
        )
        return [failed], [refused], [slow], known.unsettled
    found: tuple[list[Step], list[Step], list[Step]] = ([], [], [])
    unsettled, settling = known.unsettled, True
    for cohort in tick.cohorts:
        if _before(cohort, known.unsettled):
            continue
        settling = settling and cohort.is_settled(tick.at)
        seen = _outcomes(known, cohort, tick, setting)
        compared = comparable and not _before(cohort, known.compare_from)
        if not _before(cohort, known.failed_from):
            found[0].append(Step(*seen.failed, settling, compared))
            found[1].append(Step(*seen.refused, settling, compared))
        found[2].append(Step(*seen.slow, settling, compared))
        if settling:
            unsettled = cohort.start + SLOT_S
    return (*found, unsettled)


def _outcomes(known: Evidence, cohort: Cohort, tick: Tick, setting: Setting) -> Outcomes:
    """With what the target's breaker kept from it, unless legacy may be in the same trouble."""
    well = not any(0.0 <= cohort.start - at <= WORST_S for at in known.legacy_bad_cohorts)
    skips = well and known.failed_call
    return outcomes(cohort, tick.at, setting.slow_ms / 1_000.0, skips=skips)


def _block(target: Seen, legacy: Seen) -> Block:
    return Block(target.events, target.total, legacy.events, legacy.total)


def _before(cohort: Cohort, start: float | None) -> bool:
    return start is not None and cohort.start < start


def _proofs(
    known: Evidence, signal: Signal, steps: list[Step], closed: list[Block], setting: Setting
) -> tuple[Block, Logs, Logs]:
    """Blocks compared, and the proofs "hardly worse" and "below its bound"."""
    compared, no_worse, low = known.compared[signal], known.no_worse[signal], known.low[signal]
    for block in closed:
        rate = margin.expected_rate(compared)
        no_worse = plus(no_worse, margin.gains(block, rate, setting.margins[signal]))
        compared = compared.plus(block)
    for step in steps:
        if step.settled and step.proves and step.target.total:
            low = plus(low, rate_gains(step.target, setting.bounds[signal][0], LOWER))
    return compared, no_worse, low


def _of_another_state(known: Evidence, setting: Setting) -> bool:
    """Whether what is known is about another state; a target without a share has none."""
    same = known.anew == setting.anew and known.providers == setting.providers
    return not same or not setting.share


def _for_legacy(known: Evidence, tick: Tick, setting: Setting) -> Evidence:
    """What still counts of legacy."""
    heard = known.legacy_heard
    another = not setting.legacy_enabled or known.providers[1] != setting.providers[1]
    if not another and (heard is None or tick.at - heard <= _lapse_s(known, heard)):
        return known
    ours, theirs = known.silences
    return replace(
        known,
        relative=_UNSUSPECTED,
        settled=_UNSUSPECTED,
        block=_NO_BLOCKS,
        other_way=_FRESH.other_way,
        other_block=_FRESH.other_block,
        compare_from=tick.at,
        silences=(ours, NO_SILENCE if another else theirs),
        legacy_bad=_FRESH.legacy_bad,
        legacy_bad_at=None,
        legacy_bad_cohorts=(),
        legacy_heard=None,
        apart=NOTHING_APART,
    )


def _lapse_s(known: Evidence, heard: float) -> float:
    """How long nothing may be heard of legacy: long for the traffic that it has."""
    outcomes = known.counted[Signal.FAILED][3]
    if known.begun is None or not outcomes:
        return LAPSE_S
    usual_s = (heard - known.begun) / outcomes
    return min(max(LAPSE_S, _LONG_GAPS * usual_s), _LONGEST_LAPSE_S)


def _for_state(known: Evidence, tick: Tick, setting: Setting) -> Evidence:
    """What still counts in the state in force."""
    if _of_another_state(known, setting):
        return Evidence(
            since=setting.since,
            begun=tick.at,
            anew=setting.anew,
            anew_at=tick.at,
            providers=setting.providers,
            bounds=known.bounds,
            margins=known.margins,
            slow_ms=known.slow_ms,
            unsettled=tick.at,
            legacy_bad_cohorts=known.legacy_bad_cohorts,
            legacy_bad=known.legacy_bad,
            legacy_bad_at=known.legacy_bad_at,
            legacy_heard=known.legacy_heard,
        )
    if known.since == setting.since:
        return known
    return replace(
        known,
        since=setting.since,
        begun=setting.since if known.since is None else tick.at,
        unsettled=tick.at,
        block=_NO_BLOCKS,
        other_block=_FRESH.other_block,
        compared=_NO_BLOCKS,
        no_worse=_FRESH.no_worse,
        low=_FRESH.low,
        skew=_FRESH.skew,
        counted=_FRESH.counted,
    )


def _for_bounds(known: Evidence, setting: Setting) -> Evidence:
    """What was held against another bound, or counted other events, says nothing about this one."""
    same_slow = known.slow_ms == setting.slow_ms
    if same_slow and known.bounds == setting.bounds and known.margins == setting.margins:
        return known
    events = [same_slow or s is not Signal.SLOW for s in SIGNALS]
    bound = [events[s] and known.bounds[s] == setting.bounds[s] for s in SIGNALS]
    within = [events[s] and known.margins[s] == setting.margins[s] for s in SIGNALS]
    new, failed = _FRESH, Signal.FAILED
    bad = known.bounds[failed][-1] == setting.bounds[failed][-1]
    good = known.bounds[failed][0] == setting.bounds[failed][0]
    return replace(
        known,
        bounds=setting.bounds,
        margins=setting.margins,
        slow_ms=setting.slow_ms,
        legacy_bad=known.legacy_bad if bad else new.legacy_bad,
        relative=_kept(events, known.relative, new.relative),
        settled=_kept(events, known.settled, new.settled),
        block=_kept(events, known.block, new.block),
        compared=_kept(events, known.compared, new.compared),
        no_worse=_kept(within, known.no_worse, new.no_worse),
        absolute=_kept(bound, known.absolute, new.absolute),
        low=_kept(bound, known.low, new.low),
        apart=known.apart if good else NOTHING_APART,
    )


def _kept(same: Sequence[bool], known: tuple[_T, ...], new: tuple[_T, ...]) -> tuple[_T, ...]:
    """By signal."""
    return tuple(known[s] if same[s] else new[s] for s in SIGNALS)


def _delivery_age_over(began: float | None, known: Evidence, setting: Setting) -> bool:
    """Whether all judged since the last tick was accepted since; yes where nobody saw it begin."""
    return began is None or known.at >= began + setting.delivery_age_s + _JUDGED_LATE_S


def _pairs(known: Evidence, tick: Tick, setting: Setting) -> tuple[_Pairs, tuple[Silence, Silence]]:
    """Outcomes of target and legacy by signal, delivery only as far as reports come."""
    calls = _ended(known, tick)
    if not _delivery_age_over(known.anew_at, known, setting):
        return (*calls, (NOTHING, NOTHING)), known.silences
    (before, before_there), age_s = known.silences, setting.delivery_age_s
    elsewhere = before_there.missing and setting.reports[1]
    target, ours = released(before, tick.target.judged, tick.at, age_s, elsewhere=elsewhere)
    legacy, theirs = released(before_there, tick.legacy.judged, tick.at, age_s, elsewhere=False)
    judged = (
        target if setting.reports[0] else NOTHING,
        legacy if all(setting.reports) else NOTHING,
    )
    return (*calls, judged), (ours, theirs)


def _ended(known: Evidence, tick: Tick) -> _Pairs:
    """Calls of both that ended, failed and slow.

    Some of what ended before the state was first seen is written only later. So at the next tick
    those count that are known to have begun in it.
    """
    began = known.anew_at
    if tick.cohorts is None or began is None or known.at >= began + WRITTEN_AFTER_S:
        return (tick.target.failed, tick.legacy.failed), (tick.target.slow, tick.legacy.slow)
    cohorts = [cohort for cohort in tick.cohorts if not _before(cohort, began)]
    ours, theirs = ended(c.target for c in cohorts), ended(c.legacy for c in cohorts)
    return (ours[0], theirs[0]), (ours[1], theirs[1])


def _absolute(
    by_bound: tuple[Logs, ...], seen: Seen, bounds: tuple[float, ...], signal: Signal
) -> tuple[Logs, ...]:
    if not seen.total:
        return by_bound
    top = level(relative=False, signal=signal)
    return tuple([
        detected(logs, rate_gains(seen, bound, HIGHER), top)
        for logs, bound in zip(by_bound, bounds, strict=True)
    ])  # fmt: skip


def _skewed(known: Evidence, tick: Tick, setting: Setting) -> Logs:
    """The share realised, held against the one configured; within `TOLERATED` odds all is well.

    A few busy numbers move the share of messages a little off the share of numbers: hence odds.
    """
    settling = known.begun is not None and tick.at < known.begun + _SETTLE_S
    target, legacy = tick.target.failed.total, tick.legacy.failed.total
    if settling or not 0 < setting.share < FULL_SHARE or not target + legacy:
        return known.skew
    gains = tuple([
        target * ours + legacy * theirs for ours, theirs in _skew_odds(setting.share)
    ])  # fmt: skip
    return plus(known.skew, gains)


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
    if not tick.breaker_open or seen.total > seen.events or known.legacy_bad_cohorts:
        return None
    recovered = tick.legacy_answers and not known.legacy_answers
    if known.breaker_since is None:
        return tick.at if _call_failed(known, tick) else None
    return tick.at if recovered else known.breaker_since


def _call_failed(known: Evidence, tick: Tick) -> bool:
    """Whether a call to the target became known to have failed."""
    if tick.cohorts is None:
        return tick.target.failed.events > 0
    before = dict(known.target_failed)
    began = [c for c in tick.cohorts if not _before(c, known.anew_at)]
    return any(c.target.failed > before.get(c.start, 0) for c in began)


def _apart(known: Evidence, absolute: tuple[Logs, ...], tick: Tick, setting: Setting) -> Contrast:
    """Whether legacy does well and the target does not, in the very same calls.

    Never in the aftermath of legacy's own trouble, which may have ended for one of both.
    """
    half = level(relative=False, signal=Signal.FAILED) / 2.0
    at = known.legacy_bad_at
    aftermath = at is not None and tick.at <= at + AFTERMATH_S
    if aftermath or not any(reaches(logs, half) for logs in absolute):
        return NOTHING_APART
    calls = _calls_of_both(known, tick, setting)
    return contrasted(known.apart, calls, tick.at, setting.bounds[Signal.FAILED][0])


def _calls_of_both(known: Evidence, tick: Tick, setting: Setting) -> list[CallsOfBoth]:
    """Of the target the eligible ones, of legacy all."""
    now = tick.at
    if tick.cohorts is None:
        legacy = _with(tick.legacy_all, tick.legacy.refused)
        return [CallsOfBoth(now, now, tick.target.failed, legacy, settled=True)]
    return [
        CallsOfBoth(
            cohort.start,
            cohort.start + SLOT_S,
            _outcomes(known, cohort, tick, setting).failed[0],
            all_of_legacy(cohort, now),
            settled=cohort.is_settled(now) and not _waits(cohort, now),
        )
        for cohort in tick.cohorts
    ]


def _waits(cohort: Cohort, now: float) -> bool:
    return cohort.legacy_all.open > 0 and not cohort.is_old(now)


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


def about(
    known: Evidence | None, since: float | None, now: float, anew: int = 0
) -> Evidence | None:
    """The evidence, where it is about that share and state and not older than `FRESH_S`."""
    if known is None or (known.since, known.anew) != (since, anew) or now - known.at > FRESH_S:
        return None
    return known


def goes_on(known: Evidence, signals: Iterable[Signal]) -> bool:
    """Whether any of it happened at the target within `NEWS_S`; what is not known may have."""
    news = [known.news[signal] for signal in signals]
    return any(at is None or known.at - at <= NEWS_S for at in news)


def suspicious(known: Evidence) -> tuple[str, ...]:
    """Detectors above the root of their level: no time to advance."""
    found = []
    for signal in SIGNALS:
        if relative_suspicion(known, signal):
            found.append(f"{signal}: worse than legacy")
        if absolute_strength(known, signal) >= level(relative=False, signal=signal) / 2.0:
            found.append(f"{signal}: bad in itself")
    return tuple(found)


def legacy_is_bad(known: Evidence) -> bool:
    """Legacy fails more than the second bound: no place to go back to."""
    return reaches(known.legacy_bad, level(relative=False, signal=Signal.FAILED))


def legacy_is_good(known: Evidence) -> bool:
    """Legacy was proved good, and the target bad, in the same calls."""
    return known.apart.stands


def misassigned(known: Evidence) -> bool:
    """The share realised is not the one configured."""
    return reaches(known.skew, BREACH)


def low_proof(known: Evidence, signal: Signal) -> float:
    """Evidence that the target keeps its bound, nats."""
    return strength(known.low[signal])


def no_worse_proof(known: Evidence, signal: Signal) -> float:
    """Evidence that the target is hardly worse than legacy, nats."""
    return strength(known.no_worse[signal])


def low_or_no_worse_proof(known: Evidence, signal: Signal) -> float:
    """Evidence that the target keeps its bound or is hardly worse than legacy, nats.

    The mean of both processes is an e-process of "neither".
    """
    return strength((low_proof(known, signal), no_worse_proof(known, signal)))
