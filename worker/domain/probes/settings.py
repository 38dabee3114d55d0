"""The section `ValidationTraffic` of the flags document: providers, phones and interval of probes.

Rules: probes are off unless they are switched on. The numbers are phones of our own. They stay
known while probes are off, so that probes under way end as probes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from worker.domain.migration.phases import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NUMBERS: Final = 20
_E164: Final = re.compile(r"\+[1-9][0-9]{7,14}", re.ASCII)
_SECTION: Final = "ValidationTraffic"


@dataclass(frozen=True, slots=True)
class ValidationTraffic:
    """Settings of the probes to phones of our own."""

    enabled: bool = False
    numbers: tuple[str, ...] = ()
    """Phone numbers in E.164, used in turn."""
    interval_s: float = 60.0
    """Seconds between two probes of one provider."""
    providers: tuple[Role, ...] = (Role.TARGET, Role.LEGACY)


class Reader(Protocol):
    """Takes fields out of sections and collects problems (see `flags_reader`)."""

    problems: list[str]

    def section(self, parent: dict[str, Any], name: str) -> dict[str, Any]:
        """Take a section; empty if it is absent."""
        ...

    def boolean(self, section: dict[str, Any], name: str, *, default: bool) -> bool:
        """Take a true or false."""
        ...

    def number(
        self, section: dict[str, Any], name: str, default: float, low: float, high: float
    ) -> float:
        """Take a number within bounds."""
        ...

    def strings(self, section: dict[str, Any], name: str) -> tuple[str, ...]:
        """Take a list of strings."""
        ...

    def roles(
        self, section: dict[str, Any], name: str, default: tuple[Role, ...]
    ) -> tuple[Role, ...]:
        """Take a list of providers, named in any spelling."""
        ...


def read(reader: Reader, migration: dict[str, Any]) -> ValidationTraffic:
    """Read the section from `MigrationSettings`."""
    before, given, default = len(reader.problems), reader.section(migration, _SECTION), _DEFAULT
    traffic = ValidationTraffic(
        enabled=reader.boolean(given, "Enabled", default=default.enabled),
        numbers=reader.strings(given, "Numbers"),
        interval_s=reader.number(given, "IntervalSeconds", default.interval_s, 10.0, 3_600.0),
        providers=reader.roles(given, "Providers", default.providers),
    )
    reader.problems.extend(_wrong(traffic))
    reader.problems[before:] = [f"{_SECTION}.{problem}" for problem in reader.problems[before:]]
    return traffic


_DEFAULT: Final = ValidationTraffic()


def _wrong(found: ValidationTraffic) -> Iterable[str]:
    for number in found.numbers:
        if not _E164.fullmatch(number):
            yield f"Numbers: expected E.164 (+ and 8 to 15 digits), got {number!r}"
    if len(found.numbers) > MAX_NUMBERS:
        yield f"Numbers: expected at most {MAX_NUMBERS}, got {len(found.numbers)}"
    for name, given in (("Numbers", found.numbers), ("Providers", found.providers)):
        if len(set(given)) < len(given):
            yield f"{name}: expected each once, got {[str(each) for each in given]}"
        if found.enabled and not given:
            yield f"{name}: expected at least one where Enabled is true, got none"


def document(validation: ValidationTraffic) -> dict[str, Any]:
    """The section as `read` takes it."""
    return {
        "Enabled": validation.enabled,
        "Numbers": list(validation.numbers),
        "IntervalSeconds": validation.interval_s,
        "Providers": [str(role) for role in validation.providers],
    }
