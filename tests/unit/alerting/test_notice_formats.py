"""A notice as each chat service takes it: escaped, within bounds, nothing unknown beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.metrics import AlertNotice
from tests.support.fakes import EPOCH
from worker.alerting.webhook import body
from worker.domain.alerts.contacts import Service
from worker.domain.alerts.notice_text import notice
from worker.domain.alerts.notices import Alert, Kind

ALERT = Alert(
    "4f1c09aa-0000-5000-8000-000000000000",
    "account",
    "at",
    "critical",
    "401: no",
    EPOCH,
    EPOCH,
    ends=True,
)
ADDRESSES = {
    Service.SLACK: "https://hooks.slack.com/services/T0/B0/x",
    Service.GOOGLE_CHAT: "https://chat.googleapis.com/v1/spaces/A/messages?key=k",
    Service.TEAMS: "https://prod-1.logic.azure.com/workflows/0f",
    Service.DISCORD: "https://discord.com/api/webhooks/1/x",
}


def made(service: Service, reason: str, **changes: Any) -> dict[str, Any]:
    alert = replace(ALERT, reason=reason, **changes)
    found: dict[str, Any] = json.loads(body(notice(alert, Kind.NEW, EPOCH), ADDRESSES[service]))
    return found


def text(service: Service, content: dict[str, Any]) -> str:
    """What the body holds for people, in lines."""
    if service is Service.TEAMS:
        blocks = content["attachments"][0]["content"]["body"]
        return "\n".join(run["text"] for block in blocks for run in block["inlines"])
    return str(content["content" if service is Service.DISCORD else "text"])


@pytest.mark.parametrize("recipient", ["", "https://hooks.example/x", "json+https://discord.com/x"])
def test_without_a_chat_service_it_is_all_of_the_alert(recipient: str) -> None:
    said = notice(replace(ALERT, reason="A&B <5 %"), Kind.NEW, EPOCH)
    read = AlertNotice.model_validate_json(body(said, recipient))
    assert (read.reason, read.text) == ("A&B <5 %", f"{said.subject}\n{said.text}")


@pytest.mark.parametrize(
    ("service", "members"),
    [
        (Service.SLACK, {"text", "mrkdwn"}),
        (Service.GOOGLE_CHAT, {"text"}),
        (Service.TEAMS, {"type", "attachments"}),
        (Service.DISCORD, {"content", "allowed_mentions"}),
    ],
)
def test_a_service_is_sent_only_what_it_knows(service: Service, members: set[str]) -> None:
    assert set(made(service, "401")) == members


@pytest.mark.parametrize("service", ADDRESSES)
def test_all_lines_of_a_notice_are_told(service: Service) -> None:
    said = text(service, made(service, "401: the key is refused", evidence={"answer": "401"}))
    expected = (
        "401: the key is refused",
        "answer: 401",
        "acknowledge it: sms-worker ctl ack 4f1c09aa",
    )
    assert [each for each in expected if each not in said] == []


@pytest.mark.parametrize(
    ("service", "reason", "shown"),
    [
        (Service.SLACK, "A&B <5 %", "A&amp;B &lt;5 %"),
        (Service.SLACK, "<!channel> &lt;", "&lt;!channel&gt; &amp;lt;"),
        (Service.SLACK, "<https://evil.example|log in>", "&lt;https://evil.example|log in&gt;"),
        (Service.GOOGLE_CHAT, "A&B <5 %, half_open", "A&B <5 %, half_open"),
        (Service.GOOGLE_CHAT, "<users/all>", "<\u200busers/all>"),
        (
            Service.GOOGLE_CHAT,
            "<https://evil.example|log in>",
            "<\u200bhttps://evil.example|log in>",
        ),
        (Service.GOOGLE_CHAT, "*a* _b_ ~c~ `d`", "*\u200ba* _\u200bb_ ~\u200bc~ `\u200bd`"),
        (Service.TEAMS, "A&B <5 % **x** half_open", "A&B <5 % **x** half_open"),
        (Service.TEAMS, "[log in](https://evil.example)", "[log in]\u200b(https://evil.example)"),
        (Service.TEAMS, "{{DATE(2026-03-01T00:00:00Z)}}", "{\u200b{DATE(2026-03-01T00:00:00Z)}}"),
        (Service.DISCORD, "A&B <5 %", r"A&B \<5 %"),
        (
            Service.DISCORD,
            "<@1> [x](y) **b** ||c|| `d` \\",
            r"\<@1\> \[x\](y) \*\*b\*\* \|\|c\|\| \`d\` \\",
        ),
        (Service.DISCORD, "- # x", r"\- \# x"),
    ],
)
def test_nothing_in_a_reason_is_more_than_text(service: Service, reason: str, shown: str) -> None:
    lines = text(service, made(service, reason)).split("\n")
    assert shown in lines


def test_nobody_is_called_by_a_notice_to_discord() -> None:
    assert made(Service.DISCORD, "@everyone")["allowed_mentions"] == {"parse": []}


def test_markup_is_switched_off_in_slack() -> None:
    assert made(Service.SLACK, "*x*")["mrkdwn"] is False


def test_a_workflow_of_teams_is_sent_an_adaptive_card() -> None:
    content = made(Service.TEAMS, "401")
    (attachment,) = content["attachments"]
    assert content["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["type"] == "AdaptiveCard"


@pytest.mark.parametrize("service", ADDRESSES)
@pytest.mark.parametrize("reason", ["x" * 20_000, "<&*" * 20_000, "\U0001f600" * 20_000])
def test_of_a_long_reason_its_line_is_cut_and_the_rest_is_told(
    service: Service, reason: str
) -> None:
    said = text(service, made(service, reason))
    assert "acknowledge it: sms-worker ctl ack 4f1c09aa" in said
    assert "..." in said


LIMITS = {Service.SLACK: 4_000, Service.GOOGLE_CHAT: 4_000, Service.DISCORD: 2_000}


@given(
    st.sampled_from(list(ADDRESSES)), st.text(min_size=1), st.integers(1, 3_000), st.integers(0, 60)
)
def test_no_notice_is_longer_than_its_service_takes(
    service: Service, reason: str, times: int, rows: int
) -> None:
    evidence = {str(number): reason * 9 for number in range(rows)}
    content = made(service, reason * times, evidence=evidence)
    if service is Service.TEAMS:
        assert len(json.dumps(content, ensure_ascii=False).encode()) <= 28 * 1024
    else:
        assert len(text(service, content).encode("utf-16-le", "replace")) <= 2 * LIMITS[service]


@pytest.mark.parametrize("length", range(1_990, 2_010))
def test_a_cut_never_falls_within_an_escape(length: int) -> None:
    rows = {str(number): "&" * 300 for number in range(40)}
    said = text(Service.SLACK, made(Service.SLACK, "&" * length, evidence=rows))
    assert said.replace("&amp;", "").count("&") == 0
    assert said.endswith("...")
