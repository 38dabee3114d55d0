"""The alerts that people get, and the section of the runbook that each of them names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from worker.domain.alerts.alert_codes import AlertCode
from worker.settings import yaml_files

FILE: Final = Path(__file__).parents[2] / "deploy/prometheus/rules.yml"
BY_CODE: Final = "SmsTrouble"
"""The rule for what workers find out; its section is the code of the trouble."""


def rules() -> list[dict[str, Any]]:
    """Every rule of Prometheus, recorded ones included."""
    return [rule for group in _document()["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The rules that alert, by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def section(alert: str) -> str:
    """The anchor of an alert's section: its name in lower case with dashes."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", alert).lower()


def runbook_sections() -> list[str]:
    """Anchors of the sections that the runbook must have: one for each rule and each code."""
    return [*(section(name) for name in alerts() if name != BY_CODE), *map(str, AlertCode)]


def _document() -> dict[str, Any]:
    read = yaml_files.read(FILE.read_text(encoding="utf-8"))
    assert isinstance(read, dict)
    return read
