"""Tariffs: which row counts, and that a contradictory table is refused whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import yaml

from tests.support.fakes import HandClock, message
from worker.domain.figures.tariff import Tariff, TariffError, parse
from worker.domain.messages.outcome import Accepted, Money, Unknown

TABLE = """
tariffs:
  - {provider: legacy, prefix: +260, validTo: 2026-03-31, price: "0.2500", currency: ZMW}
  - {provider: legacy, prefix: "+260", validFrom: 2026-04-01, price: 0.3, currency: ZMW}
  - {provider: legacy, prefix: "26097", validFrom: "2026-04-01", price: "0.28", currency: ZMW}
  - {provider: africastalking, prefix: 260, price: "0.012", currency: USD}
"""
ROW = {"provider": "legacy", "prefix": "260", "price": "0.25", "currency": "ZMW"}
MARCH, APRIL = date(2026, 3, 31), date(2026, 4, 1)


def problems(*rows: object) -> tuple[str, ...]:
    with pytest.raises(TariffError) as caught:
        parse({"tariffs": list(rows)})
    return caught.value.problems


@pytest.mark.parametrize(
    ("provider", "to", "segments", "on", "amount"),
    [
        ("legacy", "+260966123456", 1, MARCH, "0.2500"),
        ("legacy", "+260966123456", 3, MARCH, "0.7500"),
        ("legacy", "+260966123456", 1, APRIL, "0.3"),
        ("legacy", "+260977123456", 1, APRIL, "0.28"),
        ("legacy", "+260977123456", 1, MARCH, "0.2500"),
        ("legacy", "260977123456", 1, APRIL, "0.28"),
    ],
)
def test_the_longest_prefix_in_force_counts(
    provider: str, to: str, segments: int, on: date, amount: Any
) -> None:
    price = parse(yaml.safe_load(TABLE)).price(provider, to, segments, on)
    assert price == Money(Decimal(amount), "ZMW")


def cost_of(outcome: Any, segments: int = 2) -> Money | None:
    sent = replace(message(HandClock(), to="+260966123456"), segments=segments)
    return parse(yaml.safe_load(TABLE)).cost(sent, "legacy", outcome, APRIL)


def test_the_table_gives_the_cost_of_all_segments_where_the_reply_names_none() -> None:
    assert cost_of(Accepted("l-1")) == Money(Decimal("0.6"), "ZMW")


def test_the_count_of_segments_in_the_reply_comes_before_ours() -> None:
    assert cost_of(Accepted("l-1", parts=3)) == Money(Decimal("0.9"), "ZMW")


def test_the_cost_in_the_reply_comes_before_the_table() -> None:
    named = Money(Decimal("0.11"), "ZMW")
    assert cost_of(Accepted("l-1", cost=named, parts=3)) == named


def test_what_was_not_accepted_costs_nothing() -> None:
    assert cost_of(Unknown("timeout", "no answer came")) is None


def test_each_provider_has_its_own_prices() -> None:
    price = parse(yaml.safe_load(TABLE)).price("africastalking", "+260966123456", 2, MARCH)
    assert price == Money(Decimal("0.024"), "USD")


@pytest.mark.parametrize(
    ("provider", "to"), [("legacy", "+254711123456"), ("other", "+260966123456"), ("legacy", "")]
)
def test_what_no_row_covers_has_no_price(provider: str, to: str) -> None:
    assert parse(yaml.safe_load(TABLE)).price(provider, to, 1, MARCH) is None


def test_a_price_is_not_known_outside_the_days_of_its_row() -> None:
    table = parse({"tariffs": [ROW | {"validFrom": "2026-04-01", "validTo": "2026-04-30"}]})
    days = (MARCH, APRIL, date(2026, 4, 30), date(2026, 5, 1))
    known = [table.price("legacy", "+260966123456", 1, day) is not None for day in days]
    assert known == [False, True, True, False]


def test_an_empty_table_knows_no_price() -> None:
    assert parse({"tariffs": []}) == Tariff({})


def test_a_price_written_as_a_yaml_number_keeps_its_digits() -> None:
    table = parse(yaml.safe_load(TABLE))
    assert table.price("legacy", "+260966123456", 1, APRIL) == Money(Decimal("0.3"), "ZMW")


def test_rows_that_overlap_are_refused() -> None:
    first = ROW | {"validTo": "2026-04-01"}
    second = ROW | {"prefix": "+260", "validFrom": "2026-04-01", "price": "0.3"}
    assert problems(first, second) == (
        (
            "rows 1 and 2: expected one price for legacy +260 on any day, "
            "got two from 2026-04-01 to 2026-04-01"
        ),
    )


def test_every_pair_of_overlapping_rows_is_named() -> None:
    assert [each.split(":")[0] for each in problems(ROW, ROW, ROW)] == [
        "rows 1 and 2",
        "rows 1 and 3",
        "rows 2 and 3",
    ]


def test_rows_that_follow_each_other_are_accepted() -> None:
    rows = [ROW | {"validTo": "2026-03-31"}, ROW | {"validFrom": "2026-04-01"}]
    assert len(parse({"tariffs": rows}).rows[("legacy", "260")]) == 2


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"provider": "Legacy"}, "provider: expected a provider id in lower case, got 'Legacy'"),
        ({"prefix": "0260"}, "prefix: expected a calling prefix such as +260, got '0260'"),
        ({"prefix": True}, "prefix: expected a calling prefix such as +260, got True"),
        ({"currency": "zmw"}, "currency: expected an ISO 4217 code, got 'zmw'"),
        ({"price": "-1"}, "price: expected a decimal number of 0 or more, got '-1'"),
        ({"price": "NaN"}, "price: expected a decimal number of 0 or more, got 'NaN'"),
        ({"price": True}, "price: expected a decimal number of 0 or more, got True"),
        ({"price": None}, "price: expected a decimal number of 0 or more, got None"),
        ({"validFrom": "soon"}, "validFrom: expected a day such as 2026-01-31, got 'soon'"),
        (
            {"validFrom": "2026-04-02", "validTo": "2026-04-01"},
            "validTo: expected 2026-04-02 or later, got 2026-04-01",
        ),
        (
            {"valid_to": "2026-04-01"},
            "valid_to: expected one of provider, prefix, validFrom, validTo, price, currency",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_row(changes: dict[str, Any], problem: str) -> None:
    assert problems(ROW | {"prefix": "254"}, ROW | changes) == (f"row 2: {problem}",)


def test_every_problem_of_every_row_is_listed() -> None:
    found = problems({}, "row", ROW | {"price": "x"}, ROW, ROW)
    assert len(found) == 4 + 1 + 1 + 1


@pytest.mark.parametrize("raw", [None, [], {}, {"tariffs": {}}, {"tariffs": [], "more": 1}])
def test_another_shape_is_refused(raw: object) -> None:
    with pytest.raises(TariffError, match="tariffs"):
        parse(raw)
