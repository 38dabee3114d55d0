"""The copies that we publish: what else they bear beside ours, our headers can be read."""

from __future__ import annotations

import pytest
from pamqp import decode, encode

from contracts.names import Header
from tests.support.fakes import deaths, incoming
from worker.broker import publisher, tolerant_decoding
from worker.broker.tolerant_decoding import MAX_COPIED_BYTES


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600", "\ud800"])
def test_the_reason_of_a_dead_letter_can_be_read_beside_the_longest_headers(character: str) -> None:
    tolerant_decoding.install()
    theirs = {"theirs": "x" * (MAX_COPIED_BYTES - 100)}
    about = publisher._of_dead(incoming(), f"failed: {character * 2_000}", {})
    ours = publisher._ours(incoming(), about)
    headers = publisher._copied(incoming(headers=theirs), ours).headers
    assert headers is not None
    broker = deaths(("sms.retry.10m", "expired"), ("sms.send.bulk", "rejected"))
    _, found = decode.by_type(encode.field_table({**headers, **broker}), "table")
    assert str(found[Header.REASON]).startswith("failed: ")
    assert found["theirs"] == theirs["theirs"]
