"""The flags file: read whole, or refused with every problem by name."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from worker.domain.migration import flags_document
from worker.domain.migration.flags import Flags, WorseByAtMost
from worker.domain.migration.flags_document import FlagsError, parse
from worker.domain.migration.overrides import MAX_OVERRIDES
from worker.domain.migration.phases import DEFAULT_RULES, Phase, Role, Rules
from worker.domain.migration.provider_names import role_named
from worker.domain.probes.settings import ValidationTraffic

SHIPPED = json.loads(Path("deploy/flags.json").read_text(encoding="utf-8"))


def flags(document: dict[str, Any]) -> tuple[Flags, int]:
    return parse(document, "africastalking", "legacy")


def changed(section: str, **fields: Any) -> dict[str, Any]:
    document = deepcopy(SHIPPED)
    document[section] |= fields
    return document


def problems(document: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(FlagsError) as caught:
        flags(document)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


def test_the_shipped_file_means_the_defaults() -> None:
    assert flags(SHIPPED) == (Flags(), 0)


def test_an_empty_document_means_the_defaults() -> None:
    assert flags({}) == (Flags(), 0)


def test_reading_leaves_the_document_as_it_was() -> None:
    document = changed("SmsFeatureFlags", AfricasTalkingTrafficPercentage=25)
    assert flags(document) == flags(document)
    assert flags(document)[1] == 25


def test_overrides_name_providers_in_any_spelling() -> None:
    document = changed(
        "SmsFeatureFlags",
        UserOverrides={"ann": "AfricasTalking", "bob": "LEGACY", "eve": "africas-talking"},
        BranchOverrides={"7": "target", "-8": "Legacy"},
    )
    read, _ = flags(document)
    assert dict(read.user_overrides) == {
        "ann": Role.TARGET,
        "bob": Role.LEGACY,
        "eve": Role.TARGET,
    }
    assert dict(read.branch_overrides) == {7: Role.TARGET, -8: Role.LEGACY}


def test_every_problem_is_listed_at_once() -> None:
    document = {
        "SmsFeatureFlags": {
            "EnableLegacy": "yes",
            "AfricasTalkingTrafficPercentage": 101,
            "RollbackThresholds": {"MaxErrorRate": -1, "MaxResponseTimeMs": True},
            "UserOverrides": {"ann": "twilio"},
            "BranchOverrides": {"north": "legacy"},
            "Colour": "blue",
        },
        "MigrationSettings": {
            "HealthCheckIntervalMinutes": 0,
            "NotificationRecipients": ["a", 1],
            "MetricsRetentionDays": 2.5,
        },
        "Extras": {},
    }
    assert sorted(problems(document)) == sorted(
        [
            "Extras: unknown section",
            "EnableLegacy: expected true or false, got 'yes'",
            "MaxErrorRate: expected a number from 0 to 100, got -1",
            "MaxResponseTimeMs: expected a number from 1 to 600000, got True",
            "UserOverrides.ann: expected africastalking or legacy, got 'twilio'",
            "BranchOverrides.north: expected a whole number, got 'north'",
            "HealthCheckIntervalMinutes: expected a number from 0.1 to 1440, got 0",
            "NotificationRecipients: expected a list of strings, got ['a', 1]",
            "MetricsRetentionDays: expected a whole number from 1 to 3649, got 2.5",
            "AfricasTalkingTrafficPercentage: expected a whole number from 0 to 100, got 101",
            "SmsFeatureFlags.Colour: unknown field",
        ]
    )


@pytest.mark.parametrize("value", [True, "5", None, 5.0, -1, 101])
def test_a_percentage_is_a_whole_number_from_0_to_100(value: object) -> None:
    (problem,) = problems(changed("SmsFeatureFlags", AfricasTalkingTrafficPercentage=value))
    assert problem.startswith("AfricasTalkingTrafficPercentage: expected a whole number")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None])
def test_a_rate_is_a_finite_number(value: object) -> None:
    (problem,) = problems(changed("SmsFeatureFlags", RollbackThresholds={"MaxErrorRate": value}))
    assert problem.startswith("MaxErrorRate: expected a number from 0 to 100")


def test_contradictory_thresholds_are_refused() -> None:
    thresholds = {"MaxErrorRate": 11, "MinSuccessRate": 90}
    assert problems(changed("SmsFeatureFlags", RollbackThresholds=thresholds)) == (
        (
            "RollbackThresholds: contradictory: MaxErrorRate 11.0 tolerates what "
            "MinSuccessRate 90.0 does not"
        ),
    )


def test_one_provider_must_stay_enabled() -> None:
    document = changed("SmsFeatureFlags", EnableAfricasTalking=False, EnableLegacy=False)
    assert problems(document) == ("EnableAfricasTalking, EnableLegacy: at least one must be true",)


@pytest.mark.parametrize("section", ["SmsFeatureFlags", "MigrationSettings"])
def test_a_section_is_an_object(section: str) -> None:
    assert problems({section: [1]}) == (f"{section}: expected an object, got [1]",)


@pytest.mark.parametrize("value", [[], {str(n): "legacy" for n in range(MAX_OVERRIDES + 1)}])
def test_overrides_are_a_bounded_object(value: object) -> None:
    assert problems(changed("SmsFeatureFlags", UserOverrides=value)) == (
        "UserOverrides: expected an object of up to 1000 entries, got 'it'",
    )


def test_a_thousand_overrides_fit() -> None:
    overrides = {str(n): "legacy" for n in range(MAX_OVERRIDES)}
    read, _ = flags(changed("SmsFeatureFlags", BranchOverrides=overrides))
    assert len(read.branch_overrides) == MAX_OVERRIDES


def test_overrides_cannot_be_changed_afterwards() -> None:
    read, _ = flags(changed("SmsFeatureFlags", UserOverrides={"ann": "legacy"}))
    with pytest.raises(TypeError):
        read.user_overrides["ann"] = Role.TARGET


def test_phases_are_configuration_and_what_is_not_given_stays() -> None:
    read, _ = parse(
        {
            "Phases": {
                "ParallelSetup": {"Entry": 2, "High": 10, "Steps": [2, 10]},
                "GradualMigration": {"Requirements": {"MinSuccessRate": 99}},
            }
        },
        "at-1",
        "old",
    )
    assert read.phases[Phase.PARALLEL_SETUP] == Rules(2, 0, 10, (2, 10))
    gradual, default = (rules[Phase.GRADUAL_MIGRATION] for rules in (read.phases, DEFAULT_RULES))
    assert gradual.requirements == replace(default.requirements, min_success_rate=99.0)
    assert replace(gradual, requirements=default.requirements) == default


def test_flags_come_back_from_the_document_they_are_shown_as() -> None:
    read, _ = parse({"Phases": {"ParallelSetup": {"High": 9, "Steps": [9]}}}, "at-1", "old")
    assert parse(flags_document.document(read, 3), "at-1", "old") == (read, 3)


PROBES = {
    "Enabled": True,
    "Numbers": ["+260971000001", "+442071838750"],
    "IntervalSeconds": 30,
    "Providers": ["africas-talking", "Legacy"],
}


def test_validation_traffic_names_phones_and_providers_and_comes_back() -> None:
    read, _ = flags(changed("MigrationSettings", ValidationTraffic=PROBES))
    assert read.migration.validation == ValidationTraffic(
        enabled=True,
        numbers=("+260971000001", "+442071838750"),
        interval_s=30.0,
        providers=(Role.TARGET, Role.LEGACY),
    )
    assert flags(flags_document.document(read, 3)) == (read, 3)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"Enabled": 1}, "Enabled: expected true or false, got 1"),
        ({"Numbers": "+260971000001"}, "Numbers: expected a list of strings, got '+260971000001'"),
        (
            {"Numbers": ["0977123456"]},
            "Numbers: expected E.164 (+ and 8 to 15 digits), got '0977123456'",
        ),
        (
            {"Numbers": ["+2609771234567890"]},
            "Numbers: expected E.164 (+ and 8 to 15 digits), got '+2609771234567890'",
        ),
        (
            {"Numbers": [f"+2609710000{n}" for n in range(10, 31)]},
            "Numbers: expected at most 20, got 21",
        ),
        (
            {"Numbers": ["+260971000001"] * 2},
            "Numbers: expected each once, got ['+260971000001', '+260971000001']",
        ),
        ({"IntervalSeconds": 9}, "IntervalSeconds: expected a number from 10 to 3600, got 9"),
        (
            {"Providers": ["twilio"]},
            "Providers: expected a list of africastalking or legacy, got ['twilio']",
        ),
        (
            {"Providers": "legacy"},
            "Providers: expected a list of africastalking or legacy, got 'legacy'",
        ),
        (
            {"Providers": ["target", "africastalking"]},
            "Providers: expected each once, got ['target', 'target']",
        ),
        ({"Numbers": []}, "Numbers: expected at least one where Enabled is true, got none"),
        ({"Providers": []}, "Providers: expected at least one where Enabled is true, got none"),
    ],
)
def test_wrong_validation_traffic_is_named_with_its_section(
    fields: dict[str, Any], problem: str
) -> None:
    found = problems(changed("MigrationSettings", ValidationTraffic=PROBES | fields))
    assert f"ValidationTraffic.{problem}" in found


def test_an_unknown_field_of_validation_traffic_is_named() -> None:
    found = problems(changed("MigrationSettings", ValidationTraffic={"Number": []}))
    assert found == ("ValidationTraffic.Number: unknown field",)


def test_wrong_phases_are_named_with_their_field_all_at_once() -> None:
    with pytest.raises(FlagsError) as caught:
        parse(
            {
                "Phases": {
                    "ParallelSetup": {"Entry": 6, "Steps": [5, 1]},
                    "GradualMigration": {"High": 101, "Requirements": {"MaxP95Ms": 0}},
                    "NotStarted": {"Entry": 0},
                    "LegacyDeprecation": {"Steps": "all", "Stepps": []},
                }
            },
            "at-1",
            "old",
        )
    found = caught.value.problems
    for named in (
        *("ParallelSetup.Entry", "ParallelSetup.Steps", "GradualMigration.High"),
        *("GradualMigration.MaxP95Ms", "LegacyDeprecation.Steps", "Phases.NotStarted"),
        "LegacyDeprecation.Stepps",
    ):
        assert any(problem.startswith(f"{named}:") for problem in found), (named, found)


@pytest.mark.parametrize(
    ("name", "legacy_id", "role"),
    [
        ("Target", "old", Role.TARGET),
        ("AT-1", "old", Role.TARGET),
        ("old", "old", Role.LEGACY),
        ("legacy", "old", Role.LEGACY),
        ("Africa's Talking", "old", None),
        ("AfricasTalking", "old", Role.TARGET),
        ("AfricasTalking", "africastalking", Role.LEGACY),
        (None, "old", None),
        ("", "old", None),
    ],
)
def test_a_name_means_the_role_a_person_means(
    name: object, legacy_id: str, role: Role | None
) -> None:
    expected = Role.TARGET if name == "Africa's Talking" else role
    assert role_named(name, "at-1", legacy_id) is expected


# --- units, look-alike keys, and what no document may hold ----------------------------------------


def of_rates(**given: float) -> tuple[str, ...]:
    """Fields of `RollbackThresholds` that are told."""
    try:
        flags(changed("SmsFeatureFlags", RollbackThresholds=given))
    except FlagsError as error:
        return tuple(problem.partition(":")[0] for problem in error.problems)
    return ()


@pytest.mark.parametrize(
    ("errors", "success", "told"),
    [
        (0.05, 0.95, ("MinSuccessRate", "MaxErrorRate")),
        (0.05, 90, ("MaxErrorRate",)),
        (0.1, 90, ("MaxErrorRate",)),
        (0.01, 99, ("MaxErrorRate",)),
        (0.02, 98.0, ("MaxErrorRate",)),
        (0.5, 0.5, ("MinSuccessRate", "MaxErrorRate")),
        (0.001, 99, ("MaxErrorRate",)),
        (5, 0.95, ("MinSuccessRate",)),
        (5, 1, ("MinSuccessRate",)),
        (5, 90, ()),
        (1, 90, ()),
        (1, 99, ()),
        (0.5, 99, ()),
        (0.5, 90, ()),
        (0.2, 99, ()),
        (0.05, 99.9, ()),
        (0, 90, ()),
        (5, 0, ()),
        (100, 0, ()),
    ],
)
def test_rates_that_read_as_fractions_are_told(
    errors: float, success: float, told: tuple[str, ...]
) -> None:
    assert of_rates(MaxErrorRate=errors, MinSuccessRate=success) == told


def test_a_fraction_is_told_with_what_it_would_mean() -> None:
    (problem,) = problems(changed("SmsFeatureFlags", RollbackThresholds={"MaxErrorRate": 0.05}))
    assert problem == (
        "MaxErrorRate: expected per cent (5 for 5 of 100), got 0.05, which reads as a fraction "
        "(as per cent it means one failure in 2,000, and wants a MinSuccessRate to match)"
    )


@pytest.mark.parametrize(
    ("phase", "asked", "told"),
    [
        ("GradualMigration", {"MinSuccessRate": 0.95}, "MinSuccessRate"),
        ("GradualMigration", {"MinDeliveryRate": 0.98}, "MinDeliveryRate"),
        ("GradualMigration", {"MaxErrorRate": 0.02}, "MaxErrorRate"),
        ("CompleteMigration", {"MaxErrorRate": 0.005}, "MaxErrorRate"),
        ("LegacyDeprecation", {"MaxP95Ms": 2}, "MaxP95Ms"),
    ],
)
def test_requirements_of_a_phase_in_another_unit_are_told_with_their_phase(
    phase: str, asked: dict[str, float], told: str
) -> None:
    (problem,) = problems({"Phases": {phase: {"Requirements": asked}}})
    assert problem.startswith(f"{phase}.{told}: expected ")


def test_a_time_that_reads_as_seconds_is_told() -> None:
    (problem,) = problems(changed("SmsFeatureFlags", RollbackThresholds={"MaxResponseTimeMs": 5}))
    assert problem == (
        "MaxResponseTimeMs: expected milliseconds, got 5, which reads as seconds: 5000"
    )


@pytest.mark.parametrize(
    "key",
    [
        *("1_0", "012", "+12", " 12", "12 ", "1 2", "00", "-0", "-012", "12.0", "1e1", "0x1", ""),
        *("\uff11\uff12", "\u0661\u0662", "12\n", "\u00a012", "--12", "true", "12\x00"),
        *("9223372036854775808", "-9223372036854775809", "9" * 5_000),
    ],
)
def test_a_branch_has_one_spelling(key: str) -> None:
    (problem,) = problems(changed("SmsFeatureFlags", BranchOverrides={key: "legacy"}))
    assert problem.startswith("BranchOverrides.")
    assert "expected a whole number" in problem
    assert problem.isprintable()
    assert len(problem) < 500


@pytest.mark.parametrize("key", ["0", "12", "-12", "9223372036854775807", "-9223372036854775808"])
def test_a_branch_of_64_bit_is_read(key: str) -> None:
    read, _ = flags(changed("SmsFeatureFlags", BranchOverrides={key: "legacy"}))
    assert dict(read.branch_overrides) == {int(key): Role.LEGACY}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann b", "ann  b"),
        ("ann", "\uff41\uff4e\uff4e"),
        ("caf\u00e9", "cafe\u0301"),
        ("\ufb01n", "fin"),
    ],
)
@pytest.mark.parametrize("provider", ["legacy", "target"])
def test_users_that_look_alike_are_told_whichever_way_they_go(
    one: str, other: str, provider: str
) -> None:
    overrides = {one: "legacy", other: provider}
    (problem,) = problems(changed("SmsFeatureFlags", UserOverrides=overrides))
    assert problem.startswith(f"UserOverrides.{other}: expected each once, looks like ")


@pytest.mark.parametrize(
    "key", ["", " ann", "ann ", "an\nn", "ann\x00", "ann\u200b", "\ud800", "a" * 129]
)
def test_a_user_that_no_message_can_carry_is_told(key: str) -> None:
    (problem,) = problems(changed("SmsFeatureFlags", UserOverrides={key: "legacy"}))
    assert "expected 1 to 128 printable characters, no blank at the ends" in problem
    assert problem.isprintable()
    problem.encode()


def test_users_that_differ_by_case_are_two() -> None:
    read, _ = flags(changed("SmsFeatureFlags", UserOverrides={"Ann": "legacy", "ann": "target"}))
    assert dict(read.user_overrides) == {"Ann": Role.LEGACY, "ann": Role.TARGET}


def deep(levels: int) -> Any:
    made: Any = 1
    for _ in range(levels):
        made = [made]
    return made


@pytest.mark.parametrize(
    "value",
    [
        deep(100_000),
        10**5_000,
        -(10**30),
        float("nan"),
        float("-inf"),
        "\ud800",
        "x" * 100_000,
        [float("nan")],
        {"\udfff": deep(2_000)},
        None,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(
    "place",
    [
        ("SmsFeatureFlags",),
        ("SmsFeatureFlags", "EnableLegacy"),
        ("SmsFeatureFlags", "AfricasTalkingTrafficPercentage"),
        ("SmsFeatureFlags", "RollbackPolicy"),
        ("SmsFeatureFlags", "RollbackThresholds", "MaxErrorRate"),
        ("SmsFeatureFlags", "UserOverrides"),
        ("SmsFeatureFlags", "UserOverrides", "ann"),
        ("MigrationSettings", "NotificationRecipients"),
        ("MigrationSettings", "ValidationTraffic", "Numbers"),
        ("MigrationSettings", "ValidationTraffic", "Providers"),
        ("Phases", "GradualMigration", "Steps"),
        ("Phases", "GradualMigration", "Requirements"),
        ("Extras",),
    ],
    ids=".".join,
)
def test_whatever_stands_where_it_is_refused_in_words_that_can_be_printed(
    place: tuple[str, ...], value: Any
) -> None:
    for name in reversed(place):
        value = {name: value}
    for problem in problems(value):
        assert problem.isprintable()
        assert len(problem) < 1_000


def test_of_very_many_problems_the_first_hundred_are_told() -> None:
    found = problems({"SmsFeatureFlags": {f"Field{n}": 1 for n in range(150)}})
    assert (len(found), found[-1]) == (101, "and 50 more problems")


def test_a_percentage_no_phase_holds_is_told() -> None:
    (problem,) = problems(
        {
            "SmsFeatureFlags": {"AfricasTalkingTrafficPercentage": 80},
            "Phases": {"LegacyDeprecation": {"Low": 85, "Entry": 90, "Steps": [90]}},
        }
    )
    assert problem == (
        "AfricasTalkingTrafficPercentage: expected within the range of a phase (Phases), got 80"
    )


@pytest.mark.parametrize("value", [0, 20.5, -1, True, "2", None, 1e400])
def test_a_margin_outside_its_range_is_refused_by_name(value: object) -> None:
    document = {"MigrationSettings": {"WorseByAtMost": {"Slow": value}}}
    with pytest.raises(FlagsError) as refused:
        parse(document, "africastalking", "legacy")
    (problem,) = refused.value.problems
    assert problem.startswith("Slow: expected a number from 0.1 to 20, got ")


def test_margins_are_read_in_points() -> None:
    document = {"MigrationSettings": {"WorseByAtMost": {"Failed": 3, "Undelivered": 0.5}}}
    found, _ = parse(document, "africastalking", "legacy")
    assert found.migration.worse_by_at_most == WorseByAtMost(3.0, 2.0, 0.5)
