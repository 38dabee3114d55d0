"""Reads what Prometheus scrapes, and knows which values each label may have.

Rules: every label is named here with its values. What cannot be listed has a short pattern. So a
number, an id or a text in a label fails.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from contracts.names import Exchange, Queue
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.detection.signals import SIGNALS
from worker.domain.figures.tally import OUTCOMES
from worker.domain.messages.message import Lane, State
from worker.domain.migration.phases import Phase
from worker.handlers.dead_letters import CAUSES
from worker.ports.providers import BreakerState
from worker.telemetry import evidence, names
from worker.telemetry import instruments as show
from worker.telemetry.callbacks import NO_PROVIDER
from worker.telemetry.instruments import REGISTRY
from worker.web.reports import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from worker.telemetry.instrument import Instrument

_NOT_OURS: Final = ("process_", "target_info")


def _one_of(*values: object) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(str(value)) for value in values))


def patterns(providers: Iterable[str]) -> Mapping[str, re.Pattern[str]]:
    """By label: the values it may have."""
    return {
        show.PROVIDER: _one_of(*providers, NO_PROVIDER),
        show.OUTCOME: _one_of(*OUTCOMES),
        show.LANE: _one_of(*Lane),
        show.CURRENCY: re.compile("[A-Z]{3}"),
        show.VERDICT: _one_of("delivered", "undelivered"),
        show.STATE: _one_of(*State, *BreakerState),
        show.PHASE: _one_of(*Phase),
        show.CODE: _one_of(*AlertCode),
        show.SEVERITY: _one_of("info", "warning", "critical"),
        show.CAUSE: _one_of(*CAUSES),
        show.SIGNAL: _one_of(*SIGNALS, "share"),
        show.DETECTOR: _one_of(evidence.RELATIVE, evidence.ABSOLUTE, "misassigned"),
        show.KIND: _one_of(*KINDS),
        names.SYSTEM: _one_of(names.SYSTEM_RABBITMQ),
        names.OPERATION_NAME: _one_of(names.OPERATION_PROCESS, names.OPERATION_SEND),
        names.DESTINATION: _one_of(*Queue, Exchange.REPORTS),
        names.METHOD: _one_of("GET", "POST"),
        names.ROUTE: _one_of(*(f"/{each}/{{provider}}/{{token}}" for each in ROUTES)),
        names.STATUS: re.compile("[2-5][0-9]{2}"),
        names.SCHEME: _one_of("http"),
    }


ROUTES: Final = ("reports", "optout", "optin")


class Scraped:
    """What one scrape showed."""

    def __init__(self, text: str) -> None:
        known = {each.shown.removesuffix("_total"): each for each in REGISTRY}
        self.values: dict[Instrument, list[tuple[str, Mapping[str, str], float]]] = {}
        """By metric: name, labels and value of each sample."""
        self.unknown: list[str] = []
        """Metrics that the registry does not have."""
        for family in text_string_to_metric_families(text):
            if family.name in known and family.samples:
                samples = [(each.name, each.labels, each.value) for each in family.samples]
                self.values[known[family.name]] = samples
            elif family.name not in known and not family.name.startswith(_NOT_OURS):
                self.unknown.append(family.name)

    def value(self, instrument: Instrument, suffix: str = "", **labels: str) -> float:
        """The sum of the samples with these labels (as Prometheus writes them)."""
        return sum(
            value
            for name, found, value in self.values.get(instrument, [])
            if name == instrument.shown + suffix and labels.items() <= found.items()
        )

    def unbounded(self, providers: Iterable[str]) -> list[str]:
        """Labels that their metric does not declare, and values that they may not have."""
        allowed = patterns(providers)
        return [
            f"{instrument.name} {label}={value}"
            for instrument, samples in self.values.items()
            for _, labels, _ in samples
            for label, value in labels.items()
            if label != "le" and not _may(label, value, instrument, allowed)
        ]


def _may(
    label: str, value: str, instrument: Instrument, allowed: Mapping[str, re.Pattern[str]]
) -> bool:
    declared = {each.replace(".", "_"): each for each in instrument.labels}
    return label in declared and bool(allowed[declared[label]].fullmatch(value))
