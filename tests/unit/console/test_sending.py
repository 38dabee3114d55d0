"""A session sends its commands, and knows what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.control import AddSuppression, EmergencyRollback, Hold, Step
from tests.support.asks_fake import NOW, FakeClient, replied
from tests.unit.console.steering.made import entry
from worker.broker.control_client import NoAnswer, NotAllowed
from worker.console.sending import (
    DOWNWARD_WITHIN_S,
    MOST,
    UPWARD_WITHIN_S,
    OtherContent,
    Sending,
    TooMany,
)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def command(kind: Any = Hold, ident: str = "7c0f", **fields: Any) -> Any:
    return kind(command_id=ident, issued_at=NOW, reason="provider is down", **fields)


def sending(client: FakeClient, clock: Clock | None = None) -> Sending:
    return Sending(client, "amina", clock or Clock())


async def settled(made: Sending, ident: str = "7c0f") -> Any:
    await made.settle(ident, 5.0)
    return made.progress(ident)


async def test_the_reply_is_kept() -> None:
    made = sending(FakeClient({"hold": lambda asked: replied(asked, version=42)}))
    made.send(command())
    progress = await settled(made)
    assert progress.reply.version == 42
    assert (progress.sent, progress.failure, progress.user) == (1, "", "amina")


async def test_while_nobody_answers_the_tries_are_counted() -> None:
    clock = Clock()
    made = sending(FakeClient(tries=3), clock)
    made.send(command())
    await made.settle("7c0f", 0.01)
    clock.now += 5.0
    progress = made.progress("7c0f")
    assert progress is not None
    assert (progress.sent, progress.elapsed_s, progress.reply) == (3, 5.0, None)
    await made.close()


async def test_what_the_broker_does_not_take_is_not_counted_as_sent() -> None:
    made = sending(FakeClient(away=True))
    made.send(command())
    await made.settle("7c0f", 0.01)
    progress = made.progress("7c0f")
    assert progress is not None
    assert (progress.sent, progress.hindrance) == (0, "the broker: refused")
    await made.close()


async def test_a_form_that_is_sent_twice_is_one_command() -> None:
    client = FakeClient({"hold": replied(command())})
    made = sending(client)
    made.send(command())
    made.send(command())
    await settled(made)
    made.send(command())
    assert len(client.commands()) == 1


async def test_the_time_of_issue_makes_no_other_command() -> None:
    client = FakeClient({"hold": replied(command())})
    made = sending(client)
    made.send(command())
    made.send(Hold(command_id="7c0f", issued_at=NOW.replace(hour=13), reason="provider is down"))
    await settled(made)
    assert len(client.commands()) == 1


async def test_an_id_of_another_command_is_refused() -> None:
    made = sending(FakeClient({"hold": replied(command())}))
    made.send(command())
    with pytest.raises(OtherContent):
        made.send(command(EmergencyRollback))
    await settled(made)


async def test_what_got_no_answer_can_be_sent_again_with_the_same_id() -> None:
    client = FakeClient({"hold": NoAnswer("no answer within 30 s: no worker answered")})
    made = sending(client)
    made.send(command())
    progress = await settled(made)
    assert progress.failure == "no answer within 30 s: no worker answered"
    client.answers = {"hold": replied(command())}
    made.send(command())
    progress = await settled(made)
    assert (progress.failure, progress.sent) == ("", 2)
    assert [each.command_id for each in client.commands()] == ["7c0f", "7c0f"]


async def test_a_refusal_of_the_broker_is_known_as_one() -> None:
    made = sending(FakeClient({"hold": NotAllowed("the broker refuses user amina")}))
    made.send(command())
    progress = await settled(made)
    assert progress.refused_by_broker
    assert progress.failure == "the broker refuses user amina"


@pytest.mark.parametrize(
    ("kind", "within_s"),
    [(EmergencyRollback, DOWNWARD_WITHIN_S), (Step, UPWARD_WITHIN_S)],
)
async def test_what_takes_messages_back_is_tried_on_and_on(kind: Any, within_s: float) -> None:
    waited: list[float] = []

    class Waits(FakeClient):
        async def ask(self, asked: Any, within_s: float, on_try: Any = None) -> Any:
            waited.append(within_s)
            return await super().ask(asked, within_s, on_try)

    made = sending(
        Waits({"step": replied(command(Step)), "emergency-rollback": replied(command())})
    )
    made.send(command(kind))
    await settled(made)
    assert waited == [within_s]


async def test_after_a_conflict_the_history_says_who_moved() -> None:
    history = {"entries": [entry().document()]}
    client = FakeClient(
        {
            "step": lambda asked: replied(asked, verdict="refused", code="version"),
            "history": lambda asked: replied(asked, data=history),
        }
    )
    made = sending(client)
    made.send(command(Step, expected_version=41))
    progress = await settled(made)
    assert progress.moved_by.user == "joseph"


@pytest.mark.parametrize("data", [None, {"entries": 3}])
async def test_a_history_that_cannot_be_read_blames_nobody(data: Any) -> None:
    client = FakeClient({"step": lambda asked: replied(asked, verdict="refused", code="version")})
    if data is not None:
        client.answers = {**client.answers, "history": lambda asked: replied(asked, data=data)}
    made = sending(client)
    made.send(command(Step, expected_version=41))
    assert (await settled(made)).moved_by is None


async def test_what_is_kept_is_bounded_and_an_emergency_is_never_turned_away() -> None:
    client = FakeClient()
    made = sending(client)
    for number in range(MOST):
        made.send(command(ident=str(number)))
    with pytest.raises(TooMany):
        made.send(command(ident="one more"))
    made.send(command(EmergencyRollback, "emergency"))
    assert made.progress("emergency") is not None
    assert made.progress("0") is None, "it takes the place of the oldest"
    await made.close()


async def test_answered_commands_make_room() -> None:
    made = sending(FakeClient({"hold": replied(command())}))
    for number in range(MOST + 10):
        made.send(command(ident=str(number)))
        await settled(made, str(number))
    assert made.progress("0") is None
    assert made.progress(str(MOST + 9)) is not None


async def test_an_unknown_id_has_no_progress() -> None:
    made = sending(FakeClient())
    assert made.progress("other") is None
    assert made.since_reply("other") is None
    await made.settle("other", 5.0)


async def test_the_time_since_the_reply_is_known() -> None:
    clock = Clock()
    made = sending(FakeClient({"hold": replied(command())}), clock)
    made.send(command())
    await settled(made)
    clock.now += 0.4
    assert made.since_reply("7c0f") == pytest.approx(0.4)


async def test_nobody_tries_any_more_after_the_end_of_the_session() -> None:
    made = sending(FakeClient())
    made.send(command())
    await made.close()
    assert made.progress("7c0f") is None


async def test_a_failure_of_ours_is_not_hidden() -> None:
    made = sending(FakeClient({"hold": RuntimeError("broken")}))
    made.send(command())
    await made.settle("7c0f", 5.0)
    with pytest.raises(RuntimeError, match="broken"):
        made.progress("7c0f")


async def test_the_log_has_name_and_id_but_neither_reason_nor_number() -> None:
    made = sending(FakeClient({"add-suppression": replied(command())}))
    with capture_logs() as logged:
        made.send(command(AddSuppression, number="+260971234567"))
        await settled(made)
    text = str(logged)
    assert "add-suppression" in text
    assert "7c0f" in text
    assert "971234567" not in text
    assert "provider is down" not in text
