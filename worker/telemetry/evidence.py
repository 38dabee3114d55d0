"""The evidence against the target, as metrics: how strong it is, and where its alarms are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.domain.detection import likelihood, readings
from worker.domain.detection.signals import SIGNALS, SKEWED, level
from worker.telemetry.instruments import DETECTOR, SIGNAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.domain.detection.checkpoint import Checkpoint
    from worker.domain.detection.evidence import Evidence
    from worker.telemetry.instrument import Sample

RELATIVE: Final = "worse than legacy"
ABSOLUTE: Final = "bad in itself"
SHARE: Final = {SIGNAL: "share", DETECTOR: "misassigned"}


class EvidenceMetrics:
    """Shows the evidence of the last tick; nothing while it is not known."""

    def __init__(self) -> None:
        self._last: Evidence | None = None

    def seen(self, checkpoint: Checkpoint | None) -> None:
        """Take the last checkpoint; None: it could not be read."""
        self._last = checkpoint.evidence if checkpoint else None

    def strengths(self) -> Iterator[Sample]:
        """How strong the evidence is, nats."""
        known = self._last
        if known is None:
            return
        for signal in SIGNALS:
            relative = likelihood.strength(known.relative[signal])
            yield relative, {SIGNAL: str(signal), DETECTOR: RELATIVE}
            absolute = readings.absolute_strength(known, signal)
            yield absolute, {SIGNAL: str(signal), DETECTOR: ABSOLUTE}
        yield likelihood.strength(known.skew), SHARE

    def levels(self) -> Iterator[Sample]:
        """At which evidence each detector alarms, nats."""
        for signal in SIGNALS:
            for name, relative in ((RELATIVE, True), (ABSOLUTE, False)):
                value = level(relative=relative, signal=signal)
                yield value, {SIGNAL: str(signal), DETECTOR: name}
        yield SKEWED, SHARE
