"""Server-sent events, and what they say of a page: what changed, and how old it is.

Rules: pure. `sections` has the sections whose HTML differs from what was sent. `tick` has words of
the server, because the browser's clock may be wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worker.console import formats
from worker.console.pages.frame import NOTICE_S

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """What a page shows at one moment."""

    sections: Mapping[str, str]
    """HTML by the id of the element."""
    ages: Mapping[str, str]
    """Words of the elements that say how old something is, by key."""


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode(errors="replace")


def changes(sent: Sheet | None, sheet: Sheet) -> bytes:
    """The event `sections` with those that differ from what was sent; empty if none does."""
    before = sent.sections if sent is not None else {}
    changed = {name: html for name, html in sheet.sections.items() if before.get(name) != html}
    return event("sections", changed) if changed else b""


def tick(sheet: Sheet, left_s: float) -> bytes:
    """The event `tick`.

    Args:
        sheet: of this moment.
        left_s: seconds until the session ends.
    """
    near = f"You will be logged out in {formats.duration(left_s)}" if left_s <= NOTICE_S else ""
    return event("tick", {**sheet.ages, "end": near})
