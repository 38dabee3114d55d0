"""Which calls are evidence about the state in force: those that it decided."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.support.fakes import Harness, snapshot
from worker.app.accounts import fingerprint
from worker.domain.messages.outcome import Blame, NotSent
from worker.settings.providers import ProviderSettings


@pytest.mark.parametrize(("anew", "counts"), [(0, True), (1, False)])
async def test_a_call_counts_as_evidence_only_where_the_state_that_decided_it_stands(
    anew: int, *, counts: bool
) -> None:
    bench = Harness()

    async def change() -> None:
        bench.snapshots.current = replace(snapshot(50, version=2), anew=anew)

    bench.target.during = change
    await bench.hybrid.run(bench.message(), None)
    assert [each.eligible for each in bench.meter.attempts] == [counts]
    assert bench.record().attempts[0].eligible


async def test_a_call_begins_before_it_is_made_and_ends_with_its_outcome() -> None:
    bench, seen = Harness(), []

    async def look() -> None:
        seen.append((bench.meter.begun.copy(), len(bench.meter.under_way)))

    bench.target.during = look
    bench.target.outcomes = [NotSent(Blame.PROVIDER, "500", "down")]
    await bench.hybrid.run(bench.message(), None)
    assert seen == [([("at", True)], 1)]
    assert bench.meter.begun == [("at", True), ("old", False)]
    assert bench.meter.under_way == set()


@pytest.mark.parametrize("error", [asyncio.CancelledError, RuntimeError])
async def test_a_call_that_ends_without_an_outcome_is_not_under_way_any_more(
    error: type[BaseException],
) -> None:
    bench = Harness()

    async def end() -> None:
        raise error

    bench.target.during = end
    with pytest.raises(error):
        await bench.hybrid.run(bench.message(), None)
    assert (bench.meter.under_way, bench.meter.attempts) == (set(), [])


GATEWAY = {
    "id": "old",
    "kind": "http",
    "preset": "kannel",
    "base_url": "http://127.0.0.1:1",
    "username": "ann",
    "secret": "a secret",
}


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", "new"), ("base_url", "http://127.0.0.1:2"), ("username", "ben")],
)
def test_another_provider_address_or_user_is_another_account(field: str, value: str) -> None:
    before, after = (ProviderSettings(**{**GATEWAY, **change}) for change in ({}, {field: value}))
    assert fingerprint(before) != fingerprint(after)


def test_a_new_secret_or_limit_is_the_same_account_and_shows_nothing_of_it() -> None:
    before = ProviderSettings(**GATEWAY)
    after = ProviderSettings(**{**GATEWAY, "secret": "another", "rate_per_s": 5.0})
    assert fingerprint(before) == fingerprint(after)
    assert not any(word in fingerprint(before) for word in ("old", "127.0.0.1", "ann", "secret"))
