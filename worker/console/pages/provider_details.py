"""Further figures of both providers, behind `Details`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from worker.console import formats
from worker.console.pages.providers import Cell, Row, pair, rate_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contracts.health import ProviderHealth
    from worker.console.pages.facts import Facts

_CELLS: Final[Mapping[str, Callable[[ProviderHealth], Cell]]] = MappingProxyType(
    {
        "Response p99": lambda side: Cell(f"{formats.milliseconds(side.p99_ms)} ms"),
        "Response, mean": lambda side: Cell(f"{formats.milliseconds(side.mean_ms)} ms"),
        "Errors of the provider": lambda side: Cell(formats.count(side.errors_by_class.provider)),
        "Errors of our account": lambda side: Cell(formats.count(side.errors_by_class.account)),
        "Outcome unknown": lambda side: Cell(formats.count(side.errors_by_class.unknown)),
        "Passed over, breaker open": lambda side: Cell(formats.count(side.errors_by_class.skipped)),
        "Refused": lambda side: Cell(formats.count(side.refused)),
        "Wrong recipient": lambda side: Cell(formats.count(side.wrong_recipient)),
        "Wrong message": lambda side: Cell(formats.count(side.wrong_message)),
        "Segments": lambda side: Cell(formats.count(side.segments)),
        "Sent as fallback": lambda side: rate_cell(side.fallback_rate),
        "Probes accepted": lambda side: rate_cell(side.validation.success_rate),
        "Probes delivered": lambda side: rate_cell(side.validation.delivery_rate),
    }
)
"""What is shown of each provider, by its name."""


def details(facts: Facts) -> tuple[Row, ...]:
    """The figures over the last hour; empty: not known."""
    told = facts.known.comparison
    sides = told.data.providers if told else {}
    if not {facts.target_id, facts.legacy_id} <= set(sides):
        return ()
    both = (sides[facts.target_id], sides[facts.legacy_id])
    return tuple(Row(name, pair(cell, both)) for name, cell in _CELLS.items())
