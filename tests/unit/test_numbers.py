"""Whatever people write -> E.164, or why not: the numbering facts row by row (Zambia)."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest

from worker.domain.messages import consent
from worker.domain.messages.masking import mask
from worker.numbers import NO_NUMBER, NotANumber, normaliser, sender_names

zambian = normaliser("ZM", frozenset({"ZM"}), strict=True)
lenient = normaliser("ZM", frozenset({"ZM"}), strict=False)
abroad = normaliser("ZM", frozenset({"ZM", "KE"}), strict=True)

INCOMPLETE = "expected a complete phone number, got too few or too many digits"
UNASSIGNED = "expected a number of the numbering plan, got one it does not assign"
NOT_MOBILE = "expected a mobile number, got a fixed line or service number"
NOT_ONLY_IT = "expected a phone number, got digits that are no part of one"


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
        " 260977123456",  # a form turned the plus sign into a blank
        "+ 260 977 123 456",
        "(+260) 977 123456",
        "+(260)977123456",
        "(0977) 123-456",
        "00 260 977 123456",
        "+2600977123456",
        "0977.123.456",
        "0977/123456",
        "0977 12 34 56",
        "0977 - 123 - 456",
        "0977\N{NO-BREAK SPACE}123\N{EN DASH}456\n",
        "TEL: 0977123456",
        "\u202d+260977123456\u202c",  # as address books paste it
        "\N{FULLWIDTH PLUS SIGN}２６０９７７１２３４５６",  # noqa: RUF001 - full-width digits on purpose
        "٠٩٧٧١٢٣٤٥٦",
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
        ("+00260977123456", NOT_ONLY_IT),
        ("26000977123456", NOT_ONLY_IT),
    ],
)
def test_what_is_no_mobile_number_says_what_was_expected(written: str, problem: str) -> None:
    assert zambian(written) == NotANumber(problem)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "+",
        "abc",
        "+26097712XXXX",  # masked
        "+26097712xxxx",
        "0977123***",
        "0977123###",
        "0977123...",
        "0977-CALL-ME",  # letters of a keypad
        "+26097D7123456",
        "0977l23456",
        "O977123456",
        "0977123xyz",
        "О977123456",  # noqa: RUF001 - a Cyrillic letter on purpose
        "97712345.0",  # a spreadsheet's number
        "97712345,0",
        "9771234.50",
        "9 771 234.50",
        "0.977123456",
        "2.60977123456E+11",
        "2.60977E+11",
        "97712345e1",
        "-977123456",
        "0977123456;ext=5",
        "+260977123456;ext=5",
        "0977123456x12",
        "0977123456#12",
        "0977123456p1",
        "0977123456w1",
        "0977123456,1",
        "0977123456/7",  # two numbers
        "097712345/6",
        "0977123456/0966123456",
        "0977123456, 0966123456",
        "0977123\n456",
        "0977123\t456",
        "++260977123456",
        "+0977123456",
        "260+977123456",
        "0977123456+",
        "(+260 977123456",
        "call 0977123456",
        "whatsapp:+260977123456",
        "tel:+260977123456;phone-context=+1",
        "0977१23456",  # digits of two scripts
        "१977123456",
        "0９７７１２３４５６",  # noqa: RUF001 - full-width digits on purpose
        "097712345²",
        "097712345⑥",
        "\u202e654321779 0",  # shown the other way round
        "0977123456\x00",
        "9" * 64,
        "+260977123456" + " " * 60,
    ],
)
def test_what_holds_anything_but_one_number_is_none(written: str) -> None:
    assert isinstance(zambian(written), NotANumber)
    assert isinstance(lenient(written), NotANumber)


def test_more_than_a_number_says_what_one_is() -> None:
    assert zambian("+26097712XXXX") == NO_NUMBER


def hurt(chance: random.Random) -> str:
    """A valid number in one of its forms, with one to three things done to it."""
    form = chance.choice(["0{}", "{}", "+260{}", "260{}", "00260{}", "tel:+260{}", "+260 (0) {}"])
    text = form.format(f"97{chance.randrange(10**7):07}")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        over = chance.randint(0, 1)
        text = text[:at] + chance.choice(MARKS) + text[at + over :]
    return text


MARKS = [
    *"abcdxXzZoOlI*#.,;:/-+ ()[]~_pwn'\"\t\n\x00",
    *(".0", ",0", "E+11", "e1", ";ext=5", "x12", "XXX", "***", "...", "xxx"),
    *"٠١٢९८०০৪𝟎𝟡０９²⑤",
    *"\u200b\u200f\u202e\u2066\u20e3\ufe0f\u0336",
]


def values(text: str) -> str:
    """The digits of a text by their value, in its order."""
    return "".join(str(unicodedata.decimal(char)) for char in text if char.isdecimal())


def test_no_generated_text_reaches_a_number_that_is_not_written_in_it() -> None:
    chance, reached = random.Random(8), 0
    for _ in range(10_000):
        text = hurt(chance)
        for read in (zambian, lenient, abroad):
            found = read(text)
            if isinstance(found, str):
                reached += 1
                national = found.removeprefix("+260")
                prefix = values(text).removesuffix(national)
                assert prefix in {"", "0", "260", "2600", "00260", "002600"}, repr(text)
                shown = re.sub("[\u200b\u200f\u2066]", "", text).strip()
                rest = re.sub(r"^tel:", "", shown, flags=re.IGNORECASE)
                assert not re.search(r"[^\W\d_]|[*#,;_~]|^[^.]*\.[^.]*$", rest), repr(text)
    assert reached > 500  # blanks, brackets and invisible marks do no harm


def test_a_problem_never_echoes_the_number() -> None:
    assert "977" not in str(zambian("09771234567"))
    assert "977" not in mask("+260977123456")


@pytest.mark.parametrize("written", ["+254711123456", "254711123456", "00254711123456"])
def test_an_allowed_country_is_taken(written: str) -> None:
    assert abroad(written) == "+254711123456"


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


@pytest.mark.parametrize(
    ("region", "told", "named"),
    [
        ("ZM", "0211123456", "+260211123456"),
        ("KE", "020 2012345", "+254202012345"),
        ("KE", "+254 (0) 20 2012345", "+254202012345"),
        ("KE", "+260211123456", "+260211123456"),
        ("US", "(212) 555-0123", "+12125550123"),
        ("US", "12125550123", "+12125550123"),
        ("ES", "912 345 678", "+34912345678"),
    ],
)
def test_a_sender_that_is_a_number_is_read_as_its_region_writes_them(
    region: str, told: str, named: str
) -> None:
    assert sender_names(region)(told) == named


def test_senders_are_named_by_default_as_in_the_default_region() -> None:
    assert sender_names("ZM").keywords["home"] == consent.ZAMBIA
