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
  alternative's likelihood ratio starts again from 1 where it fell below, and the mean over the
  alternatives raises the alarm. The mean time to a false alarm is at least exp(level) ticks.
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
  outcome of legacy came for long (`resets`); the comparison lapses at a share of 100 % too.
- An alarm moves traffic only while what it is about goes on (`readings.NEWS_S`).
- While an alarm about failed calls stands, the replica is named that alone cannot reach the target,
  if there is one (`sick_replica`). When that is over, all that is known of failed calls starts
  anew: it is the replica's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from worker.domain.detection import margin
from worker.domain.detection.contrast import NOTHING_APART, Contrast
from worker.domain.detection.criteria import BOUNDS, MARGINS, Bounds, Margins
from worker.domain.detection.likelihood import LOWER, WORSE, Logs
from worker.domain.detection.silence import NO_SILENCE, Silence

if TYPE_CHECKING:
    from worker.domain.detection.margin import Block
    from worker.domain.detection.sick_replica import SickReplica

METHOD: Final = 7
"""Rises with every change that would replay to other numbers."""
AFTERMATH_S: Final = 120.0
"""Longer than a call may take (30 s), and by the default settings a breaker waits for its next
probe (60 s)."""
LAPSE_S: Final = 600.0
"""What nobody has heard of for that long is not known any more."""
SKEW: Final[Logs] = (2.0, 4.0, 8.0)
NO_BLOCKS: Final[tuple[Block, ...]] = (margin.EMPTY,) * 3
UNSUSPECTED: Final[tuple[Logs, ...]] = ((0.0,) * len(WORSE),) * 3


@dataclass(frozen=True)  # without slots: see `changed`
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
    relative: tuple[Logs, ...] = UNSUSPECTED
    """Detectors by signal as the alarms see them: calls that have not all ended included, and the
    weaker of both ways of counting."""
    settled: tuple[Logs, ...] = UNSUSPECTED
    """The same detectors by settled cohorts alone."""
    other_way: tuple[Logs, Logs] = (UNSUSPECTED[0], UNSUSPECTED[0])
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
    block: tuple[Block, ...] = NO_BLOCKS
    """What both did since the last block was closed, by signal."""
    compared: tuple[Block, ...] = NO_BLOCKS
    """The blocks closed since the share began, added up, by signal."""
    no_worse: tuple[Logs, ...] = (margin.UNPROVED,) * 3
    """Proofs by signal: the rate is below the wider of legacy's plus the margin and `TOLERATED`
    times legacy's."""
    low: tuple[Logs, ...] = ((0.0,) * len(LOWER),) * 3
    """Proofs by signal: the rate is below its first bound."""
    skew: Logs = (0.0,) * (2 * len(SKEW))
    """The share realised is not the one configured."""
    counted: tuple[Block, ...] = NO_BLOCKS
    """Outcomes since the share began, by signal; forecasts take their rates from it."""
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
    """Since when failing calls are waited out (`Criteria.grace_s`); None: they are not."""
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


FRESH: Final = Evidence()


def changed(evidence: Evidence, **changes: Any) -> Evidence:
    """As `dataclasses.replace`, in a tenth of the time: simulations spend theirs here."""
    made = object.__new__(Evidence)
    made.__dict__.update(evidence.__dict__, **changes)
    return made
