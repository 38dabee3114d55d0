"""The preview of a command: the same decision as the command gets, and nothing done."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from contracts import control
from contracts.answers import PreviewAnswer
from contracts.codec import encode
from tests.support.alert_fakes import MemoryBook
from tests.support.control_fakes import (
    PROVEN,
    ROLES,
    MemoryLog,
    Told,
    asked,
    begun,
    consents,
    deciding,
    handler,
)
from tests.support.fakes import HandClock, Suppressed
from worker.control.preview import MOST_DIFFERENCES, Previews
from worker.domain.migration import flags_document
from worker.domain.migration.flags import Flags, MigrationSettings
from worker.domain.migration.gates import Measures
from worker.domain.migration.phases import Role
from worker.ports.store import StoreUnavailable

if TYPE_CHECKING:
    from contracts.control import ControlReply

FINE = Measures(
    evidence=PROVEN,
    accepted=10_000,
    p95_ms=150.0,
    delivered=5_000,
    judged=5_000,
    account_ok=True,
)
FOUR_EYES = {"migration": MigrationSettings(four_eyes=True)}
COMMANDS: list[tuple[type[control.ControlCommand], dict[str, Any]]] = [
    (control.Advance, {}),
    (control.Advance, {"at": 5}),
    (control.Advance, {"at": 99}),
    (control.Advance, {"override_gates": "no time"}),
    (control.Step, {}),
    (control.Step, {"dry_run": True}),
    (control.Step, {"expected_version": 7}),
    *((control.SetPercentage, {"percentage": each}) for each in (0, 10, 25, 40, 80)),
    (control.Rollback, {}),
    (control.Rollback, {"leaving": "ParallelSetup"}),
    (control.EmergencyRollback, {}),
    (control.Approve, {"proposal": 2}),
    (control.Reject, {"proposal": 2}),
    (control.Hold, {}),
    (control.Resume, {}),
    (control.Unlock, {}),
    (control.SetFlags, {"flags": {}}),
    (control.SetFlags, {"flags": {"SmsFeatureFlags": {"EnableLegacy": "perhaps", "No": 1}}}),
    (control.SetFlags, {"flags": {"SmsFeatureFlags": {"EnableAfricasTalking": False}}}),
    (control.SetUserOverride, {"user": "u-7", "provider": "target"}),
    (control.ClearUserOverride, {"user": "u-7"}),
    (control.SetBranchOverride, {"branch": 12, "provider": "nobody"}),
    (control.ClearBranchOverride, {"branch": 12}),
    *((control.EnableProvider, {"provider": each}) for each in Role),
    *((control.DisableProvider, {"provider": each}) for each in Role),
    (control.RetireLegacy, {}),
    (control.ResetBreaker, {"provider": "legacy"}),
    (control.Backup, {"label": "friday"}),
    (control.Restore, {"to": "1"}),
    (control.Restore, {"to": "nothing"}),
    (control.Ack, {"alert": "account"}),
    (control.AddSuppression, {"number": "0977123456"}),
    (control.RemoveSuppression, {"number": "12"}),
]
STATES: list[tuple[int, dict[str, Any]]] = [
    (0, {}),
    (25, {}),
    (25, {"legacy_enabled": False}),
    (25, {"target_enabled": False}),
    (75, FOUR_EYES),
]


class Harness:
    """One log, its commands and its previews."""

    def __init__(self, measures: Measures, volume: float | None = 1_000.0) -> None:
        self.clock = HandClock()
        self.log, self.told = MemoryLog(self.clock), Told()
        self.book, listed = MemoryBook(self.clock), consents(Suppressed())
        self.handle = handler(self.log, self.told, measures, self.book)
        decides = deciding(self.log, measures, self.book, listed)

        async def volume_now() -> float | None:
            return volume

        self.previews = Previews(self.log, decides, volume_now, self.clock)

    async def preview(self, command: dict[str, Any], user: str = "ann") -> ControlReply:
        query = control.Preview(command_id="q-1", command=command)
        return await self.previews.answer(query, user)

    async def previewed(self, command: dict[str, Any], user: str = "ann") -> PreviewAnswer:
        return PreviewAnswer.model_validate((await self.preview(command, user)).data)

    async def tell(self, kind: type[control.ControlCommand], **more: Any) -> ControlReply:
        await self.handle(asked(self.clock, kind, **more))
        return self.told.last


async def standing(percentage: int, flags: dict[str, Any], measures: Measures = FINE) -> Harness:
    made = Harness(measures)
    await begun(made.log, percentage, **flags)
    return made


def own(kind: type[control.ControlCommand], fields: dict[str, Any]) -> dict[str, Any]:
    """A command as a preview gives it: its name, its reason and its own fields."""
    command = {"command_id": "c", "issued_at": HandClock().now(), "reason": "because", **fields}
    written = kind(**command).model_dump(mode="json", by_alias=True, exclude_unset=True)
    shared = {"commandId", "issuedAt"}
    name = kind.model_fields["name"].default
    return {"name": name} | {key: value for key, value in written.items() if key not in shared}


@pytest.mark.parametrize("user", ["ann", "oda", "eve"])
@pytest.mark.parametrize(("kind", "fields"), COMMANDS)
async def test_a_preview_says_what_the_command_is_answered(
    kind: type[control.ControlCommand], fields: dict[str, Any], user: str
) -> None:
    for (percentage, flags), measures in product(STATES, (FINE, Measures())):
        made = await standing(percentage, flags, measures)
        preview = await made.preview(own(kind, fields), user)
        found = PreviewAnswer.model_validate(preview.data)
        assert (len(made.log.entries), made.told.changes, made.told.announced) == (1, [], [])
        reply = await made.tell(kind, by=user, **fields)
        assert found.accepted is (reply.verdict == "accepted")
        assert (found.code, found.text) == (reply.code, reply.text)
        assert tuple(found.problems) == reply.problems
        if reply.code != "forbidden":
            assert preview.gates == reply.gates
        if reply.verdict == "accepted" and made.log.entries[-1].after.version > 1:
            assert found.after == reply.state


async def test_an_observer_sees_what_an_administrator_would_cause() -> None:
    made = await standing(25, {}, Measures())
    theirs = await made.preview({"name": "step"}, "eve")
    ours = await made.preview({"name": "step"}, "ann")
    assert theirs.data is not None
    assert ours.data is not None
    assert (theirs.data["code"], ours.data["code"]) == ("forbidden", "gates")
    assert theirs.gates == ours.gates != ()
    assert theirs.data["shareAfter"] == ours.data["shareAfter"] == 50
    assert theirs.data["after"]["percentage"] == 50


async def test_the_state_after_shut_gates_is_the_one_they_keep_away() -> None:
    made = await standing(25, {}, Measures())
    found = await made.previewed({"name": "step"})
    assert (found.accepted, found.code, found.upward) == (False, "gates", True)
    assert found.after is not None
    assert (found.after.percentage, found.share_before, found.share_after) == (50, 25, 50)


@pytest.mark.parametrize(
    ("user", "command", "overridable"),
    [
        ("ann", {"name": "step"}, True),
        ("oda", {"name": "step"}, False),
        ("eve", {"name": "step"}, False),
        ("ann", {"name": "set-percentage", "percentage": 99}, False),
        ("ann", {"name": "rollback"}, False),
    ],
)
async def test_what_an_override_would_carry_out_is_said(
    user: str, command: dict[str, Any], overridable: object
) -> None:
    made = await standing(25, {}, Measures())
    assert (await made.previewed(command, user)).overridable is overridable


async def test_the_messages_of_an_hour_are_told_where_the_share_changes() -> None:
    made = await standing(25, {})
    down = await made.previewed({"name": "set-percentage", "percentage": 10})
    hold = await made.previewed({"name": "hold"})
    assert (down.upward, down.share_after, down.messages_per_hour) == (False, 10, 1_000.0)
    assert (hold.share_after, hold.messages_per_hour) == (25, None)


async def test_what_a_second_person_must_approve_is_shown_as_the_proposal() -> None:
    made = await standing(25, FOUR_EYES)
    found = await made.previewed({"name": "step"})
    assert (found.accepted, found.code, found.share_after) == (True, "proposed", 50)
    assert found.messages_per_hour is not None
    assert found.after is not None
    assert found.after.proposed is not None
    assert found.after.proposed.percentage == 50


async def test_new_flags_are_shown_by_what_they_change() -> None:
    made = await standing(25, {})
    flags = flags_document.document(Flags(target_enabled=False), 99)
    found = await made.previewed({"name": "set-flags", "flags": flags})
    assert found.differences == ["SmsFeatureFlags.EnableAfricasTalking: true -> false"]
    assert (found.share_before, found.share_after) == (25, 0)


async def test_of_very_many_differences_the_rest_is_counted() -> None:
    made = await standing(25, {})
    many = {f"u-{number}": Role.LEGACY for number in range(MOST_DIFFERENCES + 9)}
    flags = flags_document.document(Flags(user_overrides=many), 25)
    found = await made.previewed({"name": "set-flags", "flags": flags})
    assert len(found.differences) == MOST_DIFFERENCES + 1
    assert found.differences[-1] == "and 9 more"


async def test_every_problem_of_a_flags_document_is_listed() -> None:
    made = await standing(25, {})
    wrong = {"SmsFeatureFlags": {"EnableLegacy": "perhaps", "Foo": 1}, "Bar": {}}
    found = await made.previewed({"name": "set-flags", "flags": wrong})
    assert (found.code, len(found.problems)) == ("invalid", 3)


@pytest.mark.parametrize(
    "command",
    [
        {"name": "set-percentage", "percentage": 101, "everywhere": True},
        {"name": "set-percentage"},
        {"name": "step", "commandId": " "},
        {"name": "step", "issuedAt": "yesterday"},
        {"name": "step", "reason": ""},
        {"name": "status"},
        {"name": "no-such-command"},
    ],
)
async def test_what_is_no_command_is_refused_as_the_command_would_be(
    command: dict[str, Any],
) -> None:
    made = await standing(25, {})
    found = await made.previewed(command)
    wrong = asked(made.clock, control.Hold, routing_key=f"control.command.{command['name']}")
    whole = control.Preview(command_id="c-1", command=_whole(made, command))
    body = encode(whole).decode().partition('"command":')[2][:-1].encode()
    await made.handle(replace(wrong, body=body))
    reply = made.told.last
    assert (found.code, found.text) == (reply.code, reply.text) == ("invalid", reply.text)
    assert (tuple(found.problems), found.after) == (reply.problems, None)
    assert reply.problems


def _whole(made: Harness, command: dict[str, Any]) -> dict[str, Any]:
    shared = {"commandId": "c-1", "issuedAt": made.clock.now().isoformat(), "reason": "because"}
    return shared | command


@pytest.mark.parametrize("name", [None, 7, "x" * 129, {}])
async def test_a_command_without_a_name_is_no_command(name: object) -> None:
    made = await standing(25, {})
    found = await made.previewed({"name": name} if name is not None else {})
    assert (found.code, [each.split(":")[0] for each in found.problems]) == ("invalid", ["name"])


async def test_an_old_command_is_refused_as_stale_where_it_says_when_it_was_issued() -> None:
    made = await standing(25, {})
    found = await made.previewed({"name": "step", "issuedAt": "2020-01-01T00:00:00Z"})
    assert found.code == "stale"


async def test_without_a_state_in_force_nothing_can_be_previewed() -> None:
    with pytest.raises(StoreUnavailable):
        await Harness(FINE).preview({"name": "step"})


def test_every_command_is_previewed() -> None:
    assert {kind for kind, _ in COMMANDS} == set(control.COMMANDS)
    assert set(ROLES) >= {"ann", "oda", "eve"}
