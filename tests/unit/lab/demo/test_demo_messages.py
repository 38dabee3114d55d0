"""The demo's messages: valid numbers, every bucket once in a hundred, our own mapping."""

from __future__ import annotations

import json
from itertools import islice

import phonenumbers
import pytest

from worker.domain.migration import routing
from worker.lab.demo.messages import bucket, plan

HUNDRED = 100


def planned(count: int) -> list:
    return list(islice(plan("test"), count))


@pytest.mark.parametrize(
    ("number", "expected"),
    [("+260977123456", 24), ("+260955000001", 62), ("+260761234567", 40)],
)
def test_bucket_follows_the_documented_mapping(number: str, expected: int) -> None:
    assert bucket(number) == expected


def test_the_independent_mapping_agrees_with_the_worker() -> None:
    numbers = [each.to for each in planned(1000)]
    assert [bucket(number) for number in numbers] == [routing.bucket(number) for number in numbers]


def test_every_bucket_occurs_once_in_each_hundred() -> None:
    messages = planned(3 * HUNDRED)
    for start in range(0, len(messages), HUNDRED):
        block = messages[start : start + HUNDRED]
        assert sorted(bucket(each.to) for each in block) == list(range(HUNDRED))


def test_no_recipient_comes_twice() -> None:
    recipients = [each.to for each in planned(3000)]
    assert len(set(recipients)) == len(recipients)


def test_every_recipient_is_a_valid_zambian_mobile() -> None:
    for each in planned(300):
        number = phonenumbers.parse(each.to)
        assert phonenumbers.is_valid_number(number), each.to
        assert phonenumbers.region_code_for_number(number) == "ZM"


def test_lanes_take_turns() -> None:
    assert {each.lane for each in planned(2)} == {"transactional", "bulk"}
    assert [each.key for each in planned(4)[::2]] == [planned(1)[0].key] * 2


def test_the_text_ends_with_the_message_id() -> None:
    message = planned(1)[0]
    assert json.loads(message.body())["text"].endswith(f"#{message.id}")


def test_the_broken_command_differs_in_its_branch_alone() -> None:
    message = planned(1)[0]
    whole, broken = json.loads(message.body()), json.loads(message.broken_body())
    assert broken == {**whole, "branchId": "north"}
