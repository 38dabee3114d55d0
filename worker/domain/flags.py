"""Runtime configuration: the flags file and the snapshot in force.

Rules: a snapshot is immutable and whole; replicas swap it, never edit it. Parsing lists every
problem at once and changes nothing on any. The shape is that of `deploy/flags.json`; providers are
named in any case and spelling ("AfricasTalking", "africas-talking", "target").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from worker.domain import phase_settings, recipients, validation_settings
from worker.domain.phases import DEFAULT_RULES, PERCENTAGES, Phase, Role, Rules
from worker.domain.validation_settings import ValidationTraffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

AUTOMATIC: Final = "(monitor)"
"""Who decided, in the log, where nobody did. No broker user can be called that."""
MAX_OVERRIDES: Final = 1_000
_FULL: Final = 100.0
_SAMPLES: Final = range(1, 1_000_001)
_EMPTY: Final[Mapping[Any, Any]] = MappingProxyType({})


class FlagsError(ValueError):
    """The flags cannot be used; `problems` lists every reason, each naming its field."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Bounds of the automatic rollback, in per cent and milliseconds."""

    max_error_rate: float = 5.0
    min_success_rate: float = 90.0
    max_response_ms: float = 5_000.0
    window_min: float = 5.0
    """Of the policy `threshold` alone: minutes the rates are taken over."""
    minimum_sample: int = 100
    """Of the policy `threshold` alone: outcomes within the window before it judges."""


class RollbackPolicy(StrEnum):
    """What makes the monitor go down. Set by administrators."""

    EVIDENCE = "evidence"
    """Detectors with a bounded rate of false alarms (`domain.evidence`)."""
    THRESHOLD = "threshold"
    """Rates within a window against `Thresholds`, as the replaced system had it."""


@dataclass(frozen=True, slots=True)
class MigrationSettings:
    """How the migration advances by itself."""

    auto_advance: bool = False
    health_interval_min: float = 5.0
    minimum_phase_min: float = 30.0
    soak_min: float = 60.0
    """Minimum time from a share of 90 % on, where legacy is too small to compare with."""
    minimum_sample: int = 100
    """Outcomes before a rate of the phase requirements means anything."""
    require_approval: bool = True
    four_eyes: bool = False
    """Manual upward moves want a second person too."""
    notify: tuple[str, ...] = ()
    """Who is told of alerts (`domain.recipients`)."""
    metrics_retention_days: int = 30
    validation: ValidationTraffic = field(default_factory=ValidationTraffic)


@dataclass(frozen=True, slots=True)
class Flags:
    """What administrators set, apart from phase and percentage."""

    target_enabled: bool = True
    legacy_enabled: bool = True
    automatic_rollback: bool = True
    rollback_policy: RollbackPolicy = RollbackPolicy.EVIDENCE
    thresholds: Thresholds = field(default_factory=Thresholds)
    user_overrides: Mapping[str, Role] = field(default_factory=lambda: _EMPTY)
    branch_overrides: Mapping[int, Role] = field(default_factory=lambda: _EMPTY)
    migration: MigrationSettings = field(default_factory=MigrationSettings)
    phases: Mapping[Phase, Rules] = field(default_factory=lambda: DEFAULT_RULES)

    def enabled(self, role: Role) -> bool:
        """Whether the provider in that role may be chosen at all."""
        return self.target_enabled if role is Role.TARGET else self.legacy_enabled


@dataclass(frozen=True, slots=True)
class Lock:
    """Set by automatic rollbacks and step-backs only; forbids upward moves."""

    until: datetime | None
    """None: until a person lifts it."""
    reason: str

    def holds(self, now: datetime) -> bool:
        """Whether it still forbids."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Proposal:
    """An upward move that waits for a second person."""

    number: int
    """Version it was made at: names it."""
    by: str
    phase: Phase
    percentage: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything routing reads, at one version."""

    version: int
    """Rises with every change of state; intents carry it."""
    lineage: str
    """UUID of the control log's first entry: versions of different lineages do not compare."""
    phase: Phase
    percentage: int
    flags: Flags
    legacy_retired: bool = False
    """The fallback has ended; rollback is unavailable until legacy is enabled again."""
    held: bool = False
    """Automation does not move up."""
    lock: Lock | None = None
    proposal: Proposal | None = None
    breaker_resets: Mapping[Role, int] = field(default_factory=lambda: _EMPTY)
    """Counts resets asked for; a replica that sees one more resets its breaker."""
    last_percentages: Mapping[Phase, int] = field(default_factory=lambda: _EMPTY)
    """Percentage at which each phase was left last."""
    backups: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    """Version by name."""
    started_at: datetime | None = None
    """When the phase began."""
    since: datetime | None = None
    """When the present percentage began."""
    initiated_by: str = ""
    previous_phase: Phase | None = None
    notes: str = ""
    """Reason of the last change."""
    proven: tuple[int, ...] = ()
    """Shares whose gates passed in this migration, rising: where a step back may go."""
    automatic_downs: tuple[datetime, ...] = ()
    """When automation went down of late: each lock is longer than the one before."""

    @property
    def rollback_available(self) -> bool:
        """Whether there is anything to go back to."""
        back = self.flags.legacy_enabled and not self.legacy_retired
        return back and self.phase is not Phase.NOT_STARTED


