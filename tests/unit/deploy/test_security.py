"""The tests that the threat model names exist, and data are kept as long as it says."""

from __future__ import annotations

import json
import re

import pytest

from contracts.names import Queue
from tests.support import documentation as docs
from worker.domain.migration.flags import MigrationSettings
from worker.settings.model import Settings
from worker.store import alerts, cohorts, failures, indexes

SECURITY = "deploy/SECURITY.md"
DAY_S = 86_400
UNIT_S = {"minutes": 60, "hour": 3_600, "days": DAY_S}
FILES = {path.stem for path in (docs.ROOT / "tests" / "contracts" / "stored").glob("*/*.json")}


def rows(title: str) -> list[list[str]]:
    """The cells of a chapter's table, without its head."""
    lines = [line for line in docs.chapter(SECURITY, title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def default_s(name: str) -> float:
    return float(Settings.model_fields[name].default)


def policy_ttl_s(pattern: str) -> float:
    text = (docs.ROOT / "deploy" / "rabbitmq" / "definitions.json").read_text(encoding="utf-8")
    (policy,) = [
        each for each in json.loads(text)["policies"] if re.search(each["pattern"], pattern)
    ]
    return float(policy["definition"]["message-ttl"]) / 1_000


RETENTION_S = MigrationSettings().metrics_retention_days * DAY_S
KEPT_S = {
    "messages": default_s("keep_records_s"),
    "reports": default_s("keep_records_s"),
    "failed_recipients": failures.KEPT_S,
    "alerts": alerts._KEPT.total_seconds(),
    "slots": RETENTION_S,
    "daily": RETENTION_S,
    "cohorts": cohorts.KEPT_S,
    "replicas": indexes._FORGOTTEN_S,
    "suppressions": None,
    "control_log": None,
    "evidence": None,
    Queue.DEAD.value: policy_ttl_s(Queue.DEAD),
    Queue.UNROUTED_EVENTS.value: policy_ttl_s(Queue.UNROUTED_EVENTS),
}
"""How long by collection or queue; None: without end."""


@pytest.mark.parametrize("row", rows("Threat model"), ids=lambda row: row[0])
def test_each_test_that_is_named_exists(row: list[str]) -> None:
    named = re.findall(r"`([\w/]+\.py)`: ((?:`test_\w+`(?:, )?)+)", row[3])
    assert named
    for file, tests in named:
        text = (docs.ROOT / "tests" / file).read_text(encoding="utf-8")
        for test in re.findall(r"test_\w+", tests):
            assert f"def {test}(" in text, f"{file}: {test}"


def test_no_row_leaves_a_test_unread() -> None:
    """What the test above reads is all there is."""
    for row in rows("Threat model"):
        rest = re.sub(r"`[\w/]+\.py`: (?:`test_\w+`(?:, )?)+(?:; )?", "", row[3])
        assert rest == ""


@pytest.mark.parametrize("row", rows("Data kept"), ids=lambda row: row[1])
def test_data_are_kept_as_long_as_it_says(row: list[str]) -> None:
    kept_s = KEPT_S[row[1].strip("`")]
    if kept_s is None:
        assert row[3] == "without end"
        return
    number, unit = row[3].split()[:2]
    assert int(number) * UNIT_S[unit] == kept_s


def test_a_record_stays_longer_while_a_report_is_waited_for() -> None:
    (record,) = [row for row in rows("Data kept") if row[1] == "`messages`"]
    days = default_s("report_deadline_s") / DAY_S
    assert f"{days:g} days longer where a delivery report is waited for" in record[3]


def test_whatever_is_stored_is_named() -> None:
    shown = {row[1].strip("`") for row in rows("Data kept")}
    assert shown == FILES | {Queue.DEAD.value, Queue.UNROUTED_EVENTS.value} == set(KEPT_S)
