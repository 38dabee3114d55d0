"""Phone numbers: whatever people write -> E.164, or a reason why not.

Rules: a valid mobile number of an allowed region, without extension (facts of the numbering plan
come from `phonenumbers`, whose metadata age: strictness is configurable). Parsing costs ~70 us,
so results are cached; a problem never echoes the number, only its mask.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import phonenumbers
from phonenumbers import (
    NumberParseException,
    PhoneMetadata,
    PhoneNumberFormat,
    PhoneNumberType,
)

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
    plain = _plain_mobiles(allowed)

    @lru_cache(maxsize=_CACHED)
    def normalise(text: str) -> str | NotANumber:
        if plain.fullmatch(text):
            return text
        try:
            number = phonenumbers.parse(text, region)
        except NumberParseException:
            return NotANumber("expected a phone number")
        problem = _problem(number, allowed, strict=strict)
        if problem is not None:
            return NotANumber(problem)
        return phonenumbers.format_number(number, PhoneNumberFormat.E164)

    return normalise


def _plain_mobiles(allowed: frozenset[str]) -> re.Pattern[str]:
    """E.164 numbers of the metadata's mobile ranges: already in the form asked for.

    Spares the ~70 us of parsing and matching for what well-behaved callers send; whatever does
    not match takes the long way, which decides.
    """
    ranges = []
    for region in sorted(allowed):
        metadata = PhoneMetadata.metadata_for_region(region)
        if metadata is None or metadata.mobile is None:
            continue
        if pattern := metadata.mobile.national_number_pattern:
            ranges.append(rf"\+{metadata.country_code}(?:{pattern})")
    return re.compile("|".join(ranges) or r"(?!)", re.ASCII)


def _problem(
    number: phonenumbers.PhoneNumber, allowed: frozenset[str], *, strict: bool
) -> str | None:
    if number.extension:
        return "expected a number without an extension"
    if not phonenumbers.is_possible_number(number):
        return "expected a complete phone number, got too few or too many digits"
    if phonenumbers.is_valid_number(number):
        return _problem_of_valid(number, allowed)
    if strict:
        return "expected a number of the numbering plan, got one it does not assign"
    if number.country_code not in {phonenumbers.country_code_for_region(each) for each in allowed}:
        return f"expected a number of {', '.join(sorted(allowed))}, got one of another country"
    return None


def _problem_of_valid(number: phonenumbers.PhoneNumber, allowed: frozenset[str]) -> str | None:
    region = phonenumbers.region_code_for_number(number)
    if region not in allowed:
        return f"expected a number of {', '.join(sorted(allowed))}, got one of {region}"
    if phonenumbers.number_type(number) not in _MOBILE:
        return "expected a mobile number, got a fixed line or service number"
    return None
