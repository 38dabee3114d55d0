"""Addresses and secrets of the Africa's Talking adapter."""

from __future__ import annotations

import logging

import pytest

from worker.domain.messages.sms import Sms
from worker.providers.africastalking import LIVE, SANDBOX, AfricasTalking
from worker.settings.providers import ProviderSettings

SECRET = "atsk_do_not_show"


def adapter(**changes: object) -> AfricasTalking:
    values = {
        "id": "target",
        "kind": "africastalking",
        "base_url": "",
        "username": "sandbox",
        "secret": SECRET,
    }
    return AfricasTalking(ProviderSettings.model_validate(values | changes))


@pytest.mark.parametrize(
    ("username", "base_url", "expected"),
    [
        ("sandbox", "", SANDBOX),
        ("acme", "", LIVE),
        ("Sandbox", "", LIVE),
        ("acme", "http://127.0.0.1:1", "http://127.0.0.1:1/version1"),
        ("acme", "http://127.0.0.1:1/version1/", "http://127.0.0.1:1/version1"),
    ],
)
async def test_the_address_follows_user_name_and_settings(
    username: str, base_url: str, expected: str
) -> None:
    provider = adapter(username=username, base_url=base_url)
    assert provider._base == expected
    await provider.close()


async def test_no_representation_shows_the_key() -> None:
    provider = adapter()
    request = provider._send_request(Sms("m", 1, "+260977123456", "text", None, 1.0))
    shown = f"{provider!r} {vars(provider)!r} {request!r} {vars(provider._client)!r}"
    assert SECRET not in shown
    await provider.close()


async def test_no_log_shows_an_address(caplog: pytest.LogCaptureFixture) -> None:
    """httpx would log every address: a gateway's may hold password and text."""
    caplog.set_level(logging.INFO)
    provider = adapter(base_url="http://127.0.0.1:9")
    await provider.send(Sms("m", 1, "+260977123456", "text", None, 1.0))
    await provider.close()
    assert "127.0.0.1" not in caplog.text


async def test_a_message_s_sender_id_goes_before_the_configured_one() -> None:
    provider = adapter(sender_id="LENDER")
    own = provider._send_request(Sms("m", 1, "+260977123456", "text", "OTHER", 1.0))
    ours = provider._send_request(Sms("m", 1, "+260977123456", "text", None, 1.0))
    assert (b"from=OTHER" in own.content, b"from=LENDER" in ours.content) == (True, True)
    await provider.close()


@pytest.mark.parametrize("kind", ["", "inbox"])
async def test_callbacks_of_other_kinds_are_refused(kind: str) -> None:
    provider = adapter()
    with pytest.raises(ValueError, match="kind"):
        provider.read_report(kind, {"id": "1"})
    await provider.close()
