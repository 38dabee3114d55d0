"""The detectors as numbers, also where only their sentences are known.

Rules: a decision in the history has its evidence as sentences for people, and so has the status of
an older worker. A sentence that is not understood is left out, not guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from contracts.answers import DetectorStatus, SignalStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.answers import MonitorStatus

_NUMBER: Final = r"([\d.]+(?:e[+-]?\d+)?)"
_SENTENCE: Final = re.compile(
    rf"target {_NUMBER} of {_NUMBER}, legacy {_NUMBER} of {_NUMBER}; "
    rf"worse than legacy {_NUMBER} \(alarm at {_NUMBER}\), "
    rf"bad in itself {_NUMBER} \(alarm at {_NUMBER}\)"
)


def read(monitor: MonitorStatus) -> Mapping[str, SignalStatus]:
    """The detectors of the monitor's last look, by signal."""
    if monitor.signals is not None:
        return monitor.signals
    return spelled_out(monitor.evidence)


def spelled_out(evidence: Mapping[str, object]) -> Mapping[str, SignalStatus]:
    """Read sentences for people: what was counted, and how near the alarms are."""
    found = {name: _SENTENCE.fullmatch(str(text)) for name, text in evidence.items()}
    return {name: _signal(match) for name, match in found.items() if match}


def _signal(match: re.Match[str]) -> SignalStatus:
    counts, detectors = match.groups()[:4], match.groups()[4:]
    target_events, target_total, legacy_events, legacy_total = map(float, counts)
    relative, relative_alarm, absolute, absolute_alarm = map(float, detectors)
    return SignalStatus(
        target_events=target_events,
        target_total=target_total,
        legacy_events=legacy_events,
        legacy_total=legacy_total,
        relative=DetectorStatus(value=relative, alarm=relative_alarm),
        absolute=DetectorStatus(value=absolute, alarm=absolute_alarm),
    )
