"""The monitor on the real stack: trouble of the target brings the share down, common trouble holds.

The criteria: automatic rollback triggers, instant traffic routing back to legacy.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from contracts import control
from contracts.names import Exchange
from tests.support.inbox import Inbox
from tests.support.trouble import (
    DEAD,
    HALF,
    LEGACY_HALF,
    SHARE,
    TENTH,
    USED_UP,
    a_quarter,
    trouble,
)
from tests.support.waiting import until
from worker.cli import app
from worker.cli.evidence import differs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.whole_system import System
    from worker.domain.migration.control_log import LogEntry


@pytest.fixture
async def quarter(healthy: System) -> AsyncIterator[System]:
    """A quarter of the traffic on the target."""
    await a_quarter(healthy)
    yield healthy
    await healthy.steer.automation(rolls_back=False)


@pytest.fixture
async def tolerant(quarter: System) -> AsyncIterator[System]:
    """The same, and a tenth of failures is not bad in itself: at most worse than legacy."""
    await quarter.steer.tolerate(MaxErrorRate=30.0, MinSuccessRate=70.0)
    yield quarter
    await quarter.steer.tolerate(MaxErrorRate=5.0, MinSuccessRate=90.0)


@pytest.fixture
async def metrics(system: System) -> AsyncIterator[Inbox]:
    """What a dashboard receives."""
    url, queue = system.stack.amqp["dashboard"], "sms.own.dashboard.test"
    async with Inbox(url, queue, Exchange.METRICS, "metric.alert") as inbox:
        yield inbox


def names(decisions: list[LogEntry]) -> list[str]:
    return [each.command["name"] for each in decisions]


async def told_once(metrics: Inbox, code: str, decision: LogEntry) -> None:
    """At most once by each replica, all under one id, and with evidence."""

    def found() -> list[dict[str, Any]]:
        since = decision.evidence["at"]
        told = [each for each in metrics.all if each["code"] == code]
        return [each for each in told if datetime.fromisoformat(each["at"]) >= since]

    await until(lambda: any(each.get("evidence") for each in found()), 10, lambda: str(found()))
    tellers = [each["replica"] for each in found()]
    assert len({each["alertId"] for each in found()}) == 1
    assert len(tellers) == len(set(tellers))


@pytest.mark.parametrize(("name", "fault"), [("dead", DEAD), ("half", HALF)])
async def test_trouble_of_the_target_is_rolled_back_automatically(
    quarter: System, metrics: Inbox, name: str, fault: dict[str, Any]
) -> None:
    async with trouble(quarter, name, {"africastalking": fault}) as episode:
        after_s = await episode.down_to(0)
    print(f"{name}: every replica at 0 % {after_s:.1f} s after the fault")  # noqa: T201 - for the report
    *before, last = await episode.decisions()
    # A tick that ends just after the fault began may show too little: it holds, or goes one step.
    assert set(names(before)) <= {"hold", "automatic-step-back"}
    assert last.command["name"] == "automatic-rollback"
    assert last.after.lock is not None
    assert "worse than legacy" in last.evidence["shown"]["failed"]
    assert differs(last) is None
    await told_once(metrics, "automatic-rollback", last)
    await episode.accounted()


async def test_a_target_that_fails_a_tenth_is_stepped_back_automatically(
    tolerant: System, metrics: Inbox
) -> None:
    faults = {"africastalking": TENTH}
    async with trouble(tolerant, "tenth", faults, compared=True) as episode:
        await episode.decided("automatic-step-back")
    first = (await episode.decisions())[0]
    assert (first.command["name"], first.after.percentage) == ("automatic-step-back", 10)
    assert differs(first) is None
    await told_once(metrics, "automatic-step-back", first)
    await episode.accounted()


async def test_a_used_up_balance_is_told_at_once_and_holds(quarter: System, metrics: Inbox) -> None:
    async with trouble(quarter, "balance", {"africastalking": USED_UP}) as episode:
        await until(lambda: any(e["code"] == "account-fault" for e in metrics.all), 10)
        await episode.decided("hold")
    decisions = await episode.decisions()
    assert names(decisions) == ["hold"]
    assert "refuses our account: balance" in decisions[0].reply["text"]
    assert decisions[0].after.percentage == SHARE
    await episode.accounted()


async def test_trouble_of_both_is_common_and_holds(quarter: System, metrics: Inbox) -> None:
    # Legacy's first: until the second fault is in force it is the other one's alone.
    faults = {"legacy": LEGACY_HALF, "africastalking": HALF}
    async with trouble(quarter, "both", faults) as episode:
        await episode.decided("hold", "common trouble")
    decisions = await episode.decisions()
    assert set(names(decisions)) == {"hold"}
    assert "hold: common trouble" in decisions[-1].reply["text"]
    assert differs(decisions[-1]) is None
    await told_once(metrics, "common-trouble", decisions[-1])
    reply = await quarter.steer.ask(control.Status)
    assert reply.state is not None
    assert reply.state.percentage == SHARE


async def test_replay_reproduces_every_decision_of_the_run(system: System) -> None:
    """The run is that of the tests above: down, back by a step, and held."""
    runner = CliRunner(env={"MONGO_URL": system.stack.mongo_url})
    said = await asyncio.to_thread(runner.invoke, app, ["evidence", "replay"])
    assert said.exit_code == 0, said.output
    made, of = map(int, re.findall(r"(\d+) of (\d+) decisions reproduced", said.output)[0])
    assert made == of >= 4
