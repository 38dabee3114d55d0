"""The documented rules of chat services for what is posted to their hooks, each as a judge.

A judge takes the parsed body and gives the status and the text of the answer.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

ELEMENTS: Final = {"TextBlock": {"text"}, "RichTextBlock": {"inlines"}, "TextRun": {"text"}}
"""Of a card, with the members each must have."""


def slack(body: Any) -> tuple[int, str]:
    """`text`; & < > are control characters, what stands in < > is a link or a mention."""
    text = body.get("text")
    if not text or not isinstance(text, str):
        return 400, "no_text"
    if len(text) > 40_000:
        return 400, "msg_too_long"
    if re.search(r"[<>]|&(?!amp;|lt;|gt;)", text):
        return 400, "invalid_payload"
    return 200, "ok"


def google_chat(body: Any) -> tuple[int, str]:
    """Members of a message alone; 4,096 characters, 32,000 bytes; no mention and no link."""
    if unknown := set(body) - {"text", "cardsV2", "thread"}:
        return 400, json.dumps({"error": {"message": f"Unknown name {sorted(unknown)}"}})
    if not body.get("text") or len(body["text"]) > 4_096 or len(json.dumps(body)) > 32_000:
        return 400, json.dumps({"error": {"status": "INVALID_ARGUMENT"}})
    if re.search(r"<(users/|https?:)", body["text"]):
        return 400, "something was made of data"
    return 200, json.dumps({"name": "spaces/A/messages/B", "text": body["text"]})


def teams(body: Any) -> tuple[int, str]:
    """A message with adaptive cards, 28 KB; a workflow answers 202 whatever it was sent."""
    if len(json.dumps(body, ensure_ascii=False).encode()) > 28 * 1024:
        return 413, ""
    cards = [each["content"] for each in body.get("attachments", []) if _is_card(each)]
    if body.get("type") != "message" or not cards:
        return 400, "shown to nobody"
    shown = [element for card in cards for element in card["body"]]
    if not shown or not all(map(_is_element, shown)):
        return 400, "no such element"
    return 202, ""


def _is_card(attachment: Any) -> bool:
    card = attachment.get("content", {})
    kind = attachment.get("contentType") == "application/vnd.microsoft.card.adaptive"
    return kind and card.get("type") == "AdaptiveCard" and card.get("version") in {"1.2", "1.4"}


def _is_element(element: Any) -> bool:
    known = ELEMENTS.get(element["type"], {"?"}) <= set(element)
    marked = re.search(r"\]\(|\*\*|\{\{", element.get("text", "")) and element["type"] != "TextRun"
    return known and not marked and all(map(_is_element, element.get("inlines", [])))


def discord(body: Any) -> tuple[int, str]:
    """`content` of at most 2,000 UTF-16 units; mentions must be switched off, markdown escaped."""
    content = body.get("content", "")
    if not content.strip() or len(content.encode("utf-16-le")) > 4_000:
        return 400, json.dumps({"code": 50035, "message": "Invalid Form Body"})
    if body.get("allowed_mentions") != {"parse": []}:
        return 400, "everyone would be called"
    if re.search(r"(?<!\\)(\\\\)*(?:[*_`~|]|<[@#:h]|\[)", content):
        return 400, "something was made of data"
    return 204, ""


SERVICES: Final = {
    "slack": slack,
    "googlechat": google_chat,
    "teams": teams,
    "discord": discord,
}
