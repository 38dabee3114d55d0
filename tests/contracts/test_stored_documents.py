"""Documents as every version stored them, and as a newer one may: all of them are read.

A kept document is added, never changed or removed. What is written today is compared with the kept
ones in tests/integration/test_stored_today.py.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bson import json_util

from tests.support.stored_samples import AT, evidence, inputs, state
from worker.domain.alerts.notices import Kind
from worker.domain.detection.automatic_rollback import HoldReason
from worker.domain.detection.evidence import METHOD
from worker.domain.detection.rerun import recorded, replay, restored
from worker.domain.messages.message import Delivery, Lane, OnUnknown, Result, State
from worker.domain.migration.flags import Flags, RollbackPolicy
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role
from worker.domain.migration.snapshot import Snapshot
from worker.ports.store import UnreadableDocument
from worker.store import control_log, documents, snapshots
from worker.store.alerts import stored_alert
from worker.store.evidence import checkpoint
from worker.store.replicas import live_replica
from worker.store.reports import stored_report

if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]

KEPT = Path(__file__).parent / "stored"
OPTIONS = json_util.JSONOptions(tz_aware=True)
AS_READ = {"age": 3.0, "now": AT}
"""What the stores' pipelines add."""
READERS: dict[str, Callable[[Document], Any]] = {
    "alerts": lambda found: stored_alert({**found, **AS_READ}),
    # Its evidence is read by a replay alone (below).
    "control_log": lambda found: replace(control_log.entry(found), evidence={}),
    "evidence": lambda found: checkpoint({**found, **AS_READ}),
    "messages": documents.record,
    "replicas": lambda found: live_replica({**found, **AS_READ}),
    "reports": stored_report,
}
BY_DATA = {"counted", "counts", "seen", "breakers", "faults", "command", "reply"}
"""Fields that hold a mapping by data: every name in them is data too."""
OF_SUMS = {"cohorts", "daily", "failed_recipients", "slots", "suppressions"}
"""Collections whose documents are summed or listed by the server (test_stored_today.py)."""


def kept(path: Path) -> list[Document]:
    found: list[Document] = json_util.loads(path.read_text(), json_options=OPTIONS)
    return found


FILES = sorted(KEPT.glob("*/*.json"))
DOCUMENTS = [
    pytest.param(path.stem, found, id=f"{path.parent.name}-{path.stem}-{found['_id']}")
    for path in FILES
    for found in kept(path)
    if path.stem in READERS
]


def widened(value: Any, name: str = "") -> Any:
    """The same with a field more, in each mapping at every depth."""
    if isinstance(value, list):
        return [widened(each) for each in value]
    if not isinstance(value, dict) or name in BY_DATA:
        return value
    wider = {key: widened(each, key) for key, each in value.items()}
    return {**wider, "addedLater": {"deep": [1]}}


def first(name: str, version: str = "1") -> Document:
    return kept(KEPT / version / f"{name}.json")[0]


def changed(document: Document, path: str, value: Any) -> Document:
    """A copy with one value set, by its path with dots."""
    copied = copy.deepcopy(document)
    *parents, last = path.split(".")
    place = copied
    for parent in parents:
        place = place[parent]
    place[last] = value
    return copied


def test_every_kind_is_kept() -> None:
    assert {path.stem for path in FILES} == READERS.keys() | OF_SUMS


@pytest.mark.parametrize(("kind", "document"), DOCUMENTS)
def test_a_kept_document_is_read(kind: str, document: Document) -> None:
    assert READERS[kind](document) is not None


@pytest.mark.parametrize(("kind", "document"), DOCUMENTS)
def test_fields_that_a_newer_version_adds_at_every_depth_are_dropped(
    kind: str, document: Document
) -> None:
    assert READERS[kind](widened(document)) == READERS[kind](document)


# --- the state ---------------------------------------------------------------------------------


def test_a_kept_state_still_means_the_same() -> None:
    assert snapshots.snapshot(first("control_log")["after"]) == state()


