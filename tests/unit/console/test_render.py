"""Every template is rendered for every state and role; nothing of others is taken for markup."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import worker.console
from tests.support import console_states as states
from tests.support.console_states import AT, RIGHTS, STATES, in_state, older, viewer
from worker.console.render import PARTS, SURROUNDINGS, Renderer

if TYPE_CHECKING:
    from worker.console.known import Known

RENDERER = Renderer()
SCRIPT = Path(worker.console.__file__).with_name("static") / "console.js"
STYLE = SCRIPT.with_name("console.css")
VOID = {"meta", "link", "input", "path", "rect", "circle"}


class Elements(HTMLParser):
    """All elements with their attributes; fails where they are not nested well."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def named(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.found if tag in tags]


def page(state: str, role: str = "administrator") -> str:
    return RENDERER.now(in_state(state), viewer(role), AT)


def sections(known: Known, role: str = "administrator") -> dict[str, str]:
    return dict(RENDERER.sections(known, viewer(role), AT))


@pytest.mark.parametrize("role", RIGHTS)
@pytest.mark.parametrize("state", STATES)
def test_every_state_is_a_page_of_well_formed_html(state: str, role: str) -> None:
    elements = Elements(page(state, role))
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(PARTS) | set(SURROUNDINGS) <= set(ids)


@pytest.mark.parametrize("state", STATES)
def test_no_page_needs_what_the_policy_forbids(state: str) -> None:
    elements = Elements(page(state))
    assert not [a for _, a in elements.found if "style" in a or any(n.startswith("on") for n in a)]
    assert elements.named("style") == []
    assert all(attributes.get("src") for attributes in elements.named("script"))


@pytest.mark.parametrize("state", STATES)
def test_each_section_is_one_element_with_its_id(state: str) -> None:
    for name, html in sections(in_state(state)).items():
        (_, first), *_ = Elements(html).found
        assert first["id"] == name


@pytest.mark.parametrize("state", STATES)
def test_a_section_is_the_same_text_as_in_the_page(state: str) -> None:
    whole = page(state)
    for name, html in sections(in_state(state)).items():
        if "data-age" not in html:
            assert html.strip() in whole, name


@pytest.mark.parametrize("state", STATES)
def test_an_observer_finds_no_control(state: str) -> None:
    elements = Elements(page(state, "observer"))
    assert not [a for a in elements.named("button") if "data-dialog" in a]
    assert {a["action"] for a in elements.named("form") if "action" in a} == {"/logout"}


def test_an_operator_finds_the_emergency_button_at_zero_too() -> None:
    assert "Emergency rollback" in page("not-started", "operator")


def test_sections_hold_nothing_of_a_session() -> None:
    ours = sections(states.running())
    other = replace(viewer(), token="another", session="another")
    assert dict(RENDERER.sections(states.running(), other, AT)) == ours
    assert viewer().token not in "".join(ours.values())


def test_sections_are_the_same_text_a_second_later() -> None:
    known = states.running()
    later = RENDERER.sections(older(known, 1.0), viewer(), AT + timedelta(seconds=1))
    changed = {name for name, html in later.items() if sections(known)[name] != html}
    assert changed == set()


def test_the_age_of_the_look_comes_with_each_tick() -> None:
    assert RENDERER.ages(states.running()) == {"looked": "4 s ago"}
    assert RENDERER.ages(older(states.running(), 3.0)) == {"looked": "7 s ago"}
    assert RENDERER.ages(states.first()) == {}


def test_texts_of_providers_and_people_are_escaped() -> None:
    bad = '<img src=x onerror="alert(1)">'
    known = states.known(
        states.state(held=True, heldReason=f"amina (hold at X at 1 %): {bad}", initiatedBy=bad),
        alerts=[states.alert(9, "critical", bad, provider=bad)],
        log=[entry | {"command": {"reason": bad, "name": bad}} for entry in states.entries()],
        replicas=[states.replica("r", software=bad, host=bad)],
        asked=[states.gate(bad, bad, bad, "fail", missing=bad)],
    )
    html = RENDERER.now(known, replace(viewer(), user=bad, environment=bad), AT)
    assert Elements(html).named("img") == []
    assert "&lt;img" in html


def test_a_page_under_a_prefix_names_no_address_outside_it() -> None:
    html = RENDERER.now(states.running(), viewer(base="/sms"), AT)
    paths = re.findall(r'(?:href|src|action|data-dialog)="(/[^"]*)"', html)
    assert paths
    assert all(path.startswith("/sms/") for path in paths)


def test_the_log_in_says_what_was_wrong_and_keeps_the_name() -> None:
    html = RENDERER.login(
        environment="production", base="", token="t", user="amina", problem="Wrong.", back="/flags"
    )
    fields = {a["name"]: a.get("value") for a in Elements(html).named("input")}
    assert fields == {"token": "t", "back": "/flags", "user": "amina", "password": None}
    assert "Wrong." in html


def test_a_whole_page_with_24_hours_is_small() -> None:
    sent = [page("locked").encode(), SCRIPT.read_bytes(), STYLE.read_bytes()]
    assert sum(len(gzip.compress(each)) for each in sent) < 30_000


# --- the script ----------------------------------------------------------------------------


def test_the_script_stays_under_150_lines() -> None:
    assert len(SCRIPT.read_text().splitlines()) < 150


def test_the_script_does_nothing_that_the_policy_forbids() -> None:
    text = SCRIPT.read_text()
    assert not re.search(r"\beval\b|new Function|innerHTML\s*=|\.style\b|insertAdjacentHTML", text)


def test_no_file_of_the_page_comes_from_another_host() -> None:
    assert not re.search(r"https?://", SCRIPT.read_text() + STYLE.read_text())
