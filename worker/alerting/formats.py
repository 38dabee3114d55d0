"""Writes a notice in the format of each chat service, and reads the service's answer.

Rules: pure. Reasons and evidence are data: nothing in them becomes a link, a mention or markup.
They are escaped as the service documents it; where it documents nothing, a zero-width space breaks
the markup. A text over the service's limit first loses the ends of its long lines, then its last
lines. It is cut before it is escaped. Only fields that the service knows are sent.

| service | accepts | at most | has taken it if it answers |
|---|---|---|---|
| json | the fields of `metric.alert` and more, see `contracts` | | 2xx |
| slack | `text`, in which & < > are escaped; markup switched off | 4,000 characters | 200 |
| googlechat | `text` and no other member | 4,000 of 4,096 | 200 |
| teams | a message with an adaptive card, whose text runs know no markup | 28 KB | 200, 202 |
| discord | `content` as markdown; mentions switched off | 2,000 UTF-16 units | 200, 204 |

Teams' 202 and Discord's 204 say that the notice was taken, not that it is shown. Discord says more
if the address contains `?wait=true`.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from html import escape
from typing import TYPE_CHECKING, Any, Final

from contracts.codec import encode
from contracts.metrics import AlertNotice
from worker.domain.alerts.contacts import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.domain.alerts.notice_text import Notice

HEAD_BYTES: Final = 1_024
"""Bytes of an answer that are read."""
_DISCORD_MOST: Final = 2_000
_MOST: Final = 4_000
_LINE: Final = 400
"""Characters that are kept of each line if the whole text is too long."""
_LINES: Final = 80
"""Most lines of a card: each line is an element that adds about 80 bytes."""
_GAP: Final = "\u200b"
_CUT: Final = "..."

_CHAT_MARKUP: Final = re.compile(r"<(?=[^\s\d])|(?<!\w)[*_~`](?=\S)")
_CARD_MARKUP: Final = re.compile(r"\{(?=\{)|\](?=\()")
_MARKDOWN: Final = re.compile(r"[\\*_~`|<>\[\]#]|^-", re.MULTILINE)
_DENIED: Final[Mapping[Service, re.Pattern[bytes]]] = {
    Service.SLACK: re.compile(rb'"(ok|success)"\s*:\s*false'),
    Service.TEAMS: re.compile(rb"HTTP error"),
}
"""What the body of a 200 contains if the service did not take the notice after all."""
_TOLD: Final = {
    Service.JSON: range(200, 300),
    Service.SLACK: (200,),
    Service.GOOGLE_CHAT: (200,),
    Service.TEAMS: (200, 202),
    Service.DISCORD: (200, 204),
}


def body(service: Service, notice: Notice) -> bytes:
    """Return the notice as this service accepts it."""
    if service is Service.JSON:
        return _alert(notice)
    made = _CHATS[service](f"{notice.subject}\n{notice.text}")
    return json.dumps(made, ensure_ascii=False).encode(errors="replace")


def denies(service: Service) -> bool:
    """Whether the body of an answer may say that the notice was not taken."""
    return service in _DENIED


def told(service: Service, status: int, head: bytes) -> bool:
    """Whether an answer means that the notice was taken.

    Args:
        service: who answered.
        status: of the answer.
        head: the beginning of its body; needed only if `denies(service)`.
    """
    denied = _DENIED.get(service)
    return status in _TOLD[service] and not (denied and denied.search(head))


def _alert(notice: Notice) -> bytes:
    """Return the fields of `metric.alert` and the notice as text."""
    alert = notice.alert
    return encode(
        AlertNotice(
            alert_id=alert.id,
            at=notice.at,
            severity=alert.severity,
            code=alert.code,
            reason=alert.reason,
            provider=alert.provider,
            evidence=dict(alert.evidence) if alert.evidence else None,
            suggested_command=alert.suggested_command,
            notice=notice.kind.value,
            since=alert.since,
            over_at=alert.over_at,
            count=alert.count,
            text=f"{notice.subject}\n{notice.text}",
        )
    )


def _slack(text: str) -> dict[str, Any]:
    return {"text": _fitted(text, _MOST, lambda part: escape(part, quote=False)), "mrkdwn": False}


def _google_chat(text: str) -> dict[str, Any]:
    return {"text": _fitted(text, _MOST, lambda part: _CHAT_MARKUP.sub(rf"\g<0>{_GAP}", part))}


def _discord(text: str) -> dict[str, Any]:
    content = _fitted(text, _DISCORD_MOST, lambda part: _MARKDOWN.sub(r"\\\g<0>", part))
    return {"content": content, "allowed_mentions": {"parse": []}}


def _teams(text: str) -> dict[str, Any]:
    fitted = _fitted(text, _MOST, lambda part: _CARD_MARKUP.sub(rf"\g<0>{_GAP}", part))
    lines = [line for line in fitted.split("\n") if line.strip()][:_LINES]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]}
            for line in lines
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


_CHATS: Final[Mapping[Service, Callable[[str], dict[str, Any]]]] = {
    Service.SLACK: _slack,
    Service.GOOGLE_CHAT: _google_chat,
    Service.TEAMS: _teams,
    Service.DISCORD: _discord,
}


def _fitted(text: str, most: int, escaped: Callable[[str], str]) -> str:
    """Escape as much of the text as fits. Escaping never makes a text shorter."""
    lines = (line if len(line) <= _LINE else line[:_LINE] + _CUT for line in text.split("\n"))
    shorter = "\n".join(lines)
    for whole in (text, shorter):
        if len(whole) <= most and _units(escaped(whole)) <= most:
            return escaped(whole)
    room = most - len(_CUT)
    lengths = range(min(len(shorter), room) + 1)
    fits = bisect_right(lengths, room, key=lambda length: _units(escaped(shorter[:length]))) - 1
    return escaped(shorter[:fits]) + _CUT


def _units(text: str) -> int:
    """Length in UTF-16 units, as the services count it: an emoji is two."""
    return len(text.encode("utf-16-le", errors="replace")) // 2
