"""Whatever people write -> E.164, or why not: the numbering facts row by row (Zambia)."""

from __future__ import annotations

import pytest

from worker.domain.recipient import mask
from worker.numbers import NotANumber, normaliser

zambian = normaliser("ZM", frozenset({"ZM"}), strict=True)
lenient = normaliser("ZM", frozenset({"ZM"}), strict=False)
abroad = normaliser("ZM", frozenset({"ZM", "KE"}), strict=True)

INCOMPLETE = "expected a complete phone number, got too few or too many digits"
UNASSIGNED = "expected a number of the numbering plan, got one it does not assign"
NOT_MOBILE = "expected a mobile number, got a fixed line or service number"
EXTENSION = "expected a number without an extension"
NO_NUMBER = "expected a phone number"


@pytest.mark.parametrize(
    "written",
    [
        "0977123456",
        "260977123456",
        "+260977123456",
        "00260977123456",
        "977123456",
        "097 712 3456",
        "+260 (0) 977 123456",
        "0977-123-456",
        "tel:+260977123456",
        "０９７７１２３４５６",  # noqa: RUF001 - full-width digits on purpose
        "0977\u200b123456",
    ],
)
def test_every_way_to_write_it_is_one_number(written: str) -> None:
    assert zambian(written) == "+260977123456"


@pytest.mark.parametrize(
    "prefix", ["95", "75", "55", "96", "76", "56", "97", "77", "57", "98", "78", "58", "79"]
)
def test_every_mobile_prefix_is_taken(prefix: str) -> None:
    assert zambian(f"0{prefix}1234567") == f"+260{prefix}1234567"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("09771234567", INCOMPLETE),
        ("2609771234567", INCOMPLETE),
        ("+26097712345", INCOMPLETE),
        ("097712345", UNASSIGNED),
        ("+260097712345", UNASSIGNED),
        ("0997123456", UNASSIGNED),
        ("0941234567", UNASSIGNED),
        ("0701234567", UNASSIGNED),
        ("+260999999999", UNASSIGNED),
        ("0211234567", NOT_MOBILE),
        ("0800123456", NOT_MOBILE),
        ("+254711123456", "expected a number of ZM, got one of KE"),
        ("+260977123456;ext=5", EXTENSION),
        ("0977123456x12", EXTENSION),
        ("abc", NO_NUMBER),
        ("", NO_NUMBER),
        ("+", NO_NUMBER),
    ],
)
def test_what_is_no_mobile_number_says_what_was_expected(written: str, problem: str) -> None:
    assert zambian(written) == NotANumber(problem)


def test_a_problem_never_echoes_the_number() -> None:
    assert "977" not in str(zambian("09771234567"))
    assert "977" not in mask("+260977123456")


def test_an_allowed_country_is_taken() -> None:
    assert abroad("+254711123456") == "+254711123456"


@pytest.mark.parametrize("written", ["0997123456", "+260999999999"])
def test_lenient_takes_what_the_metadata_do_not_know(written: str) -> None:
    assert lenient(written) == f"+260{written[-9:]}"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("+254711123456", "expected a number of ZM, got one of KE"),
        ("+254100", INCOMPLETE),
        ("0211234567", NOT_MOBILE),
        ("+12001230101", "expected a number of ZM, got one of another country"),
    ],
)
def test_lenient_still_means_this_country_and_mobile(written: str, problem: str) -> None:
    assert lenient(written) == NotANumber(problem)
