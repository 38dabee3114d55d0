"""Alerts from where they are seen to the people who are told, over real servers."""

from __future__ import annotations

import functools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from contracts import control
from tests.integration.control_bench import Harness, bench
from tests.integration.mail_server import Authority, Hook, Inbox, mail_server, web_server
from tests.support.proxy import Proxy
from tests.support.steering import Steering
from tests.support.waiting import until
from worker.alerting import notifier
from worker.alerting.webhook import Webhook
from worker.app import alerting as alerting_services
from worker.broker.control_client import ControlClient, NotAllowed
from worker.domain.alerts.alert_codes import AlertCode
from worker.domain.migration.flags import Flags, MigrationSettings
from worker.domain.migration.phases import Phase
from worker.settings.alerting import MailSecurity, NotifySettings, SmtpSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.usefixtures("empty_queues")
OPS = "ops@example.com"
WITHIN_S = 10.0
"""Before a notice would be sent past the store."""


@pytest.fixture
def open_bench(
    amqp_url: Callable[[str], str],
    mongo_url: str,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Two replicas that tell one mail address and one address on the web."""
    trust = Authority()
    trusting = functools.partial(Webhook, tls=trust.client())
    monkeypatch.setattr(alerting_services, "Webhook", trusting)
    monkeypatch.setattr(notifier, "EVERY_S", 0.1)

    @asynccontextmanager
    async def opened(**more: Any) -> AsyncIterator[tuple[Harness, Inbox, Hook]]:
        async with mail_server() as inbox, web_server(trust.server()) as hook:
            recipients = MigrationSettings(notify=(OPS, hook.address()))
            smtp = SmtpSettings(
                host="127.0.0.1",
                port=inbox.port,
                security=MailSecurity.NONE,
                sender="sms-worker@corp.example",
            )
            quick = {"repeat_s": 900.0, "settle_s": 0.5, "allow_private": True} | more
            through = quick.pop("through", None)
            notify = NotifySettings(**quick)
            async with bench(
                amqp_url,
                mongo_url,
                database_name,
                through=through,
                flags=Flags(migration=recipients),
                smtp=smtp,
                notify=notify,
            ) as made:
                yield made, inbox, hook

    return opened


def subjects(inbox: Inbox) -> list[str]:
    return [mail["Subject"] for mail in inbox.mails]


def said(made: Harness) -> list[dict[str, Any]]:
    return [json.loads(body) for key, body in made.alerts if key == "metric.alert"]


def everywhere(made: Harness, reason: str = "401") -> None:
    for replica in made.replicas:
        replica.alerts.raise_alert(
            AlertCode.ACCOUNT, reason, provider="legacy", evidence={"answer": reason}
        )


async def listed(made: Harness) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await made.steer.ask(control.Alerts)).data["alerts"]
    return found


async def test_one_trouble_of_all_replicas_is_one_alert_one_mail_and_one_post(
    open_bench: Callable[..., Any],
) -> None:
    async with open_bench() as (made, inbox, hook):
        everywhere(made)
        assert len({each["alertId"] for each in said(made)}) == 1
        await inbox.taken(1)
        await until(lambda: hook.posts, WITHIN_S)
        for replica in made.replicas:
            replica.alerts.resolve("account", "200", provider="legacy")
        await inbox.taken(2)
        await until(lambda: len(hook.posts) == 2, WITHIN_S)
        assert subjects(inbox) == [
            "[critical] account (legacy): 401",
            "[over] account (legacy): 200",
        ]
        assert [post["notice"] for post in hook.posts] == ["new", "recovered"]
        assert {post["alertId"] for post in hook.posts} == {said(made)[0]["alertId"]}


async def test_a_change_of_phase_reaches_people(open_bench: Callable[..., Any]) -> None:
    async with open_bench() as (made, inbox, _hook):
        await made.steer.do(control.Advance, reason="the friday plan")
        (mail,) = await inbox.taken(1)
        assert "[info] state: administrator: NotStarted at 0 %" in mail["Subject"]
        assert "the friday plan" in mail.get_content()


async def test_a_critical_one_is_repeated_until_it_is_acknowledged_on_record(
    open_bench: Callable[..., Any],
) -> None:
    async with open_bench(repeat_s=0.5) as (made, inbox, _hook):
        everywhere(made)
        await inbox.taken(3)
        assert subjects(inbox)[1] == "[critical, not acknowledged] account (legacy): 401"
        version = (await made.log.last())[1].version
        reply = await made.steer.tell(control.Ack, alert="account", reason="on it")
        assert (reply.verdict, reply.code, reply.version) == ("accepted", "ok", version)
        (alert,) = await listed(made)
        assert alert["acknowledged"]["by"] == "administrator"
        assert alert["acknowledged"]["reason"] == "on it"
        entry = (await made.entries())[-1]
        assert (entry.command["name"], entry.user, entry.after.version) == (
            *("ack", "administrator"),
            version,
        )
        told = len(inbox.mails) + 1  # one may have been under way
        made.replicas[0].alerts.event(AlertCode.STATE, "a sign that time has passed")
        await until(lambda: any("a sign" in each for each in subjects(inbox)), WITHIN_S)
        for replica in made.replicas:
            replica.alerts.resolve("account", "200", provider="legacy")
        await until(lambda: "[over] account (legacy): 200" in subjects(inbox), WITHIN_S)
        assert len(inbox.mails) <= told + 2


async def test_what_is_not_open_cannot_be_acknowledged(open_bench: Callable[..., Any]) -> None:
    async with open_bench() as (made, _inbox, _hook):
        reply = await made.steer.tell(control.Ack, alert="account")
        assert (reply.verdict, reply.code) == ("refused", "not open")
        assert reply.text == "ack: nothing open is called 'account'; look at ctl alerts"
        everywhere(made)
        for replica in made.replicas:
            replica.alerts.raise_alert(AlertCode.ACCOUNT, "402", provider="africastalking")
        await until(lambda: _count(made, 2), WITHIN_S)
        reply = await made.steer.tell(control.Ack, alert="account")
        assert (reply.verdict, reply.code) == ("refused", "several")
        reply = await made.steer.tell(control.Ack, alert="account", provider="target")
        assert (reply.verdict, reply.code) == ("accepted", "ok")
        again = await made.steer.tell(control.Ack, alert="account", provider="target")
        assert (again.verdict, again.code) == ("accepted", "unchanged")
        taken = {each["provider"]: each["acknowledged"] for each in await listed(made)}
        assert taken["legacy"] is None
        assert taken["africastalking"]["by"] == "administrator"


async def _count(made: Harness, wanted: int) -> bool:
    return len(await listed(made)) == wanted


async def test_an_observer_sees_alerts_and_acknowledges_none(
    open_bench: Callable[..., Any], amqp_url: Callable[[str], str]
) -> None:
    async with open_bench() as (made, _inbox, _hook):
        everywhere(made)
        await until(lambda: _count(made, 1), WITHIN_S)
        async with ControlClient(amqp_url("observer")) as client:
            eve = Steering(client)
            (alert,) = (await eve.ask(control.Alerts)).data["alerts"]
            assert (alert["code"], alert["evidence"]) == ("account", {"answer": "401"})
            status = await eve.ask(control.Status)
            assert status.data["alerts"] == ["account (legacy): 401"]
            with pytest.raises(NotAllowed):
                await eve.tell(control.Ack, alert="account")


async def test_a_store_that_is_away_is_told_by_each_replica_and_its_return_once(
    open_bench: Callable[..., Any], mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sooner = functools.partial(notifier.Notifier, directly_after_s=1.0)
    monkeypatch.setattr(alerting_services, "Notifier", sooner)
    async with Proxy(mongo_url) as proxy:
        through = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        async with open_bench(through=through) as (made, inbox, _hook):
            proxy.stalled = True
            for replica in made.replicas:
                replica.alerts.raise_alert(AlertCode.STORE, "the store is away")
            await inbox.taken(2)
            assert subjects(inbox) == ["[critical] store: the store is away"] * 2
            proxy.stalled = False
            proxy.cut()
            for replica in made.replicas:
                replica.alerts.resolve("store", "the store is back")
            await until(lambda: len(inbox.mails) == 3, 20)
            assert subjects(inbox)[2] == "[over] store: the store is back"
            await made.steer.to(Phase.PARALLEL_SETUP, 1)  # whatever was doubled comes before this
            await until(lambda: "[info] state" in subjects(inbox)[-1], WITHIN_S)
            assert sum("store" in each for each in subjects(inbox)) == 3
