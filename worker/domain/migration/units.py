"""Numbers of the flags whose unit is easily mistaken: per cent, and milliseconds.

Rules: pure. What makes sense in another unit and hardly any in the right one is told, before it is
in force: an error rate of 0.05 means one failure in 2,000, and a target held against it goes down
for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FULL: Final = 100.0
_TINY: Final = 0.1
"""Per cent of errors that hardly anybody means, unless the success rate beside it says so."""
_STRICT: Final = 99.0
_SECONDS: Final = 60.0
"""So few milliseconds are no answer time of a provider over a network; as seconds they are."""


def fractions(max_error_rate: float, least: Mapping[str, float]) -> Iterator[str]:
    """Problems of rates that read as fractions, by field.

    Args:
        max_error_rate: `MaxErrorRate`, as given.
        least: by name, rates of which at least that much is wanted; with `MinSuccessRate`.
    """
    for name, rate in least.items():
        if 0 < rate <= 1:
            yield f"{name}: {_expected(95)}, got {rate:g}, which reads as a fraction"
    if _is_fraction(max_error_rate, least["MinSuccessRate"]):
        means = f"one failure in {_FULL / max_error_rate:,.0f}"
        yield (
            f"MaxErrorRate: {_expected(5)}, got {max_error_rate:g}, which reads as a fraction "
            f"(as per cent it means {means}, and wants a MinSuccessRate to match)"
        )


def _is_fraction(max_error_rate: float, min_success_rate: float) -> bool:
    """Whether it fits the success rate beside it better as a fraction than as per cent."""
    if not 0 < max_error_rate < 1:
        return False
    if min_success_rate <= 1:
        return True
    fits = _FULL * max_error_rate <= _FULL - min_success_rate
    return fits or (max_error_rate < _TINY and min_success_rate <= _STRICT)


def _expected(example: int) -> str:
    return f"expected per cent ({example} for {example} of 100)"


def seconds(name: str, milliseconds: float) -> Iterator[str]:
    """The problem of a time that reads as seconds."""
    if milliseconds <= _SECONDS:
        yield (
            f"{name}: expected milliseconds, got {milliseconds:g}, which reads as seconds: "
            f"{milliseconds * 1_000:g}"
        )
