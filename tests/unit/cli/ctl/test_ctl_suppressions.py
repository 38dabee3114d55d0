"""How the list of who wants no messages looks on a terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from contracts.control import ControlReply
from tests.support.fakes import EPOCH
from worker.cli.ctl.screen import history_parts
from worker.cli.ctl.suppressions import suppressions_parts

STOPPED = {
    "recipient": "+260******456",
    "sender": "promo",
    "stopped": True,
    "at": "2026-03-01T12:00:00.250000+00:00",
    "source": "callback of africastalking",
}
BACK = STOPPED | {"sender": None, "stopped": False, "source": "command of ann"}


def shown(parts: Any) -> str:
    file = io.StringIO()
    Console(file=file, width=120, highlight=False).print(*parts, sep="\n")
    return file.getvalue()


def listed(*found: dict[str, Any]) -> str:
    reply = ControlReply(
        command_id="q",
        name="suppressions",
        verdict="accepted",
        code="ok",
        text="",
        data={"suppressions": list(found)},
        at=EPOCH,
    )
    return shown(suppressions_parts(reply))


def test_each_wish_says_whose_of_which_sender_when_and_by_whom() -> None:
    lines = [" ".join(each.split()) for each in listed(STOPPED, BACK).splitlines()]
    assert lines == [
        "recipient sender messages since (UTC) by",
        "+260******456 promo stopped 2026-03-01 12:00:00 callback of africastalking",
        "+260******456 every sender wanted again 2026-03-01 12:00:00 command of ann",
    ]


def test_an_empty_list_is_said() -> None:
    assert listed() == "nobody is on the list\n"


def test_the_history_names_whom_and_which_sender_a_command_was_about() -> None:
    command = {"name": "add-suppression", "recipient": "+260******456", "senderId": "PROMO"}
    entry = {"number": 7, "user": "ann", "command": command, "verdict": "accepted"}
    assert "    +260******456, sender PROMO\n" in shown(history_parts(entry))
