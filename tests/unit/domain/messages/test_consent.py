"""Who wants no messages, and of whom: the newest wish about a sender counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations

import pytest

from tests.support.fakes import EPOCH, KEY, NUMBER
from worker.domain.messages import consent, masking
from worker.domain.messages.consent import EVERY_SENDER, UNKNOWN_SENDER, Senders, Wish, WishChange

PROMO, BANK = frozenset({"promo"}), frozenset({"bank"})


def out(sender: str, minute: int = 0) -> Wish:
    at = EPOCH + timedelta(minutes=minute)
    return Wish(consent.sender(sender), stopped=True, at=at, source="test")


def back(sender: str, minute: int = 0) -> Wish:
    at = EPOCH + timedelta(minutes=minute)
    return Wish(consent.sender(sender), stopped=False, at=at, source="test")


def unwanted(*wishes: Wish) -> frozenset[str]:
    standing: tuple[Wish, ...] = ()
    for wish in wishes:
        standing = consent.heard(standing, wish)
    return consent.stopped(standing)


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ([], set()),
        ([out("PROMO")], {"promo"}),
        ([out("PROMO"), out("Promo", 1)], {"promo"}),
        ([out("PROMO"), out("BANK", 1)], {"promo", "bank"}),
        ([out("PROMO"), back("PROMO", 1)], set()),
        ([out("PROMO"), back("BANK", 1)], {"promo"}),
        ([out("PROMO"), back("PROMO", 1), out("PROMO", 2)], {"promo"}),
        ([out(""), back("PROMO", 1)], {EVERY_SENDER}),
        ([out("PROMO"), out("", 1), back("", 2)], set()),
        ([out("PROMO"), back("", 1), out("BANK", 2)], {"bank"}),
    ],
)
def test_the_newest_wish_about_a_sender_counts(told: list[Wish], left: set[str]) -> None:
    assert unwanted(*told) == left


@pytest.mark.parametrize(
    "told",
    [
        [out("PROMO"), back("PROMO", 1)],
        [out("PROMO"), back("PROMO", 1), out("PROMO", 2)],
        [out("PROMO"), back("", 1)],
        [out("PROMO"), back("", 1), out("PROMO", 2)],
        [out(""), back("", 1), out("BANK", 2)],
        [out(""), out("BANK"), back("", 1)],
    ],
)
def test_the_order_in_which_wishes_arrive_does_not_matter(told: list[Wish]) -> None:
    assert {unwanted(*each) for each in permutations(told)} == {unwanted(*told)}


def test_what_is_told_twice_changes_nothing_the_second_time() -> None:
    once = consent.heard((), out("PROMO"))
    assert consent.heard(once, out("PROMO")) == once


@pytest.mark.parametrize(
    ("told", "written", "read_as"),
    [
        (0, 0, EPOCH),
        (-60, 0, EPOCH - timedelta(minutes=60)),
        (60, 0, EPOCH),  # by a clock ahead of the one that says when it was written
        (60, 60, consent.UNDATED),  # both were ahead, and are right again
    ],
)
def test_a_wish_that_is_read_was_told_no_later_than_written_and_not_in_the_future(
    told: int, written: int, read_as: datetime
) -> None:
    by = EPOCH + timedelta(minutes=written)
    assert consent.dated(out("PROMO", told), by, EPOCH).at == read_as


@pytest.mark.parametrize(
    ("left", "senders", "stopped"),
    [
        (frozenset(), BANK, False),
        (frozenset(), UNKNOWN_SENDER, False),
        (PROMO, PROMO, True),
        (PROMO, BANK, False),
        (PROMO, BANK | PROMO, True),
        (PROMO, UNKNOWN_SENDER, True),
        (frozenset({EVERY_SENDER}), BANK, True),
        (frozenset({EVERY_SENDER}), UNKNOWN_SENDER, True),
    ],
)
def test_a_message_is_stopped_by_an_opt_out_from_a_sender_it_may_go_under(
    left: frozenset[str], senders: frozenset[str], *, stopped: bool
) -> None:
    assert consent.stops(left, senders) is stopped


BOTH = Senders({"at": "BANK", "legacy": "Old"})
ONE = Senders({"at": "BANK", "legacy": None})


@pytest.mark.parametrize(
    ("senders", "own", "found"),
    [
        (BOTH, "PROMO", PROMO),
        (BOTH, None, frozenset({"bank", "old"})),
        (ONE, "PROMO", PROMO),
        (ONE, None, UNKNOWN_SENDER),
        (Senders({}), None, UNKNOWN_SENDER),
    ],
)
def test_the_senders_of_a_message_are_its_own_or_all_configured_ones(
    senders: Senders, own: str | None, found: frozenset[str]
) -> None:
    assert senders.of_message(own) == found


def test_the_sender_of_an_attempt_is_the_message_s_own_before_the_configured_one() -> None:
    found = [ONE.of_attempt(own, at) for own in ("PROMO", None) for at in ("at", "legacy", "who")]
    assert found == ["PROMO", "PROMO", "PROMO", "BANK", None, None]


@pytest.mark.parametrize(("given", "found"), [(" Promo ", "promo"), ("", ""), (None, "")])
def test_sender_ids_are_compared_in_any_case(given: str | None, found: str) -> None:
    assert consent.sender(given) == found


OURS = [
    *("+260211123456", "260211123456", "00260211123456", "0211123456", "211123456"),
    *(" 260211123456", "+260 211 123 456", "+260 (0) 211-123-456", "tel:+260211123456"),
    *("\uff0b\uff12\uff16\uff10211123456", "\u200e+260\u200b211123456", "+26\u0660211123456"),
]


@pytest.mark.parametrize("told", OURS)
@pytest.mark.parametrize("carried", OURS[:4])
def test_an_opt_out_of_a_number_stops_what_goes_under_it_however_both_are_written(
    told: str, carried: str
) -> None:
    senders = Senders({"at": carried, "legacy": carried})
    assert consent.stops(unwanted(out(told)), senders.of_message(None))
    assert consent.stops(unwanted(out(told)), senders.of_message(carried))
    assert unwanted(out(told), back(carried, 1)) == frozenset()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+260211123456", "+260211123457"),
        ("+260211123456", "+254211123456"),
        ("0211123456", "+254211123456"),
        ("0211123456", "254211123456"),
        ("123456", "0123456"),
        ("12345", "+260012345"),
        ("24-7", "247"),
        ("BANK", "BANK 2"),
        ("BANK", "B.ANK"),
    ],
)
def test_senders_that_differ_for_people_are_two(one: str, other: str) -> None:
    assert consent.sender(one) != consent.sender(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("My  Bank", " my\u00a0bank "),
        ("\uff22\uff21\uff2e\uff2b", "bank"),
        ("Caf\u00e9", "CAFE\u0301"),
        ("BA\u200bNK", "bank"),
        ("+39333", "39333"),
        ("254711123456", "+254 711 123456"),
    ],
)
def test_senders_that_people_read_alike_are_one(one: str, other: str) -> None:
    assert consent.sender(one) == consent.sender(other)


@pytest.mark.parametrize("given", [*OURS, "12345", "0123456", "My  Bank", "Stra\u00dfe", ""])
def test_the_name_of_a_sender_is_named_as_itself(given: str) -> None:
    once = consent.sender(given)
    assert consent.sender(once) == once


@pytest.mark.parametrize(
    ("standing", "wish", "changes"),
    [
        ((), out("PROMO"), True),
        ((out("PROMO"),), out("PROMO", 1), False),
        ((out("PROMO"),), back("PROMO", 1), True),
        ((out(""),), back("PROMO", 1), False),
        ((out("PROMO", 2),), back("PROMO", 1), False),
    ],
)
def test_a_change_says_whether_it_makes_a_difference(
    standing: tuple[Wish, ...], wish: Wish, *, changes: bool
) -> None:
    assert WishChange(masking.recipient(KEY, NUMBER), wish, standing).changes is changes
