"""What a replica shows of itself as metrics: names, units and meanings, all in one place.

Rules: nothing is updated in the way of a message. Every value is read from what the worker counts
anyway, when somebody asks. Labels are bounded: never a message, a number, a user, a branch or the
text of an error. Prometheus writes `_` for `.`, adds `_total` to counters and the unit in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Sample = tuple[float, Mapping[str, str]]
"""A value and its labels."""
Reading = Callable[[], Iterable[Sample]]


class Kind(StrEnum):
    """How the values of an instrument behave."""

    COUNTER = "counter"
    """Only grows, from 0 at the start of the process."""
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric."""

    name: str
    kind: Kind
    unit: str
    """UCUM; in braces where it only names what is counted."""
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Its name in Prometheus."""
        return self.name.replace(".", "_") + ("_total" if self.kind is Kind.COUNTER else "")


PROVIDER: Final = "sms.provider"
OUTCOME: Final = "sms.outcome"
CURRENCY: Final = "sms.currency"
VERDICT: Final = "sms.verdict"
STATE: Final = "sms.state"
PHASE: Final = "sms.phase"
CODE: Final = "sms.code"
SEVERITY: Final = "sms.severity"

ATTEMPTS: Final = Instrument(
    "sms.attempts", Kind.COUNTER, "{attempt}",
    "Attempts to send; `skipped`: passed over, its breaker was open.",
    (PROVIDER, OUTCOME),
)  # fmt: skip
FALLBACKS: Final = Instrument(
    "sms.fallbacks", Kind.COUNTER, "{attempt}",
    "Attempts made because another provider was proved not to have sent.",
    (PROVIDER,),
)  # fmt: skip
SEGMENTS: Final = Instrument(
    "sms.segments",
    Kind.COUNTER,
    "{segment}",
    "Segments of accepted messages.",
    (PROVIDER,),
)
COST: Final = Instrument(
    "sms.cost",
    Kind.COUNTER,
    "1",
    "Cost of accepted messages.",
    (PROVIDER, CURRENCY),
)
JUDGED: Final = Instrument(
    "sms.deliveries", Kind.COUNTER, "{message}",
    "Accepted messages by whether a report said that they arrived, counted at the delivery age "
    "(`SMS_DELIVERY_AGE_S`).",
    (PROVIDER, VERDICT),
)  # fmt: skip
DURATION: Final = "sms.attempt.duration"
DURATION_MEANING: Final = "How long accepted calls took."
BREAKER: Final = Instrument(
    "sms.breaker.state",
    Kind.GAUGE,
    "1",
    "1 for the state a provider's breaker is in, else 0.",
    (PROVIDER, STATE),
)
IN_HAND: Final = Instrument(
    "sms.in_hand", Kind.GAUGE, "{message}", "Deliveries that are not settled yet, on all lanes."
)
CONSUMING: Final = Instrument(
    "sms.consuming", Kind.GAUGE, "1", "1 while the broker delivers on every lane."
)
PERCENTAGE: Final = Instrument(
    "sms.migration.percentage",
    Kind.GAUGE,
    "{percent}",
    "The target's share in force on this replica.",
)
PHASE_IN_FORCE: Final = Instrument(
    "sms.migration.phase",
    Kind.GAUGE,
    "1",
    "1 for the phase in force on this replica, else 0.",
    (PHASE,),
)
VERSION: Final = Instrument(
    "sms.state.version", Kind.GAUGE, "1", "Version of the state that this replica goes by."
)
STORE_UP: Final = Instrument(
    "sms.store.up", Kind.GAUGE, "1", "0 while the store is known not to answer, else 1."
)
BROKER_UP: Final = Instrument(
    "sms.broker.up", Kind.GAUGE, "1", "1 while the broker takes and delivers messages."
)
ALERTS: Final = Instrument(
    "sms.alerts.open", Kind.GAUGE, "{alert}",
    "Troubles that this replica sees now; absent while there is none.",
    (CODE, SEVERITY, PROVIDER),
)  # fmt: skip

REGISTRY: Final = (
    ATTEMPTS, FALLBACKS, SEGMENTS, COST, JUDGED, BREAKER, IN_HAND, CONSUMING, PERCENTAGE,
    PHASE_IN_FORCE, VERSION, STORE_UP, BROKER_UP, ALERTS,
)  # fmt: skip


def table() -> str:
    """Every metric as a Markdown table, as the documentation shows it."""
    rows = [
        f"| `{each.shown}` | {each.kind} | {_labels(each.labels)} | {each.meaning} |"
        for each in REGISTRY
    ]
    duration = f"{DURATION.replace('.', '_')}_seconds"
    rows.append(f"| `{duration}` | histogram | {_labels((PROVIDER,))} | {DURATION_MEANING} |")
    return "\n".join(["| metric | kind | labels | meaning |", "|---|---|---|---|", *sorted(rows)])


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{each.replace('.', '_')}`" for each in labels) or "-"
