"""The command line that gives the same command: for the person whose console gets no answer.

Rules: pure. It carries the same command id, so that the command is done once, whichever way arrives
first. A shell reads each word as it was given. Flags are named as a file, because a command line
cannot hold them.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contracts.control import ControlCommand

_WORDS: Final[Mapping[str, str]] = {
    "set-user-override": "user set",
    "clear-user-override": "user clear",
    "set-branch-override": "branch set",
    "clear-branch-override": "branch clear",
    "set-flags": "flags apply",
    "add-suppression": "suppressions add",
    "remove-suppression": "suppressions remove",
}
"""Words of `ctl` for a command; any other is called by its name."""
_WITHOUT_QUESTION: Final = frozenset(
    {
        "reject", "hold", "resume", "unlock", "reset-breaker", "backup", "ack", "add-suppression",
        "remove-suppression",
    }
)  # fmt: skip
"""Commands that ask the person nothing, so that there is nothing to answer with `-y`."""
_OPTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("advance", "at"): "--at",
    ("rollback", "leaving"): "--leaving",
    ("ack", "provider"): "--provider",
    ("add-suppression", "sender_id"): "--sender",
    ("remove-suppression", "sender_id"): "--sender",
}
"""Fields that are options; any other is an argument."""
_SHARED: Final = frozenset(
    {"name", "command_id", "issued_at", "reason", "expected_version", "dry_run", "override_gates"}
)


def command_line(command: ControlCommand, user: str) -> str:
    """Return the line that a shell takes."""
    return shlex.join(_line(command, user))


def _line(command: ControlCommand, user: str) -> Iterator[str]:
    yield from ("sms-worker", "ctl", *_WORDS.get(command.name, command.name).split())
    yield from ("--as", user, "-r", command.reason, "--id", command.command_id)
    if command.expected_version is not None:
        yield from ("--expect", str(command.expected_version))
    if override := getattr(command, "override_gates", None):
        yield from ("--override-gates", override)
    if command.name not in _WITHOUT_QUESTION:
        yield from ("-y", "--wait")
    own = _own(command)
    for field, value in own.items():
        if option := _OPTIONS.get((command.name, field)):
            yield from (option, str(value))
    arguments = [_word(v) for field, v in own.items() if (command.name, field) not in _OPTIONS]
    if arguments:
        yield from ("--", *arguments)


def _own(command: ControlCommand) -> dict[str, Any]:
    fields = type(command).model_fields
    values = {name: getattr(command, name) for name in fields if name not in _SHARED}
    return {name: value for name, value in values.items() if value is not None}


def _word(value: object) -> str:
    return "flags.json" if isinstance(value, dict) else str(value)