def test_a_kept_decision_is_made_again_as_it_was() -> None:
    stored = widened(first("control_log", "4")["evidence"])
    assert replay(stored, state())[1] == restored(stored["after"]) == evidence(2)


def test_a_kept_decision_of_an_older_method_is_refused_and_its_evidence_can_be_read() -> None:
    stored = first("control_log")["evidence"]
    with pytest.raises(ValueError, match=f"recorded by method 2, this is {METHOD}"):
        replay(stored, state())
    assert restored(stored["after"]).counted


def test_a_topic_that_a_newer_version_holds_for_is_dropped() -> None:
    stored = recorded(inputs(), evidence(2))
    newer = {**stored, "held": ["unheard-of", *stored["held"]]}
    assert replay(newer, state()) == replay(stored, state())


OPTIONAL = (
    *("lock", "proposal", "breakerResets", "lastPercentages", "backups", "startedAt", "since"),
    *("initiatedBy", "previousPhase", "notes", "proven", "automaticDowns", "held"),
    "legacyRetired",
)
DEFAULT = Snapshot(1, "l", Phase.NOT_STARTED, 0, Flags())


def test_what_an_older_version_did_not_write_has_its_default() -> None:
    least = snapshots.of_snapshot(DEFAULT)
    for name in OPTIONAL:
        del least[name]
    for name in ("automaticRollback", "rollbackPolicy", "thresholds", "migration", "phases"):
        del least["flags"][name]
    assert snapshots.snapshot(least) == DEFAULT


@pytest.mark.parametrize("name", ["thresholds", "migration"])
def test_a_setting_an_older_version_did_not_write_has_its_default(name: str) -> None:
    for field in snapshots.of_snapshot(DEFAULT)["flags"][name]:
        least = snapshots.of_snapshot(DEFAULT)
        del least["flags"][name][field]
        assert snapshots.snapshot(least) == DEFAULT


@pytest.mark.parametrize(
    ("path", "value", "meant"),
    [
        ("flags.rollbackPolicy", "Oracle", {"rollback_policy": RollbackPolicy.EVIDENCE}),
        ("flags.phases.Canary", {"entry": 1}, {"phases": DEFAULT_RULES}),
    ],
)
def test_a_setting_in_words_of_a_newer_version_keeps_to_the_default(
    path: str, value: Any, meant: Document
) -> None:
    found = snapshots.snapshot(changed(first("control_log")["after"], path, value))
    assert {name: getattr(found.flags, name) for name in meant} == meant


@pytest.mark.parametrize(
    ("path", "value", "name", "meant"),
    [
        ("previousPhase", "Canary", "previous_phase", None),
        ("proposal.phase", "Canary", "proposal", None),
        ("breakerResets.third", 4, "breaker_resets", state().breaker_resets),
        ("lastPercentages.Canary", 4, "last_percentages", state().last_percentages),
    ],
)
def test_a_word_of_a_newer_version_that_decides_nothing_is_dropped(
    path: str, value: Any, name: str, meant: Any
) -> None:
    found = snapshots.snapshot(changed(first("control_log")["after"], path, value))
    assert getattr(found, name) == meant


def test_a_provider_of_a_newer_version_gets_no_probes_from_this_one() -> None:
    path = "flags.migration.validation.providers"
    newer = changed(first("control_log")["after"], path, ["third", "legacy"])
    found = snapshots.snapshot(newer)
    assert found.flags.migration.validation.providers == (Role.LEGACY,)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("phase", "Canary"),
        ("phase", None),
        ("userOverrides", [["u-1", "third"]]),
        ("branchOverrides", [[7, "third"]]),
        ("userOverrides", [["u-1", "target", "until Friday"]]),
        ("flags", None),
        ("flags.thresholds", 5),
    ],
)
def test_a_state_that_decides_by_what_is_unknown_is_not_understood(path: str, value: Any) -> None:
    with pytest.raises(
        UnreadableDocument, match="version 7 of the state was written by a newer worker"
    ):
        snapshots.snapshot(changed(first("control_log")["after"], path, value))


