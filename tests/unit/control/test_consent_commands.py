"""Commands and queries about who wants no messages: on record, masked, and done once only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from contracts.control import AddSuppression, RemoveSuppression, Suppressions
from tests.support.control_fakes import MemoryLog, Told, asked, begun, consents, handler
from tests.support.fakes import KEY, NUMBER, HandClock, Suppressed
from worker.domain.messages import masking
from worker.domain.messages.message import Recipient
from worker.domain.migration.change_refused import ChangeRefused

if TYPE_CHECKING:
    from contracts.control import ControlCommand, ControlReply

ANN = masking.recipient(KEY, NUMBER)
PROMO, BANK = frozenset({"promo"}), frozenset({"bank"})


class Desk:
    """One replica's commands over a log and a list in memory."""

    def __init__(self) -> None:
        self.clock, self.told, self.list = HandClock(), Told(), Suppressed()
        self.log = MemoryLog(self.clock)
        self.handler = handler(self.log, self.told, suppressed=self.list)

    async def ask(
        self, kind: type[ControlCommand], ident: str = "c-1", **given: Any
    ) -> ControlReply:
        await self.handler(asked(self.clock, kind, ident, **given))
        return self.told.last

    async def listed(self, **given: Any) -> list[dict[str, Any]]:
        listed = await consents(self.list).listed(Suppressions(command_id="q", **given))
        return [wish.document() for wish in listed]


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await begun(made.log)
    return made


@pytest.mark.parametrize("number", ["0977123456", "+260 977 123456", "00260977123456"])
async def test_whom_a_person_puts_on_the_list_gets_nothing(desk: Desk, number: str) -> None:
    reply = await desk.ask(AddSuppression, number=number)
    assert (reply.verdict, reply.code) == ("accepted", "ok")
    assert reply.text == "add-suppression: +260******456: stopped now: every sender"
    assert desk.list.stops(ANN.hash, BANK)


async def test_one_sender_alone_can_be_named(desk: Desk) -> None:
    reply = await desk.ask(AddSuppression, number=NUMBER, sender_id="PROMO")
    assert reply.text.endswith("stopped now: promo")
    assert (desk.list.stops(ANN.hash, PROMO), desk.list.stops(ANN.hash, BANK)) == (True, False)


async def test_whom_a_person_takes_off_the_list_gets_everything_again(desk: Desk) -> None:
    for sender in ("PROMO", None):
        await desk.list.opt_out(ANN, sender)
    reply = await desk.ask(RemoveSuppression, number="0977123456")
    assert reply.text == "remove-suppression: +260******456: stopped now: nothing"
    assert not desk.list.stops(ANN.hash, PROMO | BANK)


async def test_taking_one_sender_off_says_what_still_stops(desk: Desk) -> None:
    await desk.list.opt_out(ANN)
    reply = await desk.ask(RemoveSuppression, number=NUMBER, sender_id="PROMO")
    assert (reply.code, desk.list.stops(ANN.hash, PROMO)) == ("unchanged", True)
    assert reply.text.endswith("stopped now: every sender, as before")


async def test_the_history_has_the_mask_and_never_the_number(desk: Desk) -> None:
    await desk.ask(AddSuppression, number="0977123456", sender_id="PROMO")
    await desk.ask(AddSuppression, "c-2", number="0977123456", by="oda")
    await desk.ask(AddSuppression, "c-3", number="097712345x")
    kept = repr(desk.log.entries[1:])
    assert "977123456" not in kept
    assert "097712345x" not in kept
    assert desk.log.entries[1].command["recipient"] == "+260******456"
    assert desk.log.entries[1].command["senderId"] == "PROMO"
    assert desk.log.entries[1].after == desk.log.entries[0].after


@pytest.mark.parametrize("by", ["oda", "eve"])
@pytest.mark.parametrize("kind", [AddSuppression, RemoveSuppression])
async def test_only_an_administrator_changes_the_list(
    desk: Desk, kind: type[ControlCommand], by: str
) -> None:
    await desk.list.opt_out(ANN, "PROMO")
    before = dict(desk.list.wishes)
    reply = await desk.ask(kind, number=NUMBER, by=by)
    assert (reply.code, desk.list.wishes) == ("forbidden", before)
    assert desk.log.entries[-1].verdict == "refused"


