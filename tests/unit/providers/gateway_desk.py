"""What the tests of gateways described by a preset share."""

from __future__ import annotations

from typing import Any

from worker.domain.messages.sms import Sms
from worker.providers.preset import Preset
from worker.settings.providers import ProviderSettings

TO = "+260977123456"
SECRET = "p&ss word%"


def account(preset: str, **changes: object) -> ProviderSettings:
    values = {
        "id": "legacy",
        "kind": "http",
        "preset": preset,
        "base_url": "http://gateway:8080/api/",
        "username": "user",
        "secret": SECRET,
        "sender_id": "ACME",
        "report_base_url": "https://hooks.example.org/",
        "report_token": "t0ken",
    }
    return ProviderSettings.model_validate(values | changes)


def sms(**changes: Any) -> Sms:
    values = {
        "message_id": "a/b 1",
        "epoch": 2,
        "to": TO,
        "text": "50% & more + é\r\n{x}",
        "sender_id": None,
        "valid_for_s": 130.9,
    }
    return Sms(**(values | changes))


def preset(**changes: object) -> Preset:
    values = {
        "name": "test",
        "send": {"method": "POST", "url": "{base_url}/send"},
        "rules": [{"status": [200], "regex": "^OK", "verdict": "accepted"}],
    }
    return Preset.model_validate(values | changes)
