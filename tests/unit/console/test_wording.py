"""Whatever the domain can name, people read in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from worker.console import wording
from worker.domain.alerts.alert_codes import SEVERITIES
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.signals import Signal
from worker.domain.migration.change_names import ChangeName
from worker.domain.migration.gate_names import GateName
from worker.domain.migration.gates import GateVerdict
from worker.domain.migration.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (wording.GATES, GateName),
        (wording.HOLDS, HoldReason),
        (wording.REMEDIES, HoldReason),
        (wording.PHASES, Phase),
        (wording.SIGNALS, map(str, Signal)),
        (wording.VERDICTS, GateVerdict),
        (wording.COMMANDS, ChangeName),
        (wording.SEVERITIES, SEVERITIES),
    ],
    ids=["gates", "holds", "remedies", "phases", "signals", "verdicts", "commands", "severities"],
)
def test_each_name_of_the_domain_has_words(table: Mapping[str, str], names: Iterable[str]) -> None:
    assert set(table) == {str(name) for name in names}
    assert all(table.values())


def test_a_provider_without_a_display_name_keeps_its_id() -> None:
    assert wording.provider("africastalking") == "Africa's Talking"
    assert wording.provider("legacy") == "Legacy"
    assert wording.provider("kannel-2") == "kannel-2"


def test_a_code_of_a_newer_worker_is_shown_as_it_came() -> None:
    assert wording.gate("moon phase") == "moon phase"
    assert wording.phase("Orbit") == "Orbit"
    assert wording.command("teleport") == "teleport"


def test_a_gate_about_legacy_names_it() -> None:
    assert wording.gate(GateName.SLOW_COMPARISON, "kannel-2") == "Slowness no worse than kannel-2"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("30 min at the present percentage", "30 min"),
        (">= 95 %", "≥ 95 %"),
        ("p95 <= 3 s", "≤ 3 s"),
        (">= 98 % delivered", "≥ 98 %"),
        ("at most 2 points (or half) more slow than legacy, 20 to 1", "20 to 1"),
        ("no detector above half its level", "below half"),
        ("4.85e+08 to 1", "over 1 million to 1"),
        ("3.12e+03 to 1", "3.12e+03 to 1"),
        ("something newer", "something newer"),
    ],
)
def test_what_a_gate_requires_is_said_shortly(text: str, short: str) -> None:
    assert wording.measure(text) == short


def test_the_end_of_a_lock_is_not_said_twice() -> None:
    assert wording.lock("until 2026-03-04 07:57:52 UTC: failed: bad") == "failed: bad"


def test_the_monitor_is_called_automation() -> None:
    assert wording.person("(monitor)") == "automation"
    assert wording.person("amina") == "amina"
