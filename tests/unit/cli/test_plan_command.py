"""`sms-worker plan`: what it takes, prints, writes and asks the worker for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from contracts.control import ControlReply, Health, Status
from contracts.health import HealthMetric
from worker.cli import app
from worker.cli.planner import history as plan_history
from worker.domain.detection import planning
from worker.domain.detection.phase_ladder import ladder_of
from worker.domain.migration import flags_document
from worker.domain.migration.flags import Flags, MigrationSettings
from worker.domain.migration.flags_document import parse
from worker.domain.migration.phases import Role
from worker.settings import flags_file

if TYPE_CHECKING:
    from pathlib import Path

A_DAY = "5000"
WELL = ("--failure-rate", "0.3")
"""No phase refuses it."""


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "RUNS", 11)


def planned(*options: str) -> tuple[int, list[str]]:
    said = CliRunner().invoke(app, ["plan", "--per-day", A_DAY, *options])
    return said.exit_code, said.output.splitlines()


def data(*options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("".join(planned("--json", *options)[1]))
    return found


def test_the_ladder_recommended_stands_beside_the_default_one() -> None:
    code, lines = planned(*WELL)
    assert code == 0, lines
    text = "\n".join(lines)
    assert text.index("recommended: ") < text.index(
        "default: 1, 5, 10, 25, 50, 75, 90, 95, 98, 100 %"
    )
    assert "within 14 days in 9 of 10 cases: yes" in lines
    assert sum(line.split()[:2] == ["in", "all"] for line in lines) == 2
    assert lines.count("recommended: no flag refuses it at these rates") == 1


def test_a_step_has_messages_and_days_for_half_and_nine_of_ten_and_what_lasts_longest() -> None:
    _, lines = planned("--ladder", "25,100", "--undelivered-rate", "0.2", *WELL)
    step = next(line.split() for line in lines if line.split()[:2] == ["25", "%"])
    messages, more, days, longer = (float(each.replace(",", "")) for each in step[2:6])
    assert 100 < messages < more
    assert 0.0 < days < longer
    assert step[6] in {"failed", "slow", "undelivered"}


def test_what_refuses_it_is_named_by_its_flag_with_exit_code_one() -> None:
    code, lines = planned("--failure-rate", "2")
    assert code == 1
    at = lines.index("  Phases.LegacyDeprecation.Requirements.MaxErrorRate")
    assert lines[at + 1].endswith(": errors <= 1 %; here 2.00 %")


def test_a_step_that_cannot_be_proved_says_of_what() -> None:
    code, lines = planned("--ladder", "98,100", "--undelivered-rate", "0.5", *WELL)
    assert code == 1
    assert "    100 %  cannot be proved: undelivered" in lines
    assert "    from 100 %: below 0.5 % undelivered, proved 20 to 1; here 0.50 %" in lines


def test_where_nothing_can_be_proved_that_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    code, lines = planned("--failure-rate", "6", "--write", str(tmp_path / "f.json"))
    assert code == 1
    assert not list(tmp_path.iterdir())
    assert "no ladder can be recommended: these flags refuse every one" in lines


def test_a_time_that_is_too_short_is_refused_and_the_fastest_ladder_shown() -> None:
    code, lines = planned("--within", "12h", *WELL)
    assert code == 1
    assert "within 0.5 days in 9 of 10 cases: no; this is the fastest there is" in lines


def test_without_a_time_a_ladder_is_recommended_at_every_volume() -> None:
    found = data("--per-day", "400", *WELL)
    assert found["inTime"]
    assert found["withinDays"] > 14


@pytest.mark.parametrize(("per_day", "said"), [("200", True), ("5000", False)])
def test_of_few_messages_it_is_said_that_overrides_and_probes_come_first(
    per_day: str, *, said: bool
) -> None:
    text = "\n".join(planned("--per-day", per_day, "--ladder", "50,100")[1])
    assert ("user and branch overrides" in text) is said
    assert ("ValidationTraffic" in text) is said


def test_where_no_reports_come_delivery_is_not_asked_for() -> None:
    options = ("--ladder", "50,100", "--undelivered-rate", "50", "--no-reports", *WELL)
    code, lines = planned(*options)
    assert code == 0, lines
    assert "(no delivery reports: a customer must complain within 24 h)" in lines


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--failure-rate", "50", "--slow-rate", "50", "--undelivered-rate", "50"),
        ("--per-day", "10", "--undelivered-rate", "4"),
        ("--per-day", "1000000", "--no-reports"),
    ],
)
def test_its_lines_fit_eighty_columns(options: tuple[str, ...]) -> None:
    lines = planned(*options)[1]
    assert [line for line in lines if len(line) > 80] == []


def test_as_data_it_says_all_that_people_are_told() -> None:
    found = data("--within", "14d", *WELL)
    recommended, usual = found["ladders"]
    assert (found["withinDays"], found["inTime"], found["possible"]) == (14.0, True, True)
    assert (recommended["name"], usual["name"]) == ("recommended", "default")
    assert [step["share"] for step in recommended["steps"]] == recommended["shares"]
    assert set(recommended["steps"][0]["days"]) == {"median", "nineOfTen"}
    assert recommended["days"]["median"] < recommended["days"]["nineOfTen"] <= 14.0
    assert set(recommended["customersHit"]["fromTheStart"]) == {"1", "0.5", "0.1"}
    assert recommended["refusedBy"] == []
    assert found["allAtOnce"]["1"] > recommended["customersHit"]["withTheLoad"]["1"]


def test_as_data_a_refusal_names_share_flag_bound_and_rate() -> None:
    found = data("--failure-rate", "0.8", "--ladder", "50,98,100")
    assert not found["possible"]
    assert found["ladders"][0]["refusedBy"] == [
        {
            "share": 98,
            "flag": "Phases.CompleteMigration.Requirements.MaxErrorRate",
            "required": "errors <= 0.5 %",
            "measured": "0.80 %",
        }
    ]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        *((("--ladder", ladder), "--ladder") for ladder in ("", "0", "101", "a,b", "5,5", "50,25")),
        *((("--within", time), "--within") for time in ("", "14", "0d", "-1d", "d", "1y")),
        (("--bound", "20"), "MaxErrorRate"),
        *(((name, "nan"), name) for name in ("--per-day", "--failure-rate", "--slow-rate")),
        (("--per-day", "inf"), "--per-day"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(options: tuple[str, ...], named: str) -> None:
    said = CliRunner().invoke(app, ["plan", "--per-day", A_DAY, *options])
    assert said.exit_code == 2
    assert named in said.output


def test_without_a_volume_it_says_how_to_give_one() -> None:
    said = CliRunner().invoke(app, ["plan"])
    assert said.exit_code == 2
    assert "--per-day: expected messages a day of both providers, or --from-history" in said.output


# --- flags -----------------------------------------------------------------------------------


def written(path: Path) -> dict[str, Any]:
    return flags_file.read(path.read_bytes())


def test_flags_are_written_that_lead_through_the_ladder(tmp_path: Path) -> None:
    code, lines = planned("--ladder", "10,50,100", "--write", str(tmp_path / "f.json"), *WELL)
    assert code == 0, lines
    flags, _ = parse(written(tmp_path / "f.json"), "target", "legacy")
    assert ladder_of(flags.phases) == (10, 50, 100)
    assert "begin with `sms-worker ctl`: advance --at 0, then advance --at 10" in lines


def test_what_the_given_flags_say_besides_is_kept(tmp_path: Path) -> None:
    given = {
        "SmsFeatureFlags": {"UserOverrides": {"u-7": "target"}},
        "MigrationSettings": {"MinimumPhaseTimeMinutes": 4_320},
        "Phases": {"LegacyDeprecation": {"Requirements": {"MaxErrorRate": 1.5}}},
    }
    (tmp_path / "in.json").write_text(json.dumps(given))
    found = data(
        "--flags", str(tmp_path / "in.json"), "--write", str(tmp_path / "out.json"), "--bound", "4"
    )
    assert found["ladders"][0]["steps"][1]["waitsFor"] == "minimum time"
    out = written(tmp_path / "out.json")
    assert out["SmsFeatureFlags"] == {
        "UserOverrides": {"u-7": "target"}, "RollbackThresholds": {"MaxErrorRate": 4.0},
    }  # fmt: skip
    assert out["MigrationSettings"] == given["MigrationSettings"]
    assert out["Phases"]["LegacyDeprecation"]["Requirements"] == {"MaxErrorRate": 1.5}


def test_flags_whose_ranges_have_no_place_for_the_ladder_are_not_written(tmp_path: Path) -> None:
    narrow = {"Phases": {"CompleteMigration": {"Low": 100}, "LegacyDeprecation": {"High": 90}}}
    narrow["Phases"]["LegacyDeprecation"] |= {"Steps": [75, 90]}
    (tmp_path / "in.json").write_text(json.dumps(narrow))
    code, lines = planned(
        "--flags", str(tmp_path / "in.json"), "--write", str(tmp_path / "out.json"),
        "--ladder", "5,50,95,100",
    )  # fmt: skip
    assert code == 2, lines
    assert not (tmp_path / "out.json").exists()


def test_flags_that_are_none_are_refused_with_their_problems(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"Phases": {"GradualMigration": {"Entry": 90}}}')
    code, lines = planned("--flags", str(tmp_path / "in.json"))
    assert code == 2
    assert "GradualMigration.Entry: expected 0 to 75" in lines[0]


# --- history ---------------------------------------------------------------------------------


def rate(count: int, sample: int) -> dict[str, Any]:
    return {"count": count, "sample": sample}


def provider(role: str, accepted: int, failed: int, **more: Any) -> dict[str, Any]:
    empty = {"refused": 0, "wrongRecipient": 0, "segments": 0, "errorsByClass": {}}
    return empty | {
        "role": role, "attempts": accepted + failed, "accepted": accepted,
        "successRate": rate(accepted, accepted + failed),
        "errorRate": rate(failed, accepted + failed), "fallbackRate": rate(0, accepted),
        "p95Ms": 700.0, "p99Ms": 900.0, "validation": {"successRate": rate(0, 0)},
        "deliveryRate": rate(accepted - accepted // 100, accepted), **more,
    }  # fmt: skip


IN_FORCE = Flags(
    user_overrides={"u-7": Role.TARGET}, migration=MigrationSettings(metrics_retention_days=5)
)


class Worker:
    """Answers queries; 4,000 messages a day for so many days back, and one before each answer."""

    def __init__(self, days: int, **legacy: Any) -> None:
        self.days, self.legacy, self.asked = days, legacy, list[float]()

    def query(self, _given: object, kind: type, **fields: Any) -> ControlReply:
        known = {"command_id": "q", "name": "q", "verdict": "accepted", "code": "ok", "text": ""}
        at = datetime(2026, 1, 8, tzinfo=UTC)
        if kind is Status:
            flags = flags_document.document(IN_FORCE, 0)
            state = {
                "version": 1, "phase": "NotStarted", "percentage": 0,
                "is_rollback_available": False, "flags": flags,
            }  # fmt: skip
            return ControlReply(**known, at=at, state=state)
        assert kind is Health
        self.asked.append(fields["hours"])
        days, came = min(fields["hours"] / 24, self.days), len(self.asked) if self.days else 0
        providers = {
            "at": provider("target", 0, 0, p95Ms=None, p99Ms=None, deliveryRate=rate(0, 0)),
            "old": provider("legacy", int(4_000 * days) + came, int(40 * days)) | self.legacy,
        }
        report = HealthMetric.model_validate(
            {
                "at": at, "since": at - timedelta(hours=fields["hours"]), "until": at,
                "hours": fields["hours"], "providers": providers,
            }
        )  # fmt: skip
        return ControlReply(**known, at=at, data=report.model_dump(mode="json", by_alias=True))


def from_history(
    monkeypatch: pytest.MonkeyPatch, worker: Worker, *options: str
) -> tuple[int, dict[str, Any] | str]:
    monkeypatch.setattr(plan_history, "query", worker.query)
    monkeypatch.setattr("worker.cli.ctl.ask.query", worker.query)
    arguments = ["plan", "--from-history", "--json", "--ladder", "50,100", *options]
    said = CliRunner().invoke(app, arguments)
    return said.exit_code, json.loads(said.stdout) if said.stdout else said.stderr


def test_volume_and_rates_are_those_of_the_days_with_traffic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker(3)
    code, found = from_history(monkeypatch, worker)
    assert isinstance(found, dict)
    assert max(worker.asked) == 120.0, "no further than metrics are kept"
    assert (found["perDay"], found["historyDays"]) == (pytest.approx(4_000, abs=2), 3)
    rates = {"failed": 0.99, "slow": 1.0, "undelivered": 1.0}
    assert found["rates"] == pytest.approx(rates, abs=0.01)
    assert code == 1, "LegacyDeprecation forbids 1 % undelivered, as with given rates"


@pytest.mark.parametrize(
    ("slowest", "slow"),
    [({"p99Ms": 6_000.0}, 3.0), ({"p95Ms": 6_000.0, "p99Ms": None}, 10.0)],
)
def test_how_many_are_slow_is_told_by_the_percentiles(
    monkeypatch: pytest.MonkeyPatch, slowest: dict[str, Any], slow: float
) -> None:
    _, found = from_history(monkeypatch, Worker(3, **slowest))
    assert isinstance(found, dict)
    assert found["rates"]["slow"] == slow


def test_what_is_given_stands_before_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("--per-day", "9000", "--failure-rate", "0.1")
    _, found = from_history(monkeypatch, Worker(3), *given)
    assert isinstance(found, dict)
    assert (found["perDay"], found["rates"]["failed"]) == (9_000.0, 0.1)


def test_a_provider_without_a_delivery_rate_gives_no_reports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, found = from_history(monkeypatch, Worker(3, deliveryRate=None))
    assert isinstance(found, dict)
    assert found["reports"] == {"target": True, "legacy": False}
    assert found["rates"]["undelivered"] == 0.2, "not measured: the usual one"


def test_without_traffic_a_volume_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    code, found = from_history(monkeypatch, Worker(0))
    assert code == 1
    assert found == "--from-history: no message was accepted in 5 days; give --per-day\n"
