"""The answers to queries: the `data` of a `ControlReply`, one model for each query.

Rules: `health` and `comparison` answer with the metric of that name, without its `event`. A field
that is unknown in this answer is absent; `null` is a value of its own (nobody acknowledged it). A
reader of another version may find unknown fields and miss known ones. So `data` in the reply stays
an object, and a reader that wants a model uses `model_validate`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AwareDatetime, Field, PlainSerializer

from contracts.control import (
    Alerts,
    Comparison,
    ControlQuery,
    Explain,
    Health,
    History,
    Preview,
    Series,
    Status,
    Suppressions,
)
from contracts.control_views import GateView, StateView
from contracts.health import ComparisonMetric, ErrorsByClass, HealthMetric
from contracts.model import Count, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

Time = Annotated[AwareDatetime, PlainSerializer(lambda moment: moment.isoformat(), str)]
"""ISO 8601 with an offset (`+00:00`)."""


class Answer(Wire):
    """The answer to one query, or a part of it."""

    @classmethod
    def known(cls, **fields: Any) -> Self:
        """Build an answer from what is known: a field that is None is left out."""
        return cls(**{name: value for name, value in fields.items() if value is not None})

    def document(self) -> dict[str, Any]:
        """The fields that were given, as they cross the wire."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class ReplicaStatus(Answer):
    """The heartbeat of one worker process."""

    replica: str
    applied: int | None
    """Version that it uses; null: none yet."""
    oldest_unsent: int | None
    """Version of its oldest decision that is not sent yet."""
    breakers: dict[str, str]
    """State by provider id."""
    faults: dict[str, str]
    """Fault of our account that a provider reports, by provider id."""
    in_hand: int
    """Deliveries not settled yet."""
    consuming: bool
    age_s: float
    """Seconds since the heartbeat was written."""
    software: str | None = None
    """Version of the program, like `host` and `startedAt` absent from older workers."""
    host: str | None = None
    started_at: Time | None = None


class DetectorStatus(Answer):
    """One detector of the target: how far it is from its alarm, in nats."""

    value: float
    alarm: float


class SignalStatus(Answer):
    """What was counted about one signal, and its two detectors."""

    target_events: float
    target_total: float
    legacy_events: float
    legacy_total: float
    relative: DetectorStatus
    """Worse than legacy."""
    absolute: DetectorStatus
    """Bad in itself."""


class MonitorStatus(Answer):
    """The monitor's last look at the outcomes."""

    looked_at: Time
    holding: str | None
    """Why automation holds; null: it does not."""
    evidence: dict[str, str]
    """By signal, for people: what was counted, and how near the alarms are."""
    hold_reason: str | None = None
    """The code of `holding`."""
    age_s: float | None = None
    """Seconds since the look, by the store's clock."""
    signals: dict[str, SignalStatus] | None = None
    """`evidence` as numbers: by `failed`, `slow`, `undelivered`."""


class NextMove(Answer):
    """A move upwards that is possible from here."""

    command: str
    """The command that makes it: `step` or `advance`."""
    to: str
    """Phase and percentage it leads to."""
    shut: list[str]
    """Gates that are not open."""


class AdvanceMove(NextMove):
    """The move that `advance` makes, and the gates it asks."""

    gates: list[GateView]


class ProviderFigures(Answer):
    """Figures of a provider over the last hour. An unknown figure is absent."""

    accepted: Count
    errors: Count
    errors_by_class: ErrorsByClass
    refused: Count
    wrong_recipient: Count
    wrong_message: Count
    unknown: Count
    skipped: Count
    fallback: Count
    success_rate: float | None = None
    """Accepted, in per cent of accepted and errors; `errorRate` has the same base."""
    error_rate: float | None = None
    p50_ms: float | None = None
    """Milliseconds of accepted calls, like `p95Ms` and `meanMs`."""
    p95_ms: float | None = None
    mean_ms: float | None = None
    delivery_rate: float | None = None
    """Delivered, in per cent of `judged`."""
    judged: Count
    """Accepted messages that have reached the delivery age."""
    segments: Count
    cost: dict[str, str]
    """By currency, with all digits."""


class StatusAnswer(Answer):
    """Answers `status`. While the store is unavailable, only alerts and provider ids are there."""

    next: NextMove | None = None
    """The smaller move, which automation makes; the `gates` of the reply are its gates. Null:
    there is no move upwards from here."""
    advance: AdvanceMove | None = None
    """What `advance` does where `next` is another command; null: that, or nothing."""
    monitor: MonitorStatus | None = None
    """Null: the monitor has not looked yet."""
    replicas: list[ReplicaStatus] | None = None
    """The live replicas."""
    providers: dict[str, ProviderFigures] | None = None
    """By provider id."""
    alerts: list[str]
    """What is wrong now, one line each."""
    target: str | None = None
    """Provider id, like `legacy`; absent from older workers."""
    legacy: str | None = None


