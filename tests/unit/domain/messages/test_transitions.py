"""The table of the record's transitions; `tests/integration/test_transitions.py` walks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.events import EVENTS
from worker.domain.messages.message import SETTLED, State
from worker.domain.messages.transitions import (
    TRANSITIONS,
    NoSuchTransition,
    Write,
    picture,
    require,
    starts,
)

README = Path(__file__).parents[4] / "worker" / "README.md"


def test_every_write_and_every_state_is_in_the_table() -> None:
    assert {write for _, write, _ in TRANSITIONS} == set(Write)
    assert {end for _, _, end in TRANSITIONS} == set(State)


def test_only_a_replay_leaves_a_settled_state() -> None:
    assert {write for start, write, _ in TRANSITIONS if start in SETTLED} == {Write.REPLAY}


def test_every_state_a_message_can_end_in_tells_consumers_so() -> None:
    ended = {*SETTLED, State.UNKNOWN}
    silent = {end for (_, _, end), event in TRANSITIONS.items() if event is None}
    told = {end for (_, _, end), event in TRANSITIONS.items() if event is not None}
    assert (silent & ended, told) == (set(), ended)


def test_every_event_of_the_table_is_one_of_the_contract() -> None:
    known = {kind.model_fields["event"].default for kind in EVENTS}
    assert {event for event in TRANSITIONS.values() if event} <= known


def test_the_states_before_a_write_are_those_of_the_table() -> None:
    assert starts(Write.WAIT, State.WAITING) == {State.SUBMITTING, State.UNKNOWN}
    assert starts(Write.CLOSE, State.EXPIRED) == {State.WAITING}


def test_a_missing_cell_is_an_error_that_names_it() -> None:
    with pytest.raises(NoSuchTransition, match="got settle to rejected"):
        starts(Write.SETTLE, State.REJECTED)
    with pytest.raises(NoSuchTransition, match="got replay from submitting to waiting"):
        require(State.SUBMITTING, Write.REPLAY, State.WAITING)
    require(State.FAILED, Write.REPLAY, State.WAITING)


def test_the_picture_in_the_documentation_is_that_of_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    chapter = text[text.index("The record's states") :]
    shown = re.search(r"```mermaid\n(.*?)\n```", chapter, re.DOTALL)
    assert shown is not None
    assert shown[1] == picture(), (
        "stale: put the output of worker.domain.messages.transitions.picture() there"
    )
