"""Prometheus alerts when it should, in the words and with the severity of the product."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.support.alert_rules import BY_CODE, FILE, alerts, rules, runbook_sections, section
from tests.support.programs import ran
from worker.domain.alerts.alert_codes import AlertCode, AlertKind
from worker.domain.figures.tally import OUTCOMES
from worker.telemetry.instrument import Kind
from worker.telemetry.instruments import ALERTS, REGISTRY

ROOT: Final = Path(__file__).parents[3]
CASES: Final = Path(__file__).with_name("rules_test.yml")
TROUBLES: Final = [code for code in AlertCode if code.kind is AlertKind.TROUBLE]
FLAGS: Final = json.loads((ROOT / "deploy/flags.json").read_text())["SmsFeatureFlags"]
MISSING: Final = "no promtool here: apt-get install --no-install-recommends prometheus"


def promtool(*arguments: str | Path) -> None:
    try:
        result = ran("promtool", *arguments)
    except FileNotFoundError:
        pytest.skip(MISSING)
    assert result.returncode == 0, result.stdout + result.stderr


def cases() -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = yaml.safe_load(CASES.read_text())["tests"]
    return [each for test in tests for each in test.get("alert_rule_test", ())]


def test_the_rules_and_the_configuration_can_be_loaded() -> None:
    promtool("check", "rules", FILE)
    promtool("check", "config", FILE.with_name("prometheus.yml"))


def test_each_rule_fires_when_it_should_and_not_else() -> None:
    promtool("test", "rules", CASES)


@pytest.mark.parametrize("name", alerts())
def test_each_rule_has_a_case_of_both_kinds(name: str) -> None:
    expected = [bool(each["exp_alerts"]) for each in cases() if each["alertname"] == name]
    assert set(expected) == {True, False}


def test_each_trouble_of_the_product_alerts_with_its_severity_and_section(tmp_path: Path) -> None:
    series, expected = [], []
    for code in TROUBLES:
        labels = {"sms_code": str(code), "sms_severity": code.severity, "sms_provider": "legacy"}
        shown = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        series.append({"series": f'{ALERTS.shown}{{instance="a", {shown}}}', "values": "1x4"})
        expected.append(
            {
                "exp_labels": labels | {"severity": code.severity},
                "exp_annotations": {
                    "summary": "A worker reports a trouble.",
                    "description": f"{code} at legacy; `sms-worker ctl alerts` says why.",
                    "runbook_url": f"RUNBOOK.md#{code}",
                },
            }
        )
    case = {"alertname": BY_CODE, "eval_time": "1m", "exp_alerts": expected}
    test = {"interval": "30s", "input_series": series, "alert_rule_test": [case]}
    file = tmp_path / "troubles_test.yml"
    file.write_text(json.dumps({"rule_files": [str(FILE)], "tests": [test]}))
    promtool("test", "rules", file)


@pytest.mark.parametrize(("name", "rule"), alerts().items())
def test_each_alert_says_how_urgent_it_is_and_where_to_read_on(
    name: str, rule: dict[str, Any]
) -> None:
    notes = rule["annotations"]
    assert rule["labels"]["severity"] in {"critical", "warning", "{{ $labels.sms_severity }}"}
    assert "{{" not in notes["summary"]
    assert notes["summary"].endswith(".")
    wanted = "{{ $labels.sms_code }}" if name == BY_CODE else section(name)
    assert notes["runbook_url"] == f"RUNBOOK.md#{wanted}"


def test_sections_of_the_runbook_have_one_name_each() -> None:
    named = runbook_sections()
    assert len(set(named)) == len(named)
    assert {"store", "sms-no-worker"} <= set(named)


def test_each_metric_of_ours_in_a_rule_is_one() -> None:
    buckets = {f"{each.shown}_bucket" for each in REGISTRY if each.kind is Kind.HISTOGRAM}
    known = {each.shown for each in REGISTRY} | buckets
    named = {
        word for rule in rules() for word in re.findall(r"\bsms_\w+(?=[{)\[ ]|$)", rule["expr"])
    }
    labels = {label.replace(".", "_") for each in REGISTRY for label in each.labels}
    assert named - labels <= known


def test_each_outcome_in_a_rule_is_one() -> None:
    text = " ".join(rule["expr"] for rule in rules())
    named = {
        outcome
        for given in re.findall(r'sms_outcome=~? ?"([^"]+)"', text)
        for outcome in given.split("|")
    }
    assert named
    assert named <= set(OUTCOMES)


def test_the_limits_are_those_of_the_flags() -> None:
    limits = FLAGS["RollbackThresholds"]
    assert f") > {limits['MaxErrorRate']:g} and" in alerts()["SmsProviderErrors"]["expr"]
    assert alerts()["SmsProviderSlow"]["expr"].endswith(f"> {limits['MaxResponseTimeMs'] / 1000:g}")