def role_named(name: object, target_id: str, legacy_id: str) -> Role | None:
    """The role a person means by `name`; None when it is neither provider's."""
    wanted = _plain(name)
    for role, ident in ((Role.TARGET, target_id), (Role.LEGACY, legacy_id)):
        if wanted in (_plain(role), _plain(ident)):
            return role
    return Role.TARGET if wanted == "africastalking" and legacy_id != wanted else None


def _plain(name: object) -> str:
    return "".join(c for c in str(name).lower() if c.isalnum())


def parse(document: Mapping[str, Any], target_id: str, legacy_id: str) -> tuple[Flags, int]:
    """Read a flags document.

    Returns:
        The flags, and the seed percentage (used on the first start only).

    Raises:
        FlagsError: with every problem found.
    """
    reader = _Reader(target_id, legacy_id)
    rest = dict(document)
    features = reader.section(rest, "SmsFeatureFlags")
    migration = reader.section(rest, "MigrationSettings")
    phases = reader.section(rest, "Phases")
    reader.problems.extend(f"{name}: unknown section" for name in rest)
    flags = Flags(
        target_enabled=reader.boolean(features, "EnableAfricasTalking", default=True),
        legacy_enabled=reader.boolean(features, "EnableLegacy", default=True),
        automatic_rollback=reader.boolean(features, "EnableAutomaticRollback", default=True),
        rollback_policy=RollbackPolicy(
            reader.choice(features, "RollbackPolicy", RollbackPolicy.EVIDENCE, RollbackPolicy)
        ),
        thresholds=_thresholds(reader, features),
        user_overrides=reader.overrides(features, "UserOverrides", str),
        branch_overrides=reader.overrides(features, "BranchOverrides", _branch),
        migration=_migration(reader, migration),
        phases=phase_settings.read(reader, phases),
    )
    percentage = reader.integer(features, "AfricasTalkingTrafficPercentage", 0, PERCENTAGES)
    reader.nothing_left()
    if not flags.target_enabled and not flags.legacy_enabled:
        reader.problems.append("EnableAfricasTalking, EnableLegacy: at least one must be true")
    if reader.problems:
        raise FlagsError(tuple(reader.problems))
    return flags, percentage


def _thresholds(reader: _Reader, features: dict[str, Any]) -> Thresholds:
    section = reader.section(features, "RollbackThresholds")
    found = Thresholds(
        max_error_rate=reader.number(section, "MaxErrorRate", 5.0, 0.0, _FULL),
        min_success_rate=reader.number(section, "MinSuccessRate", 90.0, 0.0, _FULL),
        max_response_ms=reader.number(section, "MaxResponseTimeMs", 5_000.0, 1.0, 600_000.0),
        window_min=reader.number(section, "WindowMinutes", 5.0, 0.5, 1_440.0),
        minimum_sample=reader.integer(section, "MinimumSample", 100, _SAMPLES),
    )
    if found.max_error_rate > _FULL - found.min_success_rate:
        reader.problems.append(
            f"RollbackThresholds: contradictory: MaxErrorRate {found.max_error_rate} tolerates "
            f"what MinSuccessRate {found.min_success_rate} does not"
        )
    return found


def _migration(reader: _Reader, section: dict[str, Any]) -> MigrationSettings:
    year_min, year_days = 525_600.0, 3_650
    return MigrationSettings(
        auto_advance=reader.boolean(section, "AutoAdvanceEnabled", default=False),
        health_interval_min=reader.number(section, "HealthCheckIntervalMinutes", 5.0, 0.1, 1_440.0),
        minimum_phase_min=reader.number(section, "MinimumPhaseTimeMinutes", 30.0, 0.0, year_min),
        soak_min=reader.number(section, "SoakTimeMinutes", 60.0, 0.0, year_min),
        minimum_sample=reader.integer(section, "MinimumSample", 100, _SAMPLES),
        require_approval=reader.boolean(section, "RequireApprovalForAdvance", default=True),
        four_eyes=reader.boolean(section, "FourEyes", default=False),
        notify=recipients.read(reader, section, "NotificationRecipients"),
        metrics_retention_days=reader.integer(
            section, "MetricsRetentionDays", 30, range(1, year_days)
        ),
        validation=validation_settings.read(reader, section),
    )