class LogEntryView(Answer):
    """One entry of the control log."""

    number: int
    at: Time | None
    user: str
    command: dict[str, Any]
    """As it came, without phone numbers and flags documents."""
    verdict: str
    code: str | None
    text: str | None
    from_: Annotated[str | None, Field(alias="from")]
    """Phase and percentage before; null: this is the first entry."""
    to: str
    share_before: int | None = None
    """What went to the target before, per cent; null: this is the first entry, or not known."""
    share_after: int | None = None
    version: int
    """Version in force after the entry."""
    gates: list[dict[str, Any]]
    """What the gates said at the decision."""
    evidence: dict[str, Any]
    """Evidence behind an automatic decision, for people."""


class HistoryAnswer(Answer):
    """Answers `history`."""

    entries: list[LogEntryView]
    """The newest first."""


class ExplainAnswer(Answer):
    """Answers `explain`."""

    number: str
    """E.164."""
    bucket: Annotated[int, Field(ge=0, lt=100)]
    way: list[str]
    """Provider ids, in the order they are tried."""
    passed_over: list[str]
    """Provider ids whose breaker is open."""
    reason: str


class Acknowledgement(Answer):
    """Who acknowledged an alert."""

    by: str
    at: Time
    reason: str


class LastNotice(Answer):
    """The last notice that people got."""

    what: str
    at: Time


class AlertView(Answer):
    """A trouble or an event, on any replica."""

    id: str
    code: str
    provider: str | None
    severity: str
    reason: str
    evidence: dict[str, str]
    suggested_command: str | None
    open: bool
    since: Time
    last_seen: Time
    count: int
    seen_by: list[str]
    """Replicas that see it now."""
    over_at: Time | None
    over_reason: str | None
    acknowledged: Acknowledgement | None
    told: LastNotice | None


class AlertsAnswer(Answer):
    """Answers `alerts`."""

    alerts: list[AlertView]
    """The newest first."""


class WishView(Answer):
    """Whether a recipient wants messages of a sender."""

    recipient: str
    """Masked, or the beginning of its hash."""
    sender: str | None
    """Null: every sender."""
    stopped: bool
    at: Time
    source: str
    """Where we know it from."""


class SuppressionsAnswer(Answer):
    """Answers `suppressions`."""

    suppressions: list[WishView]


class ProviderSeries(Answer):
    """Figures of one provider, one for each slot of the period, the oldest first."""

    attempts: list[Count]
    accepted: list[Count]
    errors: list[Count]
    """Failures, unknown outcomes, and attempts passed over because a breaker was open."""
    delivered: list[Count]
    judged: list[Count]
    """Accepted messages that reached the delivery age."""
    assigned: list[Count]
    """First attempts that the percentage assigned to it: their ratio is the realised share."""
    p50_ms: list[float | None]
    """Null: no accepted call in the slot."""
    p95_ms: list[float | None]


class ShareChange(Answer):
    """A change of the state within the period."""

    at: Time
    number: int
    """Entry in the control log."""
    user: str
    command: str
    share_before: int
    """What went to the target, per cent."""
    share_after: int
    phase: str
    reason: str | None


class SeriesAnswer(Answer):
    """Answers `series`."""

    since: Time
    """Start of the first slot."""
    until: Time
    """End of the last slot, which may still be filling."""
    slot_s: int
    """Length of a slot, seconds."""
    providers: dict[str, ProviderSeries]
    """By provider id."""
    target: str
    """Provider id, like `legacy`."""
    legacy: str
    share: int
    """What went to the target at the start of the period, per cent."""
    changes: list[ShareChange]
    """Changes of the share or the phase, the oldest first."""


class PreviewAnswer(Answer):
    """Answers `preview`; the reply's `gates` are those that the command would ask.

    Where the code is `forbidden`, the asker's role does not allow the command; the effect and the
    gates are then those of an administrator's command.
    """

    accepted: bool
    """Whether the command would be accepted from the asker."""
    code: str
    """The code that its reply would have."""
    text: str
    """The text that its reply would have."""
    problems: list[str]
    """What is wrong with it, one line each."""
    overridable: bool = False
    """Whether it is refused now, and would be carried out for the asker with `overrideGates`."""
    upward: bool
    """Whether gates are asked: it raises the target's share or begins a later phase."""
    after: StateView | None
    """The state after it, were all gates open; null: it would change nothing, or is impossible.
    Where a second person must approve it, this is the state with the proposal."""
    share_before: int
    """What goes to the target, per cent."""
    share_after: int
    """The same after it; where it only proposes a move, after somebody else approved that."""
    messages_per_hour: float | None
    """Messages an hour at the rate of the last hour; where less of it is known, of its last ten to
    twenty minutes. Their share between `shareBefore` and `shareAfter` is what moves. Null: there
    were none, or the share does not change."""
    differences: list[str]
    """What changes in the flags, one line each: `path: before -> after`; of very many the first,
    and how many more."""


ANSWERS: Final[Mapping[type[ControlQuery], type[Wire]]] = MappingProxyType(
    {
        Status: StatusAnswer,
        Health: HealthMetric,
        Comparison: ComparisonMetric,
        History: HistoryAnswer,
        Explain: ExplainAnswer,
        Alerts: AlertsAnswer,
        Suppressions: SuppressionsAnswer,
        Series: SeriesAnswer,
        Preview: PreviewAnswer,
    }
)
"""The model of each query's answer."""
