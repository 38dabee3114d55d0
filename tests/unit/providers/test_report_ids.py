"""Our own message id goes to a gateway and comes back in its report as the same id."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.commands import SendSms
from worker.domain.messages.sms import Sms
from worker.providers.gateway_answers import read_delivery
from worker.providers.gateway_request import send_request
from worker.providers.preset import Reports, load
from worker.settings.providers import ProviderSettings
from worker.web import fields

TO = "+260977123456"
PRESETS = {name: load(name) for name in ("kannel", "json-basic")}
IDS = st.from_regex(r"[!-~]([ -~]{0,126}[!-~])?", fullmatch=True)


def account(preset: str) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {
            "id": "legacy",
            "kind": "http",
            "preset": preset,
            "base_url": "http://gateway.test",
            "report_base_url": "https://hooks.test",
            "report_token": "t0ken",
        }
    )


def sms(message_id: str) -> Sms:
    command = SendSms(message_id=message_id, to=TO, text="x")
    return Sms(command.message_id, 3, TO, command.text, None, 60.0)


def reports(preset: str) -> Reports:
    found = PRESETS[preset].reports
    assert found is not None
    return found


@settings(deadline=None)
@given(IDS)
@example("a+b c%41&epoch=9#?/=").via("what addresses treat in their own way")
@example("100%d %F %% %2B").via("escapes of Kannel")
@example("MiXeD-case").via("case")
def test_kannel_gives_an_id_back_as_it_was(message_id: str) -> None:
    """It fetches the address it was told, with its own escapes expanded."""
    asked = urlsplit(send_request(account("kannel"), PRESETS["kannel"], sms(message_id)).url)
    told = parse_qs(asked.query)["dlr-url"][0]
    parts = [part.replace("%d", "1").replace("%F", "") for part in told.split("%%")]
    fetched = urlsplit("%".join(parts))
    (taken,) = fields.read(fetched.query.encode(), "", b"")
    read = read_delivery("legacy", reports("kannel"), taken)
    assert (read.message_id, read.epoch) == (message_id, 3)


@settings(deadline=None)
@given(IDS)
@example("a+b c%41&epoch=9#?/").via("what addresses treat in their own way")
def test_a_json_gateway_gives_an_id_back_as_it_was(message_id: str) -> None:
    prepared = send_request(account("json-basic"), PRESETS["json-basic"], sms(message_id))
    sent = json.loads(prepared.content or b"")
    body = json.dumps({"reference": sent["reference"], "status": "DELIVERED"}).encode()
    query = urlsplit(sent["reportUrl"]).query.encode()
    (taken,) = fields.read(query, "application/json", body)
    read = read_delivery("legacy", reports("json-basic"), taken)
    assert (read.message_id, read.epoch) == (message_id, 3)


@pytest.mark.parametrize("came", [" m-1", "m-1 ", "m-1\t", "\u00a0m-1"])
def test_an_id_of_a_report_is_not_stripped_into_that_of_another_message(came: str) -> None:
    read = read_delivery("legacy", reports("kannel"), {"id": came, "epoch": "1", "type": "1"})
    assert read.message_id == came


@pytest.mark.parametrize("came", ["", " ", "\t "])
def test_an_id_of_blanks_alone_is_none(came: str) -> None:
    found = {"reference": came, "id": "LG-1", "status": "DELIVERED"}
    assert read_delivery("legacy", reports("json-basic"), found).message_id is None
