"""The section `Phases` of the flags document: entries, ranges, steps and requirements.

Rules: a field that is not given keeps its default (`phases.DEFAULT_RULES`). Phases in which legacy
is alone are not configurable. All problems are listed, each with phase and field.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from worker.domain.migration import units
from worker.domain.migration.phases import (
    DEFAULT_RULES,
    LEGACY_ALONE,
    PERCENTAGES,
    Phase,
    Requirements,
    Rules,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_FULL: Final = 100.0
_LONGEST_MS: Final = 600_000.0


class Reader(Protocol):
    """Takes fields out of sections and collects problems (see `flags_reader`)."""

    problems: list[str]

    def section(self, parent: dict[str, Any], name: str) -> dict[str, Any]:
        """Take a section; empty if it is absent."""
        ...

    def number(
        self, section: dict[str, Any], name: str, default: float, low: float, high: float
    ) -> float:
        """Take a number within bounds."""
        ...

    def integer(self, section: dict[str, Any], name: str, default: int, allowed: range) -> int:
        """Take a whole number within bounds."""
        ...

    def integers(
        self, section: dict[str, Any], name: str, default: tuple[int, ...], allowed: range
    ) -> tuple[int, ...]:
        """Take a list of whole numbers within bounds."""
        ...


def read(reader: Reader, section: dict[str, Any]) -> Mapping[Phase, Rules]:
    """Read the rules of all phases."""
    rules = dict(DEFAULT_RULES)
    for phase in Phase:
        if phase not in LEGACY_ALONE and phase in section:
            rules[phase] = _rules(reader, section, phase)
    return MappingProxyType(rules)


def _rules(reader: Reader, section: dict[str, Any], phase: Phase) -> Rules:
    before, default = len(reader.problems), DEFAULT_RULES[phase]
    given = reader.section(section, str(phase))
    asked = _requirements(reader, given, default.requirements) if default.requirements else None
    rules = Rules(
        entry=reader.integer(given, "Entry", default.entry, PERCENTAGES),
        low=reader.integer(given, "Low", default.low, PERCENTAGES),
        high=reader.integer(given, "High", default.high, PERCENTAGES),
        steps=reader.integers(given, "Steps", default.steps, PERCENTAGES),
        requirements=asked,
    )
    if not rules.low <= rules.entry <= rules.high:
        reader.problems.append(
            f"Entry: expected {rules.low} to {rules.high} (Low to High), got {rules.entry}"
        )
    if list(rules.steps) != sorted(set(rules.steps)) or not all(map(rules.allows, rules.steps)):
        reader.problems.append(
            f"Steps: expected rising, from {rules.low} to {rules.high}, got {list(rules.steps)}"
        )
    reader.problems[before:] = [f"{phase}.{problem}" for problem in reader.problems[before:]]
    return rules


def _requirements(reader: Reader, section: dict[str, Any], default: Requirements) -> Requirements:
    given = reader.section(section, "Requirements")
    wanted = Requirements(
        min_success_rate=reader.number(
            given, "MinSuccessRate", default.min_success_rate, 0.0, _FULL
        ),
        max_p95_ms=reader.number(given, "MaxP95Ms", default.max_p95_ms, 1.0, _LONGEST_MS),
        max_error_rate=reader.number(given, "MaxErrorRate", default.max_error_rate, 0.0, _FULL),
        min_delivery_rate=reader.number(
            given, "MinDeliveryRate", default.min_delivery_rate, 0.0, _FULL
        ),
    )
    least = {"MinSuccessRate": wanted.min_success_rate, "MinDeliveryRate": wanted.min_delivery_rate}
    reader.problems.extend(units.fractions(wanted.max_error_rate, least))
    reader.problems.extend(units.seconds("MaxP95Ms", wanted.max_p95_ms))
    return wanted


def document(phases: Mapping[Phase, Rules]) -> dict[str, Any]:
    """The section as `read` takes it."""
    return {
        str(phase): {
            "Entry": rules.entry,
            "Low": rules.low,
            "High": rules.high,
            "Steps": list(rules.steps),
        }
        | ({"Requirements": _asked(rules.requirements)} if rules.requirements else {})
        for phase, rules in phases.items()
        if phase not in LEGACY_ALONE
    }


def _asked(wanted: Requirements) -> dict[str, float]:
    return {
        "MinSuccessRate": wanted.min_success_rate,
        "MaxP95Ms": wanted.max_p95_ms,
        "MaxErrorRate": wanted.max_error_rate,
        "MinDeliveryRate": wanted.min_delivery_rate,
    }