async def test_what_is_no_number_is_refused_by_the_field_s_name(desk: Desk) -> None:
    reply = await desk.ask(AddSuppression, number="+26097712XXXX")
    assert (reply.verdict, reply.code, desk.list.wishes) == ("refused", "invalid", {})
    assert reply.text.startswith("add-suppression: number: expected a phone number")


async def test_a_command_that_comes_again_does_not_undo_what_was_told_after_it(
    desk: Desk,
) -> None:
    await desk.list.opt_out(ANN, "PROMO")
    first = await desk.ask(RemoveSuppression, number=NUMBER)
    desk.clock.advance(60)
    await desk.ask(AddSuppression, "c-2", number=NUMBER)
    again = await desk.ask(RemoveSuppression, number=NUMBER)
    assert (again.code, again.text) == ("ok", first.text)
    assert desk.list.stops(ANN.hash, BANK)


async def test_a_command_whose_handler_died_after_the_log_is_carried_out_when_it_comes_again(
    desk: Desk,
) -> None:
    await desk.ask(AddSuppression, number=NUMBER)
    desk.list.wishes.clear()  # as if it had never come so far
    await desk.ask(AddSuppression, number=NUMBER)
    assert desk.list.stops(ANN.hash, BANK)
    assert len(desk.log.entries) == 2


async def test_the_id_of_a_command_about_another_number_is_refused(desk: Desk) -> None:
    await desk.ask(AddSuppression, number=NUMBER)
    reply = await desk.ask(AddSuppression, number="0966123456")
    assert reply.code == "id conflict"


async def test_the_list_shows_masks_and_what_stops(desk: Desk) -> None:
    await desk.ask(AddSuppression, number=NUMBER, sender_id="PROMO")
    (found,) = await desk.listed()
    at = found.pop("at")
    assert at == desk.clock.now().isoformat()
    assert found == {
        "recipient": "+260******456",
        "sender": "promo",
        "stopped": True,
        "source": "command of ann",
    }


async def test_of_one_number_a_way_back_is_shown_too(desk: Desk) -> None:
    await desk.ask(AddSuppression, number=NUMBER)
    desk.clock.advance(1)
    await desk.ask(RemoveSuppression, "c-2", number=NUMBER)
    assert await desk.listed() == []
    (found,) = await desk.listed(number="0977123456")
    assert (found["stopped"], found["sender"]) == (False, None)


async def test_a_recipient_without_a_mask_is_shown_by_the_beginning_of_the_hash(
    desk: Desk,
) -> None:
    await desk.list.opt_out(Recipient("0123456789abcdef", ""))
    (found,) = await desk.listed()
    assert found["recipient"] == "hash 0123456789ab"


async def test_a_question_about_what_is_no_number_is_refused(desk: Desk) -> None:
    with pytest.raises(ChangeRefused, match="suppressions: number: expected"):
        await desk.listed(number="abc")


# --- while the hash key is changed ---------------------------------------------------------------


async def test_a_wish_of_the_time_of_the_old_key_is_seen_and_taken_back_with_the_new_one(
    desk: Desk,
) -> None:
    await desk.ask(AddSuppression, number=NUMBER)
    changed = consents(desk.list, b"new-key", (KEY,))
    (line,) = await changed.listed(Suppressions(command_id="q", number=NUMBER))
    assert line.stopped
    deciding = desk.handler.deciding
    deciding = replace(deciding, translator=replace(deciding.translator, consents=changed))
    desk.handler = replace(desk.handler, consents=changed, deciding=deciding)
    desk.clock.advance(1)
    await desk.ask(RemoveSuppression, "c-2", number=NUMBER)
    hashes = masking.recipient(b"new-key", NUMBER, (KEY,)).hashes
    assert not any(desk.list.stops(each, BANK) for each in hashes)


async def test_a_command_of_the_time_of_the_old_key_is_recognised_with_the_new_one(
    desk: Desk,
) -> None:
    first = await desk.ask(AddSuppression, number=NUMBER)
    changed = consents(desk.list, b"new-key", (KEY,))
    desk.handler = replace(desk.handler, consents=changed)
    again = await desk.ask(AddSuppression, number=NUMBER)
    assert (again.verdict, again.text) == (first.verdict, first.text)
    other = await desk.ask(AddSuppression, number="0977000000")
    assert other.code == "id conflict"
