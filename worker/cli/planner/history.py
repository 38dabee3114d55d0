"""Asks the worker for volume and rates of the last days, for `sms-worker plan --from-history`.

Rules: it asks over the broker like `ctl health`, day by day, no further back than metrics are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from contracts.control import Health
from contracts.health import HealthMetric
from worker.cli.ctl.ask import NO_ANSWER, REFUSED, fail, in_force, query
from worker.domain.detection.past import DAYS, past_of
from worker.domain.migration.flags_document import FlagsError, parse

if TYPE_CHECKING:
    from worker.cli.options import Asking
    from worker.domain.detection.past import Past
    from worker.domain.migration.flags import Flags


@dataclass(frozen=True, slots=True)
class History:
    """What the worker told."""

    seen: Past
    """Volume and rates of the last days."""
    flags: dict[str, Any]
    """The flags in force, as a document."""


def history(given: Asking) -> History:
    """Ask the worker; end the program if it cannot answer."""
    document = in_force(given).flags
    flags = _flags(document)
    kept = min(DAYS, flags.migration.metrics_retention_days)
    # The longest period first: messages that come while we ask then only add to shorter ones.
    reports = {day: _health(given, 24.0 * day) for day in range(kept, 0, -1)}
    figures = {day: report.providers.values() for day, report in reports.items()}
    seen = past_of(figures, flags.thresholds.max_response_ms)
    if seen is None:
        text = f"--from-history: no message was accepted in {kept} days; give --per-day"
        fail(text, REFUSED)
    return History(seen, document)


def _health(given: Asking, hours: float) -> HealthMetric:
    try:
        return HealthMetric.model_validate(query(given, Health, hours=hours).data)
    except ValidationError:
        fail("--from-history: the worker answered with a report of another version", NO_ANSWER)


def _flags(document: dict[str, Any]) -> Flags:
    try:
        return parse(document, "target", "legacy")[0]
    except FlagsError as error:
        fail(f"--from-history: flags in force: {error}", REFUSED)
