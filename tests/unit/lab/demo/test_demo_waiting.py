"""The demo waits for facts, with a deadline that names what is missing."""

from __future__ import annotations

import pytest

from worker.lab.demo.waiting import FactMissing, until


async def test_a_fact_that_comes_ends_the_wait() -> None:
    asked = iter([False, False, True])
    await until(lambda: next(asked), "it")
    assert next(asked, None) is None


async def test_a_fact_that_does_not_come_is_named() -> None:
    with pytest.raises(FactMissing, match="the breaker closed"):
        await until(lambda: False, "the breaker closed", within_s=0.1)
