"""Faults of recipients and messages, counted by the real book, before every policy.

The others count every attempt that was not accepted, whoever is to blame.
"""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np

from tests.bench.evidence_policies import EVIDENCE, RULES, ByEvidence
from tests.bench.evidence_traffic import Case, Counts
from tests.support.seeded_book import own_faults
from worker.domain.detection import readings
from worker.domain.detection.signals import Signal


def fault_alarms(case: Case, seed: int) -> dict[str, bool]:
    """Whether each policy raised an alarm at such faults; of the evidence any detector counts."""
    ours, made = ByEvidence(case), own_faults(random.Random(seed), case.name, case.split)
    alarmed = False
    for tick, _ in made:
        ours.look(tick)
        alarmed |= any(
            readings.relative_alarm(ours.known, s) or readings.absolute_alarm(ours.known, s)
            for s in Signal
        )
    traffic = _every_attempt(case, made)
    return {EVIDENCE: alarmed} | {name: any(rule(traffic)) for name, rule in RULES.items()}


def _every_attempt(case: Case, made: list) -> SimpleNamespace:
    accepted = [tally.accepted for _, tally in made]
    own = [t.refused + t.not_sent_recipient + t.not_sent_message for _, t in made]
    bad = [tally.errors + mine for (_, tally), mine in zip(made, own, strict=True)]
    theirs = [tick.legacy_all for tick, _ in made]
    return SimpleNamespace(
        case=case,
        target=_counts(bad, accepted),
        legacy=_counts([s.events for s in theirs], [s.total - s.events for s in theirs]),
    )


def _counts(failed: list[float], good: list[float]) -> Counts:
    none = np.zeros(len(good), dtype=int)
    return Counts(np.array(failed), np.array(good), none, none, none, none)