def _branch(text: str) -> int:
    return int(text)


class _Reader:
    """Takes fields out of sections, collecting problems instead of raising."""

    def __init__(self, target_id: str, legacy_id: str) -> None:
        self.problems: list[str] = []
        self._ids = (target_id, legacy_id)
        self._sections: list[tuple[str, dict[str, Any]]] = []

    def section(self, parent: dict[str, Any], name: str) -> dict[str, Any]:
        found = parent.pop(name, {})
        if not isinstance(found, dict):
            self.problems.append(f"{name}: expected an object, got {found!r}")
            found = {}
        rest = dict(found)
        self._sections.append((name, rest))
        return rest

    def nothing_left(self) -> None:
        for section, rest in self._sections:
            self.problems.extend(f"{section}.{name}: unknown field" for name in rest)

    def boolean(self, section: dict[str, Any], name: str, *, default: bool) -> bool:
        value = section.pop(name, default)
        return bool(self._expect(isinstance(value, bool), name, "true or false", value, default))

    def number(
        self, section: dict[str, Any], name: str, default: float, low: float, high: float
    ) -> float:
        value = section.pop(name, default)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        fits = fits and low <= value <= high
        return float(self._expect(fits, name, f"a number from {low:g} to {high:g}", value, default))

    def integer(self, section: dict[str, Any], name: str, default: int, allowed: range) -> int:
        value = section.pop(name, default)
        fits = isinstance(value, int) and not isinstance(value, bool) and value in allowed
        expected = f"a whole number from {allowed.start} to {allowed.stop - 1}"
        return int(self._expect(fits, name, expected, value, default))

    def integers(
        self, section: dict[str, Any], name: str, default: tuple[int, ...], allowed: range
    ) -> tuple[int, ...]:
        value = section.pop(name, list(default))
        fits = isinstance(value, list) and all(type(v) is int and v in allowed for v in value)
        expected = f"a list of whole numbers from {allowed.start} to {allowed.stop - 1}"
        return tuple(self._expect(fits, name, expected, value, default))

    def choice(
        self, section: dict[str, Any], name: str, default: str, allowed: Iterable[str]
    ) -> str:
        value, words = section.pop(name, default), [str(each) for each in allowed]
        return str(self._expect(value in words, name, " or ".join(words), value, default))

    def strings(self, section: dict[str, Any], name: str) -> tuple[str, ...]:
        value = section.pop(name, [])
        fits = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        return tuple(self._expect(fits, name, "a list of strings", value, ()))

    def roles(
        self, section: dict[str, Any], name: str, default: tuple[Role, ...]
    ) -> tuple[Role, ...]:
        value = section.pop(name, list(default))
        given = value if isinstance(value, list) else [None]
        found = tuple(role for each in given if (role := role_named(each, *self._ids)))
        expected = f"a list of {' or '.join(self._ids)}"
        self._expect(len(found) == len(given), name, expected, value, default)
        return found

    def overrides(
        self, section: dict[str, Any], name: str, key: Callable[[str], Any]
    ) -> Mapping[Any, Role]:
        value = section.pop(name, {})
        if not isinstance(value, dict) or len(value) > MAX_OVERRIDES:
            self._expect(False, name, f"an object of up to {MAX_OVERRIDES} entries", "it", {})  # noqa: FBT003 - the verdict is the first thing to read
            return _EMPTY
        found = {}
        for raw, provider in value.items():
            role = role_named(provider, *self._ids)
            if role is None:
                expected = " or ".join(self._ids)
                self.problems.append(f"{name}.{raw}: expected {expected}, got {provider!r}")
                continue
            try:
                found[key(raw)] = role
            except ValueError:
                self.problems.append(f"{name}.{raw}: expected a whole number, got {raw!r}")
        return MappingProxyType(found)

    def _expect(self, fits: bool, name: str, expected: str, got: Any, default: Any) -> Any:  # noqa: FBT001 - see overrides
        if not fits:
            self.problems.append(f"{name}: expected {expected}, got {got!r}")
            return default
        return got
