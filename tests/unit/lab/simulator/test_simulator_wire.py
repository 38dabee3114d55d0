"""Pure parts of the simulated dialects."""

from __future__ import annotations

import pytest
import smsutil
from hypothesis import given
from hypothesis import strategies as st

from worker.lab.simulator.africastalking import network_code
from worker.lab.simulator.kannel import fill
from worker.lab.simulator.parts import parts
from worker.lab.simulator.wire import Account, Sms, Verdict


@given(st.text(alphabet="ab[€é☃😀\n", min_size=1, max_size=500))
def test_parts_are_counted_as_networks_count(text: str) -> None:
    assert parts(text) == len(smsutil.split(text).parts)


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 152 + "[" + "a" * 152, 3), ("☃" * 71, 2)],
)
def test_parts_of_known_texts(text: str, count: int) -> None:
    assert parts(text) == count


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("+260977123456", "64501"),
        ("+260967123456", "64502"),
        ("+260957123456", "64503"),
        ("+254711123456", "99999"),
        ("+260211234567", "99999"),
    ],
)
def test_a_number_belongs_to_a_network_by_its_prefix(number: str, code: str) -> None:
    assert network_code(number) == code


def test_escapes_of_a_report_address_are_filled_in_and_percent_signs_undoubled() -> None:
    verdict = Verdict(Sms("+260977123456", "BANK X", "t", reference="r/1"), taken=True, id="f 1")
    address = "http://h/r?id=a%%20b&type=%d&foreign=%F&to=%p&from=%P&smsc=%i&account=%o&a=%A&x=%2B"
    filled = fill(address, verdict, "2", "no such")
    assert filled == (
        "http://h/r?id=a%20b&type=2&foreign=f+1&to=%2B260977123456&from=BANK+X"
        "&smsc=simulator&account=r%2F1&a=NACK%2Fno+such&x=%2B"
    )


def test_an_account_without_credentials_lets_anybody_in_who_brings_some() -> None:
    assert Account().admits("any", "thing")
    assert not Account().admits("any", "")


def test_an_account_with_credentials_lets_nobody_else_in() -> None:
    account = Account("name", "secret")
    assert account.admits("name", "secret")
    assert not account.admits("name", "sécret")
    assert not account.admits("other", "secret")
