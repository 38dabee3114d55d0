"""What surrounds every page: live mark, banner, the tab's title, and what is said aloud."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support import console_states as states
from tests.support.console_states import AT, in_state, viewer
from worker.console.pages.frame import frame
from worker.console.pages.parts import plain


def banner(state: str) -> str:
    found = frame(in_state(state), viewer(), AT).banner
    return f"{found.title} {plain(found.text)}" if found else ""


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("running", ""),
        (
            "broker-away",
            "Broker away. No answer since 07:31:12 UTC. The workers keep the split they have.",
        ),
        ("no-worker", "No worker answers. No answer since 07:31:43 UTC. Start a worker: make run"),
        ("stale", "Old data. No answer since 07:31:17 UTC."),
        (
            "store-away",
            (
                "Store away. MongoDB does not answer. Sending waits; nothing is lost. Going down "
                "can still be ordered and is done when the store is back; going up cannot."
            ),
        ),
    ],
)
def test_a_banner_stands_only_where_it_is_due(state: str, said: str) -> None:
    assert banner(state) == said


def test_a_session_says_that_it_ends_soon() -> None:
    soon = replace(viewer(), ends_at=AT + timedelta(seconds=90))
    found = frame(states.running(), soon, AT).banner
    assert found is not None
    assert plain(found.text).startswith("You will be logged out in 90 s")


@pytest.mark.parametrize(
    ("state", "text", "fresh"),
    [
        ("running", "Live", True),
        ("store-away", "Live", True),
        ("old", "Old data, 8 s", False),
        ("first", "No answer yet", False),
    ],
)
def test_the_live_mark_says_how_fresh_the_page_is(state: str, text: str, *, fresh: bool) -> None:
    live = frame(in_state(state), viewer(), AT).live
    assert (live.text, live.fresh) == (text, fresh)


@pytest.mark.parametrize(
    ("state", "title"),
    [
        ("running", "25 % · SMS migration"),
        ("approval", "! 25 % · SMS migration"),
        ("locked", "! 0 % · SMS migration"),
        ("reports-missing", "! 25 % · SMS migration"),
        ("stale", "25 % ? · SMS migration"),
        ("first", "SMS migration"),
    ],
)
def test_the_title_of_the_tab_begins_with_the_share(state: str, title: str) -> None:
    assert frame(in_state(state), viewer(), AT).title == title


def said(state: str) -> dict[str, bool]:
    return {each.text: each.loud for each in frame(in_state(state), viewer(), AT).said}


def test_a_change_of_share_phase_verdict_proposal_or_replicas_is_said() -> None:
    assert said("approval") == {
        "25 % to Africa's Talking.": False,
        "Phase: Gradual migration.": False,
        "Proposal 42 waits for approval.": False,
        "Healthy.": False,
        "2 replicas live.": False,
    }


def test_a_critical_alert_is_said_at_once() -> None:
    loud = [text for text, is_loud in said("common-trouble").items() if is_loud]
    assert loud == ["Critical: common trouble: failed: bad in itself, legacy is no better"]
