"""The policy `threshold`: rates within a window, as the replaced system had it.

Rules: pure. What is no statistics is as under the other policy (`judgement`): our account, missing
reports, the way back. So are failed calls of one replica alone.
`RollbackGraceSeconds` is of the other policy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.domain.detection.automatic_rollback import (
    Action,
    HoldReason,
    Judgement,
    hold,
    outside_statistics,
    watched,
    with_a_way_back,
)

if TYPE_CHECKING:
    from worker.domain.detection.evidence import Evidence
    from worker.domain.migration.flags import Thresholds
    from worker.domain.migration.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Window:
    """The target over the window of the policy `threshold`."""

    accepted: int = 0
    errors: int = 0
    p95_ms: float | None = None
    since: float | None = None
    """Where it begins, seconds since the epoch; None: not recorded."""

    def begins_before(self, moment: float | None) -> bool:
        """Whether it holds outcomes from before that moment."""
        return self.since is not None and moment is not None and self.since < moment


def judge_window(window: Window, evidence: Evidence, state: Snapshot) -> Judgement:
    """By the rates within the window."""
    if (first := outside_statistics(evidence, state)) is not None:
        return first
    bounds, outcomes = state.flags.thresholds, window.accepted + window.errors
    if outcomes < bounds.minimum_sample:
        return watched(evidence, state, f"{outcomes} of {bounds.minimum_sample} outcomes")
    failed, slow = _failed(window, bounds), _slow(window, bounds)
    if window.begins_before(evidence.failed_from):
        failed = []  # not by the target's fault
    if not failed and not slow:
        return watched(evidence, state, "within the thresholds")
    if evidence.sick_replica is not None and not slow:
        return hold(HoldReason.SICK_REPLICA, evidence.sick_replica.words)
    words = f"{', '.join(failed + slow)} over {bounds.window_min:g} min"
    return with_a_way_back(Action.ROLL_BACK, words, evidence, state)


def _failed(window: Window, bounds: Thresholds) -> list[str]:
    errors = 100.0 * window.errors / (window.accepted + window.errors)
    found = []
    if errors > bounds.max_error_rate:
        found.append(f"errors {errors:.2f} % > {bounds.max_error_rate:g} %")
    if 100.0 - errors < bounds.min_success_rate:
        found.append(f"success {100.0 - errors:.2f} % < {bounds.min_success_rate:g} %")
    return found


def _slow(window: Window, bounds: Thresholds) -> list[str]:
    if window.p95_ms is None or window.p95_ms <= bounds.max_response_ms:
        return []
    return [f"p95 {window.p95_ms:g} ms > {bounds.max_response_ms:g} ms"]
