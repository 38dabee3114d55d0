"""Notices through a real mail server and a real web server, and all that can go wrong there."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from contracts.metrics import AlertMetric, AlertNotice
from tests.integration.chat_services import SERVICES
from tests.integration.mail_server import LOGIN, Authority, Hook, Inbox, mail_server, web_server
from worker.alerting.mail import Mail
from worker.alerting.sender import Notices
from worker.alerting.webhook import Webhook, is_public
from worker.domain.alerts.notice_text import notice
from worker.domain.alerts.notices import Alert, Kind
from worker.ports.alerts import NotDelivered
from worker.settings.alerting import MailSecurity, SmtpSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALERT = Alert(
    id="4f1c09aa-0000-5000-8000-000000000000",
    code="account",
    provider="africastalking",
    severity="critical",
    reason="401: the key is refused \u2013 ask",
    since=NOW,
    last_seen=NOW,
    ends=True,
    evidence={"answer": "401"},
    suggested_command="sms-worker ctl status",
)
NOTICE = notice(ALERT, Kind.NEW, NOW)
EVIL = replace(
    ALERT,
    reason="A&B <5 % <!channel> <users/all> @everyone <@1> {{DATE(2026-03-01T00:00:00Z)}} **x** "
    "_y_ `z` [log in](https://evil.example) <https://evil.example|log in>",
)
LONG = replace(
    ALERT,
    reason="*<&\U0001f600" * 3_000,
    evidence={f"{number}": "<" * 300 for number in range(200)},
)
OPS = "ops@example.com"
TRUST = Authority()


def mail(inbox: Inbox, **changes: Any) -> Mail:
    """The sender, as its settings say."""
    wanted = {
        "host": "localhost",
        "port": inbox.port,
        "security": MailSecurity.NONE,
        "sender": "sms-worker@corp.example",
    } | changes
    timeout_s = wanted.pop("timeout_s", 10.0)
    tls = wanted.pop("tls", TRUST.client())
    return Mail(SmtpSettings(**wanted), timeout_s=timeout_s, tls=tls)


def login(password: str = LOGIN[1]) -> dict[str, Any]:
    return {"username": LOGIN[0], "password": SecretStr(password)}


# --- mail -------------------------------------------------------------------------------------


async def test_a_mail_says_what_the_notice_says() -> None:
    async with mail_server() as inbox:
        await mail(inbox).send(OPS, NOTICE)
        (got,) = inbox.mails
    assert (got["From"], got["To"]) == ("sms-worker@corp.example", OPS)
    assert (got["X-MailFrom"], got["X-RcptTo"]) == ("sms-worker@corp.example", OPS)
    assert " ".join(got["Subject"].split()) == NOTICE.subject  # unfolding leaves a blank too many
    assert got.get_content().splitlines() == NOTICE.text.splitlines()
    assert got["Date"].datetime == NOW
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Message-ID"].endswith("@corp.example>")


async def test_mails_of_one_alert_are_one_thread() -> None:
    async with mail_server() as inbox:
        for kind in (Kind.NEW, Kind.REPEAT):
            await mail(inbox).send(OPS, notice(ALERT, kind, NOW))
        first, second = inbox.mails
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]


async def test_nothing_in_a_reason_adds_a_header_or_a_recipient() -> None:
    evil = replace(ALERT, reason="x\r\nBcc: all@example.com\r\n\r\nhello\r\n.\r\nMAIL FROM:<a@b>")
    async with mail_server() as inbox:
        await mail(inbox).send(OPS, notice(evil, Kind.NEW, NOW))
        (got,) = inbox.mails
    assert got["Bcc"] is None
    assert got["X-RcptTo"] == OPS


async def test_with_starttls_the_login_is_given_only_when_encrypted() -> None:
    async with mail_server(starttls=TRUST.server(), auth=True) as inbox:
        await mail(inbox, security=MailSecurity.STARTTLS, **login()).send(OPS, NOTICE)
        (got,) = inbox.mails
    assert (got["X-Login"], got["X-Encrypted"]) == (LOGIN[0], "yes")


async def test_with_tls_all_of_it_is_encrypted() -> None:
    async with mail_server(tls=TRUST.server()) as inbox:
        await mail(inbox, security=MailSecurity.TLS).send(OPS, NOTICE)
        assert len(inbox.mails) == 1


async def refused(sender: Mail | Webhook, recipient: str = OPS) -> str:
    with pytest.raises(NotDelivered) as caught:
        await sender.send(recipient, NOTICE)
    assert "hush" not in str(caught.value)
    assert "secret" not in str(caught.value)
    return str(caught.value)


async def test_a_server_without_encryption_is_told_nothing_where_it_is_wanted() -> None:
    async with mail_server(auth=False) as inbox:
        said = await refused(mail(inbox, security=MailSecurity.STARTTLS, **login()))
        assert inbox.mails == []
    assert said == "localhost: SMTPException"


async def test_a_server_whose_certificate_nobody_trusts_gets_no_mail() -> None:
    async with mail_server(starttls=Authority().server()) as inbox:
        said = await refused(mail(inbox, security=MailSecurity.STARTTLS))
        assert inbox.mails == []
    assert said.startswith("localhost: ")


async def test_a_wrong_password_is_said_without_it() -> None:
    async with mail_server(starttls=TRUST.server(), auth=True) as inbox:
        sender = mail(inbox, security=MailSecurity.STARTTLS, **login("hush-wrong"))
        assert await refused(sender) == "localhost: SMTPAuthenticationError 535"


async def test_a_mail_the_server_refuses_is_not_delivered() -> None:
    async with mail_server() as inbox:
        inbox.answer = "550 no such user: hush"
        assert await refused(mail(inbox)) == "localhost: SMTPDataError 550"


async def test_a_server_that_is_silent_is_waited_for_a_bounded_time() -> None:
    async with mail_server() as inbox:
        inbox.silent = True
        assert (await refused(mail(inbox, timeout_s=0.2))).startswith("localhost: ")


async def test_a_server_that_is_not_there_is_not_delivered() -> None:
    assert (await refused(mail(Inbox(port=1)))).startswith("localhost: SMTPConnectError")


# --- webhook ----------------------------------------------------------------------------------


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with web_server(TRUST.server()) as made:
        yield made


def webhook(*, private: bool = True, timeout_s: float = 10.0) -> Webhook:
    return Webhook(timeout_s=timeout_s, allow_private=private, tls=TRUST.client())


async def test_a_post_is_the_alert_and_a_text(hook: Hook) -> None:
    await webhook().send(hook.address(), NOTICE)
    assert hook.paths == ["/hook/secret"]
    (got,) = hook.posts
    read = AlertNotice.model_validate(got)
    assert (str(read.alert_id), read.code, read.severity) == (ALERT.id, "account", "critical")
    assert (read.notice, read.since, read.count) == ("new", NOW, 1)
    assert got["text"] == f"{NOTICE.subject}\n{NOTICE.text}"
    assert got["evidence"] == {"answer": "401"}
    assert AlertMetric.model_validate_json(json.dumps(got)).reason == ALERT.reason


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(hook: Hook, status: int) -> None:
    hook.answer, hook.location = status, hook.address(path="/elsewhere")
    assert await refused(webhook(), hook.address()) == f"localhost: answered {status}"
    assert hook.paths == ["/hook/secret"]


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_an_answer_that_is_no_success_is_not_delivered(hook: Hook, status: int) -> None:
    hook.answer = status
    assert await refused(webhook(), hook.address()) == f"localhost: answered {status}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433"])
async def test_what_leads_to_loopback_is_refused_before_anything_is_sent(
    hook: Hook, host: str
) -> None:
    await refused(webhook(private=False), hook.address(host))
    assert hook.paths == []


async def test_a_public_name_that_leads_to_loopback_is_refused(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lies(*_: object, **__: object) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("8.8.8.8", hook.port)), (*kind, ("127.0.0.1", hook.port))]

    monkeypatch.setattr(socket, "getaddrinfo", lies)
    address = hook.address("hooks.example")
    said = await refused(webhook(private=False), address)
    assert said == "hooks.example: leads to an address that is not public"
    assert hook.paths == []


async def test_no_proxy_of_the_environment_is_used(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await webhook().send(hook.address(), NOTICE)
    assert len(hook.posts) == 1


async def test_a_certificate_nobody_trusts_or_of_another_name_is_refused() -> None:
    for server in (Authority().server(), TRUST.server("other.example")):
        async with web_server(server) as hook:
            said = await refused(webhook(), hook.address())
            assert said == "localhost: its certificate is not trusted"
            assert hook.posts == []


async def test_a_server_that_never_answers_is_waited_for_a_bounded_time(hook: Hook) -> None:
    hook.silent = True
    assert await refused(webhook(timeout_s=0.2), hook.address()) == (
        "localhost: no answer within 0.2 s"
    )


async def test_an_answer_without_end_is_a_delivery_and_not_read(hook: Hook) -> None:
    hook.large = True
    await webhook(timeout_s=2).send(hook.address(), NOTICE)
    assert len(hook.posts) == 1


@pytest.mark.parametrize(
    "target",
    [
        "/workflows/0f/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sig=aB-_c%3D",
        "/hook?sig=ab%2Bc%2fd%3D%3D&exp=%7E1&plus=a+b",
        "/a%2Fb/%7euser/../x/./y//z%20?",
        "/hook?a=b=c&&d;e='(f)*|\"<>^`{}[]\\@:!$,",
        "/hook?%",
        "/?x",
    ],
)
async def test_an_address_goes_out_as_it_was_given(hook: Hook, target: str) -> None:
    await webhook().send(hook.address(path=target), NOTICE)
    assert hook.targets == [target.removesuffix("?")]


async def test_an_address_without_a_path_asks_for_the_root(hook: Hook) -> None:
    await webhook().send(hook.address(path="?sig=%2F"), NOTICE)
    assert hook.targets == ["/?sig=%2F"]


@pytest.mark.parametrize("service", SERVICES)
async def test_each_chat_service_takes_its_notice_by_its_own_rules(
    hook: Hook, service: str
) -> None:
    hook.judge = SERVICES[service]
    for notice_of in (ALERT, EVIL, LONG):
        await webhook().send(f"{service}+{hook.address()}", notice(notice_of, Kind.NEW, NOW))
    assert len(hook.posts) == 3


@pytest.mark.parametrize("service", ["googlechat", "teams", "discord"])
async def test_the_general_format_is_refused_by_a_service_that_does_not_know_it(
    hook: Hook, service: str
) -> None:
    hook.judge = SERVICES[service]
    assert await refused(webhook(), hook.address()) == "localhost: answered 400"


@pytest.mark.parametrize(
    ("service", "answer", "said", "problem"),
    [
        ("slack", 202, "", "answered 202"),
        ("slack", 200, '{"ok": false, "error": "hush"}', "answered 200 with an error"),
        ("googlechat", 204, "", "answered 204"),
        (
            "teams",
            200,
            "Teams endpoint returned HTTP error 429: hush",
            "answered 200 with an error",
        ),
        ("teams", 204, "", "answered 204"),
        ("discord", 202, "", "answered 202"),
        ("discord", 429, '{"retry_after": 1}', "answered 429"),
        ("json", 304, "", "answered 304"),
    ],
)
async def test_what_is_no_success_of_this_service_is_not_delivered(
    hook: Hook, service: str, answer: int, said: str, problem: str
) -> None:
    hook.answer, hook.said = answer, said
    address = f"{service}+{hook.address()}"
    assert await refused(webhook(), address) == f"localhost: {problem}"


async def test_no_error_says_more_of_an_address_than_its_host(
    hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    hook.answer = 500
    addresses = [
        hook.address(path="/T0/hush?sig=hush"),
        f"discord+{hook.address(path='/hush')}",
        "https://localhost:1/hush",
        "https://localhost:99999/hush",
        "pager+https://localhost/hush",
        "https://[hush/hush",
    ]
    said = [await refused(webhook(), each) for each in addresses]
    ours = [each.getMessage() for each in caplog.records if each.name != "aiohttp.access"]
    assert all(each.startswith(("localhost: ", "an address")) for each in said)
    assert "hush" not in str(said + ours)


async def test_nobody_there_is_not_delivered() -> None:
    said = await refused(webhook(), "https://localhost:1/hook/secret")
    assert said == "localhost: ClientConnectorError"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - not bound to
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("::1", False),
        ("::", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:  # noqa: FBT001 - a table
    assert is_public(address) is public


# --- both -------------------------------------------------------------------------------------


async def test_each_recipient_is_reached_his_own_way(hook: Hook) -> None:
    async with mail_server() as inbox:
        post = Notices(mail(inbox), webhook())
        for recipient in (OPS, hook.address()):
            assert post.problem(recipient) is None
            await post.send(recipient, NOTICE)
        assert (len(inbox.mails), len(hook.posts)) == (1, 1)


async def test_an_error_nobody_expects_is_one_more_way_not_to_deliver(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.alerting.formats.encode", lambda _: 1 / 0)
    with pytest.raises(NotDelivered, match="our own error: ZeroDivisionError"):
        await Notices(None, webhook()).send(hook.address(), NOTICE)


async def test_without_a_mail_server_a_mail_address_cannot_be_reached(hook: Hook) -> None:
    post = Notices(None, webhook())
    assert post.problem(hook.address()) is None
    assert post.problem(OPS) == f"{OPS}: no mail server is set (SMS_SMTP__HOST)"
    with pytest.raises(NotDelivered):
        await post.send(OPS, NOTICE)
