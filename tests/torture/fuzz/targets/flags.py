"""Flags documents, as a file and in `set-flags`: refused with every problem, or read and stored."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import bson

from contracts.codec import DecodeError
from contracts.control_decoding import decode_command
from contracts.names import MAX_BODY_BYTES
from tests.support import hostile
from tests.support.fakes import snapshot as some_snapshot
from tests.torture.fuzz import mutate
from tests.torture.fuzz.target import Target, must
from tests.torture.fuzz.targets import documents
from worker.domain.migration import flags_document
from worker.domain.migration.flags_document import FlagsError
from worker.settings import flags_file
from worker.store.snapshots import of_snapshot, snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.domain.migration.flags import Flags

_IDS: Final = ("africastalking", "legacy")
_MOST: Final = 101
"""Problems, with the line that counts the others."""
_LONGEST: Final = 1_000
_COMMAND: Final = (
    b'{"name": "set-flags", "commandId": "c-1", "issuedAt": "2026-03-01T08:30:00Z", '
    b'"reason": "because", "flags": '
)


def check(data: bytes) -> str:
    """Read it as a file and as the body of a command, and use what was read."""
    try:
        document = flags_file.read(data)
    except FlagsError as error:
        _are_named(error)
        _is_refused_on_the_wire(data)
        return f"refused: {_kind(error)}"
    must(not documents.twice(data), "a key given twice is refused")
    must(documents.is_held(document), "every value can be held everywhere")
    _is_read_on_the_wire(data, document)
    try:
        flags, percentage = flags_document.parse(document, *_IDS)
    except FlagsError as error:
        _are_named(error)
        return f"refused: fields, {_kind(error)}"
    must(not _are_fractions(document), "two fractions are refused", document)
    _is_written(flags, percentage)
    _is_stored(flags)
    return f"read: {len(flags.user_overrides) > 0}, {flags.rollback_policy}, {percentage % 7}"


def _are_named(error: FlagsError) -> None:
    must(0 < len(error.problems) <= _MOST, "problems are bounded in number", len(error.problems))
    for problem in error.problems:
        must(0 < len(problem) <= _LONGEST, "a problem is short", problem)
        must(problem.isprintable(), "a problem is one line", problem)


def _kind(error: FlagsError) -> str:
    return "".join(char for char in error.problems[0].partition(":")[0][:30] if char.isalpha())


# --- the same on the wire ------------------------------------------------------------------------


def _is_refused_on_the_wire(data: bytes) -> None:
    """What the file may not hold, no command may, but for the mark of its encoding."""
    if data.startswith(b"\xef\xbb\xbf") or documents.read(data) is None:
        return
    must(_on_the_wire(data) is None, "a file is read as strictly as a command", data[:300])


def _is_read_on_the_wire(data: bytes, document: Any) -> None:
    if len(_COMMAND) + len(data) < MAX_BODY_BYTES:
        must(_on_the_wire(data) == document, "a command holds what a file holds", data[:300])


def _on_the_wire(data: bytes) -> Any:
    """The document as a command brings it; None: refused."""
    try:
        return decode_command(_COMMAND + data + b"}", "set-flags").flags
    except DecodeError:
        return None


# --- what was read -----------------------------------------------------------------------------


def _are_fractions(document: Any) -> bool:
    """Whether both rates are given between 0 and 1: nobody means 0.95 % of successes."""
    bounds = document.get("SmsFeatureFlags", {}).get("RollbackThresholds", {})
    rates = [bounds.get(name) for name in ("MaxErrorRate", "MinSuccessRate")]
    return all(type(rate) is float and 0 < rate < 1 for rate in rates)


def _is_written(flags: Flags, percentage: int) -> None:
    """What is written of it reads the same."""
    written = json.dumps(flags_document.document(flags, percentage)).encode()
    again = flags_document.parse(flags_file.read(written), *_IDS)
    must(again == (flags, percentage), "what is written reads the same", written[:500])


def _is_stored(flags: Flags) -> None:
    """What is stored of it is read back the same."""
    state = replace(some_snapshot(), flags=flags)
    read = snapshot(bson.decode(bson.encode(of_snapshot(state))))
    must(read == state, "what is stored reads the same", (read.flags, flags))


# --- seeds -----------------------------------------------------------------------------------


@functools.cache
def seeds() -> Sequence[bytes]:
    """The shipped document, the complete one, a part of each, and hostile ones."""
    whole = flags_document.document(flags_document.parse(hostile.FLAGS, *_IDS)[0], 0)
    parts = [{name: section} for name, section in whole.items()]
    users, branches = {"u.7": "target", "$x": "Legacy"}, {"12": "legacy"}
    overrides = {"SmsFeatureFlags": {"UserOverrides": users, "BranchOverrides": branches}}
    made = [{}, hostile.FLAGS, whole, *parts, overrides]
    odd = hostile.generated(hostile.flags(), 80)
    return [*(json.dumps(each).encode() for each in (*made * 3, *odd)), *_REPORTED]


_REPORTED: Final = (
    b'{"SmsFeatureFlags": {"RollbackThresholds": {"MaxErrorRate": 0.05, "MinSuccessRate": 0.95}}}',
    b'{"SmsFeatureFlags": {"BranchOverrides": {"1_0": "legacy"}}}',
    b'{"SmsFeatureFlags": {"BranchOverrides": {"12": "legacy", "012": "target"}}}',
    b'{"SmsFeatureFlags": {"UserOverrides": {}}, "SmsFeatureFlags": {"EnableLegacy": true}}',
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
)
"""What people wrote, by public reports: two fractions, keys that look alike, a key twice, marks."""


def _names() -> list[str]:
    whole = flags_document.document(flags_document.parse(hostile.FLAGS, *_IDS)[0], 0)
    return sorted({*documents.keys(whole)})


_VALUES: Final = (
    "target", "legacy", "AfricasTalking", "nobody", "evidence", "threshold", 0.5, 0.95, 1, 5, 60,
    90, 95, 99, 100, 101, 5_000, "0", "12", "012", "1_0", "mailto:a@example.org", "https://x/",
    ["a@example.org"], ["+260977654321"], [5, 10], {"a": "target"},
    {"12": "legacy", "012": "target"},
)  # fmt: skip

TARGET: Final = Target(
    name="flags",
    takes="a flags document",
    holds="refused with every problem, as a file and in a command alike; or read, written, stored "
    "and read again the same; no two fractions, no key twice",
    check=check,
    seeds=seeds,
    share=60,
    mutators=(mutate.json_like(_names(), _VALUES),),
)
