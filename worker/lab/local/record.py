"""`stack.json`: what runs, how to reach it, and what a killed run may have left.

Rules: written as a whole and put in place by rename, so a reader never sees half of it; readable by
its owner alone, because it holds passwords; a process in it is believed only with its start time.
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
    """Base address by part: `africastalking`, `legacy`, `webhook`, `replica-1`, ..."""
    secrets: dict[str, str] = Field(default_factory=dict)
    """Generated for this run: report tokens and the like."""
    processes: tuple[Running, ...] = ()
    """Children of the owner, in start order."""


def read_record(directory: Path) -> StackRecord | None:
    """The record in `directory`; None when no stack was left there."""
    try:
        text = (directory / RECORD_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return StackRecord.model_validate(json.loads(text))


def write_record(directory: Path, record: StackRecord) -> None:
    """Put the record in place atomically."""
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / f"{RECORD_FILE}.new"
    fresh.touch(mode=0o600)
    fresh.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    fresh.replace(directory / RECORD_FILE)


async def end_leftovers(directory: Path, grace_s: float = 5.0) -> list[str]:
    """End what a killed run left in `directory` and remove its record.

    Returns:
        Names of the processes that still ran.
    """
    record = read_record(directory)
    if record is None:
        return []
    left = [process for process in reversed(record.processes) if process.id.alive()]
    for process in left:
        await process.id.end(grace_s)
    (directory / RECORD_FILE).unlink(missing_ok=True)
    return [process.name for process in left]
