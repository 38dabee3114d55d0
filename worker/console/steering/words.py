"""The words that fill the placeholders of a description: names, where from, where to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.console import wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.console.steering.dialog import Opening

_UNKNOWN = "–"


def words_of(opening: Opening) -> Mapping[str, object]:
    """The words of one dialog. What is not known is a dash."""
    names = opening.names
    called = {"target": names.target, "legacy": names.legacy}
    after = opening.preview.answer.after if opening.preview else None
    seen = opening.preview.reply.state if opening.preview else opening.state
    return {
        **called,
        "provider": called.get(str(opening.fields.get("provider")), "the provider"),
        "to": opening.fields.get("to", "an older version"),
        "phase": wording.phase(after.phase) if after else _UNKNOWN,
        "share": after.percentage if after else _UNKNOWN,
        "before": seen.percentage if seen else _UNKNOWN,
        "version": seen.version if seen else _UNKNOWN,
    }
