"""Who is told: addresses of mail and of the web, and nothing else."""

from __future__ import annotations

import pytest

from worker.domain.flags import FlagsError, parse
from worker.domain.recipients import MOST, shown


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
    ],
)
def test_what_is_no_recipient_is_named_by_its_place_and_without_its_path(
    recipient: str, got: str
) -> None:
    with pytest.raises(FlagsError) as caught:
        read("ops@example.com", recipient)
    (problem,) = caught.value.problems
    expected = "NotificationRecipients[1]: expected name@host or https://host/..., "
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
