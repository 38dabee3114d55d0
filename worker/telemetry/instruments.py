"""Every metric that a worker or a webhook shows: names, units, meanings and labels in one place.

Rules: nothing waits for a metric. Values are read from what is counted anyway, when somebody asks;
a message costs some additions at most. Names of OpenTelemetry's semantic conventions are used
where they exist, `sms.` names what is ours. Labels are bounded: never a message, a number, a user,
a branch or the text of an error.
"""

from __future__ import annotations

from typing import Final

from worker.domain.figures.tally import BOUNDS_MS
from worker.telemetry import names
from worker.telemetry.instrument import Instrument, Kind

PROVIDER: Final = names.PROVIDER
OUTCOME: Final = "sms.outcome"
LANE: Final = "sms.lane"
CURRENCY: Final = "sms.currency"
VERDICT: Final = "sms.verdict"
STATE: Final = "sms.state"
PHASE: Final = "sms.phase"
CODE: Final = "sms.code"
SEVERITY: Final = "sms.severity"
CAUSE: Final = "sms.cause"
SIGNAL: Final = "sms.signal"
DETECTOR: Final = "sms.detector"
KIND: Final = "sms.report.kind"

_CALL_S: Final = tuple(bound / 1_000 for bound in BOUNDS_MS)
_SERVED_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""As the semantic conventions advise."""
_WAIT_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 21_600.0)

# --- what became of messages ----------------------------------------------------------------

ATTEMPTS: Final = Instrument(
    "sms.attempts", Kind.COUNTER, "{attempt}",
    "Attempts to send; `skipped`: passed over, its breaker was open.",
    (PROVIDER, OUTCOME, LANE),
)  # fmt: skip
DURATION: Final = Instrument(
    "sms.attempt.duration", Kind.HISTOGRAM, "s", "How long accepted calls took.",
    (PROVIDER,), _CALL_S,
)  # fmt: skip
FALLBACKS: Final = Instrument(
    "sms.fallbacks", Kind.COUNTER, "{attempt}",
    "Attempts made because another provider was proved not to have sent.",
    (PROVIDER,),
)  # fmt: skip
SEGMENTS: Final = Instrument(
    "sms.segments", Kind.COUNTER, "{segment}", "Segments of accepted messages.", (PROVIDER,)
)
COST: Final = Instrument(
    "sms.cost", Kind.COUNTER, "1", "Cost of accepted messages.", (PROVIDER, CURRENCY)
)
JUDGED: Final = Instrument(
    "sms.deliveries", Kind.COUNTER, "{message}",
    "Accepted messages by whether a report said that they arrived, counted at the delivery age "
    "(`SMS_DELIVERY_AGE_S`).",
    (PROVIDER, VERDICT),
)  # fmt: skip
DEAD_LETTERS: Final = Instrument(
    "sms.dead_letters", Kind.COUNTER, "{message}",
    "Messages put into `sms.dead`, by the queue they came from and by cause.",
    (names.DESTINATION, CAUSE),
)  # fmt: skip
TAKEOVERS: Final = Instrument(
    "sms.lease.takeovers", Kind.COUNTER, "{lease}",
    "Messages whose worker was gone during a call, and that this replica settled as `unknown`.",
    (LANE,),
)  # fmt: skip

# --- where messages are ---------------------------------------------------------------------

QUEUE_WAIT: Final = Instrument(
    "sms.queue.wait", Kind.HISTOGRAM, "s",
    "How long messages waited in their queue before their first delivery, by the timestamp of the "
    "publisher (whole seconds) or of the broker; those without one are left out.",
    (names.DESTINATION,), _WAIT_S,
)  # fmt: skip
PROCESSED: Final = Instrument(
    "messaging.process.duration", Kind.HISTOGRAM, "s",
    "How long deliveries were handled.",
    (names.SYSTEM, names.OPERATION_NAME, names.DESTINATION), (*_SERVED_S, 30.0, 60.0),
)  # fmt: skip
IN_HAND: Final = Instrument(
    "sms.in_hand", Kind.GAUGE, "{message}", "Deliveries that are not settled yet, on all lanes."
)
OLDEST_IN_HAND: Final = Instrument(
    "sms.in_hand.oldest", Kind.GAUGE, "s",
    "For how long the oldest delivery of a queue is in hand; 0: there is none.",
    (names.DESTINATION,),
)  # fmt: skip
TASKS: Final = Instrument(
    "sms.tasks", Kind.GAUGE, "{task}",
    "Tasks of the process that have not ended. It follows the messages in hand; what only grows is "
    "a leak.",
)  # fmt: skip
CALLS: Final = Instrument(
    "sms.calls", Kind.GAUGE, "{call}", "Calls to a provider that are under way.", (PROVIDER,)
)
CALLS_WAITING: Final = Instrument(
    "sms.calls.waiting", Kind.GAUGE, "{call}",
    "Calls that wait for a permit: the provider's limits are reached.", (PROVIDER,),
)  # fmt: skip
OPEN_RECORDS: Final = Instrument(
    "sms.records.open", Kind.GAUGE, "{message}",
    "Messages that are not settled, over all replicas: in a call (`submitting`), between two "
    "rounds (`waiting`), or possibly sent and without a report yet (`unknown`). Read every 10 s; "
    "no more than 10,000 are counted.",
    (STATE,),
)  # fmt: skip
OLDEST_RECORD: Final = Instrument(
    "sms.records.oldest", Kind.GAUGE, "s",
    "Age of the oldest message that is not settled, by state as in `sms_records_open`; 0: there is "
    "none.",
    (STATE,),
)  # fmt: skip
CONSUMING: Final = Instrument(
    "sms.consuming", Kind.GAUGE, "1", "1 while the broker delivers on every lane."
)

# --- what the migration does ----------------------------------------------------------------

BREAKER: Final = Instrument(
    "sms.breaker.state", Kind.GAUGE, "1",
    "1 for the state a provider's breaker is in, else 0.", (PROVIDER, STATE),
)  # fmt: skip
PERCENTAGE: Final = Instrument(
    "sms.migration.percentage", Kind.GAUGE, "{percent}",
    "The target's share in force on this replica.",
)  # fmt: skip
ASSIGNED: Final = Instrument(
    "sms.migration.assigned", Kind.COUNTER, "{message}",
    "First attempts by the provider that the share in force assigned: the target's part of their "
    "sum is the share realised.",
    (PROVIDER,),
)  # fmt: skip
PHASE_IN_FORCE: Final = Instrument(
    "sms.migration.phase", Kind.GAUGE, "1",
    "1 for the phase in force on this replica, else 0.", (PHASE,),
)  # fmt: skip
EVIDENCE: Final = Instrument(
    "sms.evidence", Kind.GAUGE, "{nat}",
    "Evidence against the target by signal: worse than legacy, bad in itself, or (`share`) not "
    "given the share configured. The same on all replicas.",
    (SIGNAL, DETECTOR),
)  # fmt: skip
EVIDENCE_LEVEL: Final = Instrument(
    "sms.evidence.level", Kind.GAUGE, "{nat}",
    "The evidence at which that detector alarms.", (SIGNAL, DETECTOR),
)  # fmt: skip
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
DROPPED_METRICS: Final = Instrument(
    "sms.metrics.dropped", Kind.COUNTER, "{message}",
    "Messages for `sms.metrics` that the broker did not take.",
)  # fmt: skip

# --- the webhook ----------------------------------------------------------------------------

SERVED: Final = Instrument(
    "http.server.request.duration", Kind.HISTOGRAM, "s",
    "How long callbacks of providers took, by answer; provider `(unknown)`: there is no such "
    "provider, or its token is wrong.",
    (names.METHOD, names.ROUTE, names.STATUS, names.SCHEME, PROVIDER), _SERVED_S,
)  # fmt: skip
REPORTS: Final = Instrument(
    "sms.reports", Kind.COUNTER, "{report}",
    "Reports that the broker confirmed.", (PROVIDER, KIND),
)  # fmt: skip
CONFIRMED: Final = Instrument(
    "messaging.client.operation.duration", Kind.HISTOGRAM, "s",
    "How long the broker took to confirm a report.",
    (names.SYSTEM, names.OPERATION_NAME, names.DESTINATION), _SERVED_S,
)  # fmt: skip
UNCONFIRMED: Final = Instrument(
    "sms.reports.unconfirmed", Kind.GAUGE, "{report}", "Reports that wait for the broker's confirm."
)

OF_WORKER: Final = (
    ATTEMPTS, DURATION, FALLBACKS, SEGMENTS, COST, JUDGED, DEAD_LETTERS, TAKEOVERS,
    QUEUE_WAIT, PROCESSED, IN_HAND, OLDEST_IN_HAND, TASKS, CALLS, CALLS_WAITING,
    OPEN_RECORDS, OLDEST_RECORD, CONSUMING, BREAKER, PERCENTAGE, ASSIGNED, PHASE_IN_FORCE, EVIDENCE,
    EVIDENCE_LEVEL, VERSION, STORE_UP, BROKER_UP, ALERTS, DROPPED_METRICS,
)  # fmt: skip
OF_WEBHOOK: Final = (SERVED, REPORTS, CONFIRMED, UNCONFIRMED, BROKER_UP)
REGISTRY: Final = (*OF_WORKER, *(each for each in OF_WEBHOOK if each not in OF_WORKER))


def table() -> str:
    """Every metric as a Markdown table, as the documentation shows it."""
    rows = [
        f"| `{each.shown}` | {_process(each)} | {each.kind} | {_labels(each.labels)} "
        f"| {each.meaning} |"
        for each in REGISTRY
    ]
    head = ["| metric | of | kind | labels | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*head, *sorted(rows)])


def _process(instrument: Instrument) -> str:
    of = (("worker", OF_WORKER), ("webhook", OF_WEBHOOK))
    return ", ".join(name for name, instruments in of if instrument in instruments)


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{each.replace('.', '_')}`" for each in labels) or "-"
