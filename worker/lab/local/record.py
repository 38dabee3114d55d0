"""The file `stack.json`: which processes run, how to reach them, and what a killed run left.

Rules: it is written as a whole and renamed into place, so that a reader never sees half of it. Only
its owner can read it, because it has passwords. A process in it is identified by pid and start
time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from worker.lab.local.process import ProcessId

if TYPE_CHECKING:
    from pathlib import Path

RECORD_FILE: Final = "stack.json"


class Running(BaseModel):
    """One process of the stack."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    started: int
    """Clock ticks since boot; see `ProcessId`."""
    log: str = ""

    @property
    def id(self) -> ProcessId:
        """The process itself."""
        return ProcessId(self.pid, self.started)


class StackRecord(BaseModel):
    """Content of `stack.json`."""

    model_config = ConfigDict(frozen=True)

    owner: Running
    """The process that started the stack and stops it."""
    ready: bool = False
    amqp: dict[str, str] = Field(default_factory=dict)
    """AMQP address by broker user."""
    mongo: str | None = None
    http: dict[str, str] = Field(default_factory=dict)
    """Base address by part: `africastalking`, `legacy`, `webhook`, `console`, `replica-1`, ..."""
    logins: dict[str, str] = Field(default_factory=dict)
    """Password by broker user, for a log-in at the console."""
    secrets: dict[str, str] = Field(default_factory=dict)
    """Secrets generated for this run, such as report tokens."""
    processes: tuple[Running, ...] = ()
    """The children of the owner, in start order."""


def read_record(directory: Path) -> StackRecord | None:
    """Read the record in `directory`; None: there is no stack."""
    try:
        text = (directory / RECORD_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return StackRecord.model_validate(json.loads(text))


def write_record(directory: Path, record: StackRecord) -> None:
    """Write the record atomically."""
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / f"{RECORD_FILE}.new"
    fresh.touch(mode=0o600)
    fresh.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    fresh.replace(directory / RECORD_FILE)


async def end_leftovers(directory: Path, grace_s: float = 5.0) -> list[str]:
    """End the processes that a killed run left in `directory`, and remove its record.

    Returns:
        The names of the processes that still ran.
    """
    record = read_record(directory)
    if record is None:
        return []
    left = [process for process in reversed(record.processes) if process.id.alive()]
    for process in left:
        await process.id.end(grace_s)
    (directory / RECORD_FILE).unlink(missing_ok=True)
    return [process.name for process in left]
