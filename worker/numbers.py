"""Phone numbers: whatever people write -> E.164, or a reason why not.

Rules: a valid mobile number of an allowed region, without extension (facts of the numbering plan
come from `phonenumbers`, whose metadata age: strictness is configurable). Parsing costs ~70 us,
so results are cached; a problem never echoes the number, only its mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

if TYPE_CHECKING:
    from collections.abc import Callable

_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_CACHED = 100_000


@dataclass(frozen=True, slots=True)
class NotANumber:
    """Why an input is no recipient, in words that name what was expected."""

    problem: str


def normaliser(
    region: str, allowed: frozenset[str], *, strict: bool
) -> Callable[[str], str | NotANumber]:
    """Build the cached function that turns input into E.164.

    Args:
        region: ISO 3166 region of numbers written without a country code.
        allowed: regions messages may go to.
        strict: refuse numbers that the numbering metadata do not know as valid.
    """

    @lru_cache(maxsize=_CACHED)
    def normalise(text: str) -> str | NotANumber:
        try:
            number = phonenumbers.parse(text, region)
        except NumberParseException:
            return NotANumber("expected a phone number")
        problem = _problem(number, allowed, strict=strict)
        if problem is not None:
            return NotANumber(problem)
        return phonenumbers.format_number(number, PhoneNumberFormat.E164)

    return normalise


def _problem(
    number: phonenumbers.PhoneNumber, allowed: frozenset[str], *, strict: bool
) -> str | None:
    if number.extension:
        return "expected a number without an extension"
    if not phonenumbers.is_possible_number(number):
        return "expected a complete phone number, got too few or too many digits"
    if phonenumbers.is_valid_number(number):
        return _problem_of_valid(number, allowed)
    return "expected a number of the numbering plan, got one it does not assign" if strict else None


def _problem_of_valid(number: phonenumbers.PhoneNumber, allowed: frozenset[str]) -> str | None:
    region = phonenumbers.region_code_for_number(number)
    if region not in allowed:
        return f"expected a number of {', '.join(sorted(allowed))}, got one of {region}"
    if phonenumbers.number_type(number) not in _MOBILE:
        return "expected a mobile number, got a fixed line or service number"
    return None
