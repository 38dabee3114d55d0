"""Reads the flags that `sms-worker plan` uses, and writes flags for a ladder.

Rules: the plan uses the flags of a file, else those in force if the worker was asked, else the
defaults. The written document differs from these only in the entries and steps of the phases.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from worker.cli.ctl.ask import USAGE, fail
from worker.domain.detection.phase_ladder import ladder_of
from worker.domain.migration.flags_document import FlagsError, parse
from worker.domain.migration.phases import WAY_UP
from worker.settings import flags_file

if TYPE_CHECKING:
    from pathlib import Path

    from worker.cli.planner.history import History
    from worker.domain.detection.plan import Climb
    from worker.domain.migration.flags import Flags

_IDS: Final = ("africastalking", "legacy")


def document_of(file: Path | None, past: History | None, bound: float | None) -> dict[str, Any]:
    """Return the flags document to use: of a file, else the one in force, else the defaults."""
    try:
        document = flags_file.read(file.read_bytes()) if file else past.flags if past else {}
    except FlagsError as error:
        fail(f"--flags: {file}: {error}", USAGE)
    except OSError as error:
        fail(f"--flags: {file}: expected a file that can be read, got {error.strerror}", USAGE)
    if bound is None:
        return document
    return _with(document, ("SmsFeatureFlags", "RollbackThresholds"), {"MaxErrorRate": bound})


def _with(
    document: dict[str, Any], path: tuple[str, ...], values: dict[str, Any]
) -> dict[str, Any]:
    """Return the document with these values at that path."""
    if not path:
        return document | values
    inner = document.get(path[0], {})
    if not isinstance(inner, dict):
        return document  # not a section: `parse` reports it
    return document | {path[0]: _with(inner, path[1:], values)}


def parsed(document: dict[str, Any]) -> Flags:
    """Return the flags of a document; end the program if the document is wrong."""
    try:
        flags, _ = parse(document, *_IDS)
    except FlagsError as error:
        fail(f"flags: {error}", USAGE)
    if not ladder_of(flags.phases):
        fail("flags: Phases: expected a phase that leads above 0 %, got none", USAGE)
    return flags


def write_flags(file: Path, document: dict[str, Any], climb: Climb) -> None:
    """Write flags that lead through the ladder; end the program if that is impossible."""
    for phase in WAY_UP:
        rules = climb.flags.phases[phase]
        values = {"Entry": rules.entry, "Steps": list(rules.steps)}
        document = _with(document, ("Phases", str(phase)), values)
    if ladder_of(parsed(document).phases) != climb.shares:
        fail(f"--write: the ranges of Phases do not allow {climb.shares}", USAGE)
    try:
        file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"--write: {file}: expected a file that can be written, got {error.strerror}", USAGE)
