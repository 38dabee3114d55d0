"""Amounts as gateways write them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.messages.outcome import NO_CURRENCY, AccountFault, Money
from worker.providers.africastalking_answers import read_balance
from worker.providers.amounts import balance, cost, money, read_money
from worker.providers.answer import Answer, account_health

READ = [
    ("KES 0.8000", "0.8000", "KES"),
    ("KES 1785.50", "1785.50", "KES"),
    ("Ksh. 600.56", "600.56", "KES"),
    ("KSh 600.56", "600.56", "KES"),
    ("Ksh.600", "600", "KES"),
    ("Ksh 600/=", "600", "KES"),
    ("KES 5.", "5", "KES"),
    ("USh 27.0000", "27.0000", "UGX"),
    ("kes 5", "5", "KES"),
    ("K1,234.50", "1234.50", "ZMW"),
    ("R 5", "5", "ZAR"),
    ("$5", "5", "USD"),
    ("600.56 KES", "600.56", "KES"),
    ("ZMW1 234,50", "1234.50", "ZMW"),
    ("ZMW 1\u00a0234,50", "1234.50", "ZMW"),
    ("KES\t5", "5", "KES"),
    ("KES -0.29", "-0.29", "KES"),
    ("-KES 0.29", "-0.29", "KES"),
    ("KES \u22120.29", "-0.29", "KES"),
    ("KES (0.29)", "-0.29", "KES"),
    ("(0.29)", "-0.29", None),
    ("KES 0.29-", "-0.29", "KES"),
    ("0.29 - KES", "-0.29", "KES"),
    ("0.29 KES-", "-0.29", "KES"),
    ("0.29\u2212", "-0.29", None),
    ("(KES 0.29)", "-0.29", "KES"),
    ("KES 0.29 DR", "-0.29", "KES"),
    ("KES 0.29DR", "-0.29", "KES"),
    ("0.29 Dr.", "-0.29", None),
    ("DR KES 0.29", "-0.29", "KES"),
    ("0.29 KES DR", "-0.29", "KES"),
    ("KES 0.29 OD", "-0.29", "KES"),
    ("KES -0.29 DR", "-0.29", "KES"),
    ("KES 0.29 CR", "0.29", "KES"),
    ("0.29 Cr", "0.29", None),
    ("KES 5.00 KES", "5.00", "KES"),
    ("US$ 5", "5", "USD"),
    ("Rs. 5", "5", None),
    ("KES 5+", "5", "KES"),
    ("Ksh 600/-", "600", "KES"),
    ("+5", "5", None),
    ("0", "0", None),
    (".5", "0.5", None),
    ("1,234.56", "1234.56", None),
    ("1.234,56", "1234.56", None),
    ("1'234.50", "1234.50", None),
    ("1,23,456.78", "123456.78", None),
    ("1,234,567", "1234567", None),
    ("1.234.567", "1234567", None),
    ("1,234", "1234", None),
    ("0,800", "0.800", None),
    ("234,50", "234.50", None),
    ("1.234", "1.234", None),
    (0.25, "0.25", None),
    (-0.29, "-0.29", None),
    (1e-07, "0.0000001", None),
    (600, "600", None),
]


@pytest.mark.parametrize(("raw", "amount", "currency"), READ)
def test_an_amount_is_read(raw: object, amount: str, currency: str | None) -> None:
    assert read_money(raw) == (Decimal(amount), currency)


NO_AMOUNTS = [
    *["", "?", "none", "KES", "1e5", "12 34", "1.2.3", "1,2,3", "1,234.5,6", "1.234,567.89", "٣"],
    *["sNaN", "Infinity", float("nan"), float("inf"), 1e300, 10**30, 10**400, "9" * 13],
    *["9" * 5000, True, None, [], {}, "KES 5 or so", "5\x00"],
    *["(0.29", "0.29)", "KES 5 left", "KES 5 owed", "KES 5 ZMW", "600.-"],
]


@pytest.mark.parametrize("raw", NO_AMOUNTS)
def test_what_is_no_amount_is_none(raw: object) -> None:
    assert read_money(raw) == (None, None)


@given(st.text() | st.floats() | st.integers() | st.text("0123456789.,-+() '$KES", max_size=50))
def test_reading_an_amount_never_fails(raw: object) -> None:
    amount, _ = read_money(raw)
    assert amount is None or amount.is_finite()


def test_money_needs_a_currency_and_a_balance_does_not() -> None:
    assert money("1,234.56") is None
    assert money("1,234.56", " zmw ") == Money(Decimal("1234.56"), "ZMW")
    assert balance("1,234.56") == Money(Decimal("1234.56"), NO_CURRENCY)


def test_a_message_never_costs_less_than_nothing() -> None:
    assert cost("KES -0.80") is None
    assert cost("KES 0.80") == Money(Decimal("0.80"), "KES")


@pytest.mark.parametrize(
    ("said", "ok", "fault"),
    [
        ("Ksh. 600.56", True, None),
        ("1,234.56", True, None),
        ("KES -0.29", False, AccountFault.BALANCE),
        ("KES 0.29-", False, AccountFault.BALANCE),
        ("KES 0.29 DR", False, AccountFault.BALANCE),
        ("KES 0.29 CR", True, None),
        ("KES 5 owed", False, None),
        ("KES 0.0000", False, AccountFault.BALANCE),
        (-0.29, False, AccountFault.BALANCE),
        ("plenty", False, None),
    ],
)
def test_an_account_is_judged_by_its_balance(
    said: object, *, ok: bool, fault: AccountFault | None
) -> None:
    answer = Answer(200, {}, json.dumps({"UserData": {"balance": said}}).encode())
    health = account_health(answer, read_balance(answer))
    assert (health.ok, health.fault) == (ok, fault)
