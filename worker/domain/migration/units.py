"""Finds numbers in the flags that are probably in the wrong unit: per cent and milliseconds.

Rules: pure. A number that makes sense in another unit and hardly any in the right one is a problem,
before it is in force. For example, an error rate of 0.05 % means one failure in 2,000, and such a
bound would cause a rollback for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FULL: Final = 100.0
_TINY: Final = 0.1
"""An error rate below this per cent is suspect, unless the given success rate fits it."""
_STRICT: Final = 99.0
_SECONDS: Final = 60.0
"""Fewer milliseconds are too short for a provider's answer, but make sense as seconds."""


def fractions(max_error_rate: float, least: Mapping[str, float]) -> Iterator[str]:
    """Find rates that read as fractions, by field.

    Args:
        max_error_rate: `MaxErrorRate`, as given.
        least: lower bounds of rates by name, `MinSuccessRate` among them.
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
    """Whether it fits the given success rate better as a fraction than as per cent."""
    if not 0 < max_error_rate < 1:
        return False
    if min_success_rate <= 1:
        return True
    fits = _FULL * max_error_rate <= _FULL - min_success_rate
    return fits or (max_error_rate < _TINY and min_success_rate <= _STRICT)


def _expected(example: int) -> str:
    return f"expected per cent ({example} for {example} of 100)"


def seconds(name: str, milliseconds: float) -> Iterator[str]:
    """Find a time that reads as seconds."""
    if milliseconds <= _SECONDS:
        yield (
            f"{name}: expected milliseconds, got {milliseconds:g}, which reads as seconds: "
            f"{milliseconds * 1_000:g}"
        )
