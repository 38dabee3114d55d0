"""Reads phone numbers as people write them into E.164, or says why it cannot.

Rules:
- A number is digits. The grammar `_WRITTEN` defines what may surround them: `tel:`, one plus sign
  in front, and blanks, `-`, `.`, `/` and brackets between groups. Everything else (letters, masks,
  extensions, pauses, a second number) is refused, because a guess could reach another subscriber.
- A single dot is refused as a decimal point: a spreadsheet wrote it, and digits may be missing.
- Digits of any script are read by their value, full-width ones too. Two scripts in one number are
  refused. Invisible marks are ignored, except the one that reverses the order.
- No digit is added or dropped. Only a trunk prefix, the country code, or `00` and the country code
  may precede the national digits.
- The result is a valid mobile number of an allowed region. The numbering plan comes from
  `phonenumbers`; its metadata become outdated, so strictness is configurable. International digits
  without a plus sign are read if the default region has no such number.
- Parsing costs ~70 us, so results are cached. A problem never shows the number.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

import phonenumbers
from phonenumbers import (
    NumberParseException,
    PhoneMetadata,
    PhoneNumberFormat,
    PhoneNumberType,
)

from worker.domain.messages import consent

if TYPE_CHECKING:
    from collections.abc import Callable

_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_CACHED = 100_000
_LONGEST: Final = 64
"""The most characters of a number with everything around it."""
_WRITTEN: Final = re.compile(
    r"(?:tel:)? *+"
    r"(?:\+ ?(?:\(\d++\)|\d++)|\(\+?\d++\)|\d++)"  # the first group, with the plus sign
    r"(?: *+(?:- *+|\.|(?<=\d{3})/(?=\d{3}))?(?:\(\d++\)|\d++))*+"  # a slash: between long groups
    r"(?<=\d\d) *",  # a last digit alone is a decimal or another number's ending
    re.ASCII | re.IGNORECASE,
)
_SIGNS: Final = str.maketrans(
    {
        **dict.fromkeys("\N{NO-BREAK SPACE}\u2007\u2009\u202f\u3000", " "),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys(
            "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u2060\u2066\u2067\u2068\u2069\ufeff"
        ),
        "\uff0b": "+",
        "\uff08": "(",
        "\uff09": ")",
        "\uff0e": ".",
        "\uff0f": "/",
    }
)
"""Turns blanks, dashes and full-width signs into ASCII, and removes invisible marks."""


@dataclass(frozen=True, slots=True)
class NotANumber:
    """Why an input is no recipient's number; the text names what was expected."""

    problem: str


NO_NUMBER: Final = NotANumber(
    "expected a phone number: digits, with at most a plus sign, blanks and - . ( ) / around them"
)


def normaliser(
    region: str, allowed: frozenset[str], *, strict: bool
) -> Callable[[str], str | NotANumber]:
    """Build the cached function that turns input into E.164.

    Args:
        region: ISO 3166 region of numbers written without a country code.
        allowed: regions messages may go to.
        strict: whether to refuse numbers that are not valid by the numbering metadata.
    """
    plain = _plain_mobiles(allowed)

    @lru_cache(maxsize=_CACHED)
    def cached(text: str) -> str | NotANumber:
        return text if plain.fullmatch(text) else read(text)

    def read(text: str) -> str | NotANumber:
        digits = _digits(text)
        if digits is None:
            return NO_NUMBER
        at_home = _in_plan(digits, region, allowed, strict=strict)
        if isinstance(at_home, NotANumber) and digits[0] not in "+0":
            abroad = _in_plan(f"+{digits}", region, allowed, strict=strict)
            return abroad if isinstance(abroad, str) else at_home
        return at_home

    def normalise(text: str) -> str | NotANumber:
        return cached(text) if len(text) <= _LONGEST else NO_NUMBER

    return normalise


def sender_names(region: str) -> Callable[[str | None], str]:
    """Build the function that turns sender ids into the form of wishes, for this region."""
    metadata = PhoneMetadata.metadata_for_region(region)
    lengths = metadata.general_desc.possible_length if metadata and metadata.general_desc else ()
    home = consent.Home(
        code=str(phonenumbers.country_code_for_region(region)),
        trunk=phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) or "",
        lengths=frozenset(lengths),
    )
    return partial(consent.sender, home=home)


def _digits(text: str) -> str | None:
    """The digits as written, with a plus sign if there is one; None: it is no number."""
    plain = text.strip()
    if not plain.isascii():
        plain = _in_ascii(plain).strip()
    if plain.count(".") == 1 or not _WRITTEN.fullmatch(plain):
        return None
    digits = "".join(filter(str.isdigit, plain))
    return f"+{digits}" if "+" in plain else digits


def _in_ascii(text: str) -> str:
    """The text with ASCII digits and signs; unchanged if its digits are of two scripts."""
    zeros = {ord(char) - unicodedata.decimal(char) for char in text if char.isdecimal()}
    if len(zeros) > 1:
        return text
    values = {zero + value: str(value) for zero in zeros for value in range(10)}
    return text.translate(_SIGNS).translate(values)


def _in_plan(
    digits: str, region: str, allowed: frozenset[str], *, strict: bool
) -> str | NotANumber:
    try:
        number = phonenumbers.parse(digits, region)
    except NumberParseException:
        return NO_NUMBER
    problem = _problem(number, allowed, strict=strict)
    if problem is not None:
        return NotANumber(problem)
    if not _is_as_written(number, digits):
        return NotANumber("expected a phone number, got digits that are no part of one")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _is_as_written(number: phonenumbers.PhoneNumber, digits: str) -> bool:
    """Whether only a dialling prefix is written before the national digits."""
    code, national = number.country_code or 0, phonenumbers.national_significant_number(number)
    country, region = str(code), phonenumbers.region_code_for_country_code(code)
    trunk = phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) or ""
    before = {f"+{country}", f"+{country}{trunk}"}
    if not digits.startswith("+"):
        before |= {"", trunk, country, country + trunk, f"00{country}", f"00{country}{trunk}"}
    return digits.endswith(national) and digits.removesuffix(national) in before


def _plain_mobiles(allowed: frozenset[str]) -> re.Pattern[str]:
    """Build a pattern for mobile numbers that are already in E.164.

    It saves the ~70 us of parsing for callers that send E.164. Any other input is parsed.
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