# --- records, reports, and what replicas share ---------------------------------------------------


def message(ident: str) -> Document:
    found = kept(KEPT / "1" / "messages.json")
    return next(each for each in found if each["_id"] == ident)


def test_kept_records_still_mean_the_same() -> None:
    found = {each["_id"]: documents.record(each) for each in kept(KEPT / "1" / "messages.json")}
    assert {ident: record.state for ident, record in found.items()} == {
        "m-accepted": State.ACCEPTED,
        "m-rejected": State.REJECTED,
        "m-submitting": State.SUBMITTING,
        "m-unknown": State.UNKNOWN,
        "m-waiting": State.WAITING,
    }
    accepted = found["m-accepted"]
    assert [each.result for each in accepted.attempts] == [Result.UNKNOWN, Result.ACCEPTED]
    assert accepted.attempts[1].delivery is Delivery.DELIVERED
    assert [event.name for event in accepted.events] == ["sms.sent", "sms.delivered"]
    assert (found["m-waiting"].round, found["m-waiting"].failed_rounds) == (1, 1)


def test_a_record_in_a_state_of_a_newer_version_is_in_other_hands() -> None:
    found = documents.record(changed(message("m-accepted"), "state", "frozen"))
    assert (found.state, found.lease_alive) == (State.SUBMITTING, True)


@pytest.mark.parametrize(
    ("path", "name", "meant"),
    [
        ("lane", "lane", Lane.BULK),
        ("onUnknown", "on_unknown", OnUnknown.HOLD),
        ("probe", "probe", None),
    ],
)
def test_a_word_of_a_newer_version_in_a_record_sends_nothing(
    path: str, name: str, meant: object
) -> None:
    found = documents.record(changed(message("m-accepted"), path, "unheard-of"))
    assert getattr(found, name) is meant


def test_an_outcome_of_a_newer_version_leaves_the_attempt_in_doubt() -> None:
    found = documents.record(changed(message("m-accepted"), "attempts.2.result", "half"))
    assert found.attempts[1].in_doubt


def test_a_delivery_of_a_newer_version_is_one_that_was_told() -> None:
    found = documents.record(changed(message("m-accepted"), "attempts.2.delivery.state", "read"))
    assert found.attempts[1].delivery is Delivery.SUBMITTED


def test_an_alert_in_words_of_a_newer_version_is_shown_and_counts_as_told() -> None:
    stored = changed(first("alerts"), "told.kind", "sung")
    found = stored_alert({**stored, "severity": "notice", **AS_READ})
    assert found.told is not None
    assert (found.told.kind, found.severity) == (Kind.REPEAT, "warning")


def test_a_hold_for_a_topic_of_a_newer_version_is_not_ours() -> None:
    stored = changed(first("evidence", "4"), "topic", "unheard-of")
    stored["holds"]["unheard-of"] = AT
    found = checkpoint({**stored, **AS_READ})
    assert (found.hold_reason, found.holds) == (None, {HoldReason.ACCOUNT: AT})


# --- the server's clock was ahead ------------------------------------------------------------


def test_a_tick_of_the_future_is_as_old_as_it_is_far_away() -> None:
    assert checkpoint({**first("evidence"), "age": -3_600.0, "now": AT}).age_s == 3_600.0


@pytest.mark.parametrize(
    ("seconds", "sees"), [(0, True), (19, True), (-19, True), (21, False), (-21, False)]
)
def test_a_replica_sees_an_alert_that_it_confirmed_near_to_now(seconds: int, sees: bool) -> None:  # noqa: FBT001 - a row of the table
    stored = {**first("alerts"), "seen": {"ours": AT - timedelta(seconds=seconds)}}
    assert bool(stored_alert({**stored, **AS_READ}).seen_by) is sees
