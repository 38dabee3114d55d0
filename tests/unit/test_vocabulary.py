"""Each thing has one name: names that were given up do not come back.

Rules: names of the code alone, as the tokenizer sees them; words in texts are read by people. What
is on the wire or stored keeps its name for ever, and is text here.
"""

from __future__ import annotations

import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
RETIRED: Final = {
    "Beat": "LiveReplica",
    "Bench": "Harness",
    "Clash": "WriteConflict",
    "Judged": "DeliveryCounts",
    "NoWay": "ProbeImpossible",
    "NotUnderstood": "UnreadableDocument",
    "Post": "NoticeSender",
    "Rank": "AccessRole",
    "Ruling": "Decision",
    "Setting": "Criteria",
    "Side": "ProviderTick",
    "Sighting": "AlertObservation",
    "StoreAway": "StoreUnavailable",
    "Sync": "SnapshotFollower",
    "Topic": "HoldReason",
    "Understanding": "CommandDecoder",
    "Unsent": "PendingIntents",
    "beat": "heartbeat",
    "beats": "heartbeats",
    "leniency": "tolerant_decoding",
    "met": "recovered",
    "sighting": "observation",
}
"""Name that was given up -> the one that stands."""


def names(source: Path) -> Iterator[tuple[int, str]]:
    """Names in a source, with their lines."""
    with source.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string


def retired(source: Path) -> list[str]:
    """What stands there that was given up."""
    return [
        f"{source.name}:{line}: {name} is called {RETIRED[name]}"
        for line, name in names(source)
        if name in RETIRED
    ]


@pytest.mark.parametrize("folder", ["worker", "contracts", "tests"])
def test_no_name_that_was_given_up_is_used(folder: str) -> None:
    found = [line for source in (ROOT / folder).rglob("*.py") for line in retired(source)]
    assert found == []


def test_a_name_that_was_given_up_is_found(tmp_path: Path) -> None:
    source = tmp_path / "old.py"
    source.write_text('"""Clash in a text is none."""\nclass Clash: ...\n')
    assert retired(source) == ["old.py:2: Clash is called WriteConflict"]
