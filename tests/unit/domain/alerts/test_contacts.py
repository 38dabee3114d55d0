"""Who is told: addresses of mail and of the web, and nothing else."""

from __future__ import annotations

import pytest

from worker.domain.alerts.contacts import MOST, Service, shown, web
from worker.domain.migration.flags_document import FlagsError, parse


def read(*recipients: str) -> tuple[str, ...]:
    document = {"MigrationSettings": {"NotificationRecipients": list(recipients)}}
    return parse(document, "africastalking", "legacy")[0].migration.notify


@pytest.mark.parametrize(
    "recipient",
    [
        "ops@example.com",
        "o'hara+sms@mail.example",
        "root@localhost",
        "https://hooks.example/services/T0/B0/secret?x=1",
        "https://10.0.0.1:8443/x",
        "https://[2001:db8::1]/",
        "slack+https://chat.example/hooks/secret",
        "JSON+HTTPS://hooks.slack.com/services/T0/B0/secret",
    ],
)
def test_a_recipient_is_taken_as_it_is(recipient: str) -> None:
    assert read(recipient) == (recipient,)


@pytest.mark.parametrize(
    ("recipient", "got"),
    [
        ("", "got ''"),
        ("ops", "got 'ops'"),
        ("ops@", "got 'ops@'"),
        ("a@b\nBcc: c@d", r"got 'a@b\nBcc: c@d'"),
        ("Ops <ops@example.com>", "got 'Ops <ops@example.com>'"),
        ("http://hooks.example/secret", "got 'http' at hooks.example"),
        ("ftp://hooks.example/secret", "got 'ftp' at hooks.example"),
        ("https:///secret", "got 'https' at an address without a host"),
        ("https://me:secret@hooks.example/", "got 'https' at hooks.example"),
        ("https://hooks.example/sec ret", "got 'https' at hooks.example"),
        ("https://hooks.example/sec\u00e9ret", "got 'https' at hooks.example"),
        ("https://hooks.example:port/secret", "got 'https' at hooks.example"),
        ("https://[hooks/secret", "got 'https' at an address that cannot be read"),
        ("https:/hooks.example/secret", "got 'https:'"),
        ("https:\\\\hooks.example\\secret", "got 'https:'"),
        ("hooks.example/secret", "got 'hooks.example'"),
        ("hooks.example?secret=1", "got 'hooks.example'"),
        ("hooks.example/secret?next=https://x", "got 'hooks.example' at an address without a host"),
        ("me:secret@hooks.example", "got 'me'"),
        ("pager+https://hooks.example/secret", "got 'pager+https' at hooks.example"),
        ("slack+http://hooks.example/secret", "got 'slack+http' at hooks.example"),
        ("slack+slack+https://hooks.example/secret", "got 'slack+slack+https' at hooks.example"),
        ("+https://hooks.example/secret", "got '+https' at an address without a host"),
    ],
)
def test_what_is_no_recipient_is_named_by_its_place_and_without_its_path(
    recipient: str, got: str
) -> None:
    with pytest.raises(FlagsError) as caught:
        read("ops@example.com", recipient)
    (problem,) = caught.value.problems
    expected = "NotificationRecipients[1]: expected name@host, https://host/... or "
    expected += "SERVICE+https://host/..., "
    assert problem == expected + got
    assert "secret" not in problem


def test_each_is_told_once() -> None:
    assert read("a@b", "c@d", "a@b") == ("a@b", "c@d")


def test_there_are_not_too_many() -> None:
    with pytest.raises(FlagsError, match=f"at most {MOST} recipients, got {MOST + 1}"):
        read(*(f"ops{number}@example.com" for number in range(MOST + 1)))


def test_of_an_address_on_the_web_the_host_alone_is_shown() -> None:
    assert shown("https://hooks.example/secret") == "hooks.example"
    assert shown("ops@example.com") == "ops@example.com"
    assert shown("teams+https://hooks.example/secret") == "hooks.example"


@pytest.mark.parametrize(
    ("address", "service"),
    [
        ("https://hooks.slack.com/services/T0/B0/x", Service.SLACK),
        ("https://hooks.slack-gov.com/services/T0/B0/x", Service.SLACK),
        ("https://HOOKS.slack.com:443/services/T0/B0/x", Service.SLACK),
        ("https://hooks.slack.com./services/T0/B0/x", Service.SLACK),
        ("https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=t", Service.GOOGLE_CHAT),
        ("https://prod-1.westeurope.logic.azure.com:443/workflows/0f?sig=x", Service.TEAMS),
        ("https://default0f.aa.environment.api.powerplatform.com/p?sig=x", Service.TEAMS),
        ("https://corp.webhook.office.com/webhookb2/x", Service.TEAMS),
        ("https://discord.com/api/webhooks/1/x", Service.DISCORD),
        ("https://canary.discord.com/api/webhooks/1/x?wait=true", Service.DISCORD),
        ("https://discordapp.com/api/webhooks/1/x", Service.DISCORD),
        ("https://discord.com/api/webhooks/1/x/slack", Service.SLACK),
        ("https://hooks.slack.com.evil.example/x", Service.JSON),
        ("https://notdiscord.com/x", Service.JSON),
        ("https://hooks.example/hooks.slack.com", Service.JSON),
    ],
)
def test_the_host_says_which_format_it_takes(address: str, service: Service) -> None:
    assert web(address) == (service, address)


@pytest.mark.parametrize("service", Service)
def test_a_word_before_the_scheme_overrules_the_host(service: Service) -> None:
    address = "https://hooks.slack.com/services/a%2Fb?x=%7E"
    assert web(f"{service}+{address}") == (service, address)
